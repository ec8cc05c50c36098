"""Templates: compiled once, rendered with a caller's data, which is never code."""

import re
from collections.abc import Mapping
from types import CodeType
from typing import Any, Final

import jinja2
import msgspec
from msgspec import Struct

from engine.errors import FailureCode, Refusal, Refused
from engine.templating.environment import GLOBALS, MeteredContext, TemplateEnvironment
from engine.templating.metering import Meter, Unfit

# One rendered part, in bytes of UTF-8. Gmail shows the first 102 KB of an email, SES takes 40 MB.
MAX_PART_BYTES: Final = 1_000_000
# RFC 5322, section 2.1.1: the longest line, and so the longest header that needs no folding.
MAX_LINE: Final = 998
_LONGEST_EXPLANATION: Final = 300

HTML_FILE: Final = "template.html"
TEXT_FILE: Final = "template.txt"
METADATA_FILE: Final = "metadata.json"

# What would end a header line, for one reader or another, and what no header may hold.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_HTML: Final = TemplateEnvironment(autoescape=True)
_PLAIN: Final = TemplateEnvironment(autoescape=False)


class Metadata(Struct, frozen=True, kw_only=True, rename="camel"):
    """metadata.json. Subject and sender are templates themselves; fields it does not know are left alone."""

    subject: str
    sender_name: str | None = None
    sender_email: str | None = None
    description: str | None = None
    required_variables: list[str] = []
    optional_variables: list[str] = []


class Rendered(Struct, frozen=True, kw_only=True):
    """What a template made of a request's data."""

    subject: str
    html: str | None
    text: str | None
    sender_email: str | None
    sender_name: str | None


class Template(Struct, frozen=True):
    """A template, as the pipelines know it."""

    name: str

    def render(self, data: dict[str, Any]) -> Rendered:
        """The email's content. Raises Refused (`template-error`) naming the variable, or file and line."""
        raise NotImplementedError


class _Part(Struct, frozen=True):
    """One compiled source; `place` is the file, or the field of metadata.json, that it came from."""

    place: str
    compiled: jinja2.Template

    def render(self, variables: dict[str, Any], meter: Meter) -> str:
        try:
            return self._written(variables, meter)
        except Unfit as error:
            raise _Failure(f"{self._where(error)}: {error}") from error
        # A template can fail in as many ways as Python has exceptions; all of them are the template's error.
        except Exception as error:
            raise _Failure(f"{self._where(error)}: {_explained(error)}") from error

    def _written(self, variables: dict[str, Any], meter: Meter) -> str:
        context = MeteredContext(
            self.compiled.environment, variables, self.compiled.name, self.compiled.blocks
        )
        context.meter = meter
        chunks: list[str] = []
        size = 0
        for chunk in self.compiled.root_render_func(context):
            # No character takes less than a byte; how many they are to the byte is counted once, below.
            size += len(chunk)
            if size > MAX_PART_BYTES:
                raise _too_large()
            chunks.append(chunk)
        written = "".join(chunks)
        if not written.isascii() and len(written.encode()) > MAX_PART_BYTES:
            raise _too_large()
        return written

    def _where(self, error: BaseException) -> str:
        """The file and the line of the template at which an error came up."""
        line = None
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.compiled.filename:
                line = self.compiled.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return self.place if line is None or _is_field(self.place) else f"{self.place} line {line}"


def _too_large() -> Unfit:
    return Unfit(f"more than {MAX_PART_BYTES:,} bytes come out")


class _Failure(Exception):  # noqa: N818 - never leaves this file
    """Place and complaint; the template's name comes before it."""


class CompiledTemplate(Template, frozen=True, kw_only=True):
    """A template that renders: all parts share one budget; a variable that is null counts as not given."""

    required: tuple[str, ...]
    subject: _Part
    html: _Part | None
    text: _Part | None
    sender_email: _Part | None
    sender_name: _Part | None

    def render(self, data: dict[str, Any]) -> Rendered:
        try:
            self._require(data)
            return self._rendered({**GLOBALS, **data}, Meter())
        except _Failure as failure:
            raise _refused(self.name, str(failure)) from failure

    def _require(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in self.required if data.get(name) is None]
        if missing:
            raise _Failure(f"templateData lacks {', '.join(missing)}, required by {METADATA_FILE}")

    def _rendered(self, variables: dict[str, Any], meter: Meter) -> Rendered:
        subject = _line(self.subject, variables, meter)
        if not subject:
            raise _Failure(f"{self.subject.place} is empty with this data")
        html, text = _body(self.html, variables, meter), _body(self.text, variables, meter)
        if html is None and text is None:
            raise _Failure("nothing but space comes out with this data")
        return Rendered(
            subject=subject,
            html=html,
            text=text,
            sender_email=_line(self.sender_email, variables, meter),
            sender_name=_line(self.sender_name, variables, meter),
        )


def compile_template(name: str, html: str | None, text: str | None, metadata: bytes) -> Template:
    """Compile the three objects of a template; one of the two bodies may be missing.

    Raises Refused (`template-error`) naming file and line for what doesn't compile or can't be read.
    """
    try:
        return _compiled(name, html, text, _read(metadata))
    except _Failure as failure:
        raise _refused(name, str(failure)) from failure


def _compiled(name: str, html: str | None, text: str | None, about: Metadata) -> Template:
    if html is None and text is None:
        raise _Failure(f"has neither {HTML_FILE} nor {TEXT_FILE}; expected at least one")
    if not about.subject.strip():
        raise _Failure(f"{METADATA_FILE} subject is empty")
    subject = _part(_PLAIN, name, f"{METADATA_FILE} subject", about.subject)
    assert subject is not None  # noqa: S101 - it has a source
    return CompiledTemplate(
        name=name,
        required=tuple(about.required_variables),
        subject=subject,
        html=_part(_HTML, name, HTML_FILE, html),
        text=_part(_PLAIN, name, TEXT_FILE, text),
        sender_email=_part(_PLAIN, name, f"{METADATA_FILE} senderEmail", about.sender_email),
        sender_name=_part(_PLAIN, name, f"{METADATA_FILE} senderName", about.sender_name),
    )


def _read(metadata: bytes) -> Metadata:
    try:
        return msgspec.json.decode(metadata.removeprefix(b"\xef\xbb\xbf"), type=Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _Failure(f"{METADATA_FILE}: {error}") from error


def _part(environment: TemplateEnvironment, name: str, place: str, source: str | None) -> _Part | None:
    if source is None:
        return None
    filename = f"{name}/{place}"
    try:
        code = environment.compile(source, filename, filename)
    except jinja2.TemplateSyntaxError as error:
        where = place if _is_field(place) else f"{place} line {error.lineno}"
        raise _Failure(f"{where}: {error.message}") from error
    # Besides its own errors the compiler passes on Python's: a number of too many digits, nesting too deep.
    except Exception as error:
        raise _Failure(f"{place}: {_explained(error)}") from error
    assert isinstance(code, CodeType)  # noqa: S101 - `raw` is off
    return _Part(place, jinja2.Template.from_code(environment, code, environment.make_globals(None)))


def _is_field(place: str) -> bool:
    """A field of metadata.json has no lines of its own."""
    return place.startswith(METADATA_FILE)


def _body(part: _Part | None, variables: dict[str, Any], meter: Meter) -> str | None:
    if part is None:
        return None
    body = part.render(variables, meter)
    if "\x00" in body:
        raise _Failure(f"{part.place}: holds a null character with this data")
    return body if body.strip() else None


def _line(part: _Part | None, variables: dict[str, Any], meter: Meter) -> str | None:
    """A header's value; space around it is the template's formatting, a line break inside it is an attack."""
    if part is None:
        return None
    line = part.render(variables, meter).strip()
    if _CONTROL.search(line):
        raise _Failure(f"{part.place}: holds a line break or control character with this data")
    if len(line) > MAX_LINE:
        raise _Failure(f"{part.place}: is longer than {MAX_LINE} characters with this data")
    return line or None


def _explained(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "a macro calls itself without end, or data is nested too deeply"
    explanation = (
        str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
    )
    return explanation[:_LONGEST_EXPLANATION]


def _refused(name: str, complaint: str) -> Refused:
    return Refused(Refusal(FailureCode.TEMPLATE_ERROR, f"template {name!r}: {complaint}"))
