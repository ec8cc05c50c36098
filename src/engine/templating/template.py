"""Templates: compiled once, rendered with a caller's data, which is never code."""

import hashlib
import re
from codecs import BOM_UTF8
from traceback import walk_tb
from typing import Annotated, Any, Final

import jinja2
import msgspec
from msgspec import Meta, Struct

from engine.errors import FailureCode, Refusal, Refused
from engine.schemas.request import TOPIC_PATTERN
from engine.templating.environment import TemplateEnvironment
from engine.templating.limits import render_budget
from engine.templating.nulls import with_nulls

# One rendered part, in bytes of UTF-8. Gmail shows the first 102 KB of an email, SES takes 40 MB.
MAX_PART_BYTES: Final = 1_000_000
# RFC 5322, section 2.1.1: the longest line, and so the longest header that needs no folding.
MAX_LINE: Final = 998
_LONGEST_EXPLANATION: Final = 300
_VERSION: Final = 16  # hexadecimal digits

LONGEST_VALID: Final = 315_360_000  # seconds, ten years

HTML_FILE: Final = "template.html"
TEXT_FILE: Final = "template.txt"
METADATA_FILE: Final = "metadata.json"

_LINE_BREAKS: Final = re.compile("[\t\n\r\x85\u2028\u2029]+")
# What no header may hold.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_HTML: Final = TemplateEnvironment(autoescape=True)
_PLAIN: Final = TemplateEnvironment(autoescape=False)


class Metadata(Struct, frozen=True, kw_only=True, rename="camel"):
    """metadata.json. Subject and sender are templates themselves; fields it does not know are left alone.

    `topic` and `validForSeconds` hold for emails whose request does not say otherwise.
    """

    subject: str
    sender_name: str | None = None
    sender_email: str | None = None
    description: str | None = None
    topic: Annotated[str, Meta(pattern=TOPIC_PATTERN)] | None = None
    valid_for_seconds: Annotated[int, Meta(ge=1, le=LONGEST_VALID)] | None = None
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
    """A template, as the pipelines know it. `version` changes with any of its files."""

    name: str
    version: str | None = None
    topic: str | None = None
    valid_for_seconds: int | None = None

    def render(self, data: dict[str, Any]) -> Rendered:
        """The email's content. Raises Refused (`template-error`) naming the variable, or file and line."""
        raise NotImplementedError


class _Part(Struct, frozen=True):
    """One compiled source; `place` is the file, or the field of metadata.json, that it came from."""

    template: str
    place: str
    compiled: jinja2.Template

    def render(self, variables: dict[str, Any]) -> str:
        chunks: list[str] = []
        size = 0
        try:
            for chunk in self.compiled.generate(variables):
                # No character takes less than a byte; how many they are to the byte is counted once, below.
                size += len(chunk)
                if size > MAX_PART_BYTES:
                    break
                chunks.append(chunk)
            written = "".join(chunks)
            size = max(size, len(written.encode()))
        # A template can fail in as many ways as Python has exceptions; all of them are the template's error.
        except Exception as error:
            # Jinja puts the template's own lines into the traceback.
            trace = walk_tb(error.__traceback__)
            lines = [line for frame, line in trace if frame.f_code.co_filename == self.compiled.filename]
            place = _place(self.place, lines[-1] if lines else None)
            raise _refused(self.template, f"{place}: {_explained(error)}") from error
        if size > MAX_PART_BYTES:
            raise _refused(self.template, f"{self.place}: more than {MAX_PART_BYTES:,} bytes come out")
        return written

    def render_body(self, variables: dict[str, Any]) -> str | None:
        """What comes out, unless it is nothing but space."""
        body = self.render(variables)
        if "\x00" in body:
            raise _refused(self.template, f"{self.place}: holds a null character with this data")
        return body if body.strip() else None

    def render_line(self, variables: dict[str, Any], *, one_line: bool) -> str | None:
        """A header's value, without the space around it, which is the template's formatting.

        With `one_line` a line break or tab that data brings becomes a space. Every other control character is
        refused: where a header ends early, another begins.
        """
        line = self.render(variables).strip()
        if one_line:
            line = _LINE_BREAKS.sub(" ", line)
        if _CONTROL.search(line):
            complaint = f"{self.place}: holds a line break or control character with this data"
            raise _refused(self.template, complaint)
        if len(line) > MAX_LINE:
            complaint = f"{self.place}: is longer than {MAX_LINE} characters with this data"
            raise _refused(self.template, complaint)
        return line or None


class CompiledTemplate(Template, frozen=True, kw_only=True):
    """A template that renders: all parts share one budget; a variable that is null counts as not given."""

    required: tuple[str, ...]
    subject: _Part
    html: _Part | None
    text: _Part | None
    sender_email: _Part | None
    sender_name: _Part | None

    def render(self, data: dict[str, Any]) -> Rendered:
        missing = [name for name in self.required if data.get(name) is None]
        if missing:
            complaint = f"templateData lacks {', '.join(missing)}, required by {METADATA_FILE}"
            raise _refused(self.name, complaint)
        try:
            variables = with_nulls(data)
        except RecursionError as error:
            raise _refused(self.name, "templateData is nested too deeply") from error
        with render_budget():
            subject = self.subject.render_line(variables, one_line=True)
            html = self.html.render_body(variables) if self.html else None
            text = self.text.render_body(variables) if self.text else None
            email = self.sender_email.render_line(variables, one_line=False) if self.sender_email else None
            name = self.sender_name.render_line(variables, one_line=True) if self.sender_name else None
        if subject is None:
            raise _refused(self.name, f"{self.subject.place} is empty with this data")
        if html is None and text is None:
            raise _refused(self.name, "nothing but space comes out with this data")
        return Rendered(subject=subject, html=html, text=text, sender_email=email, sender_name=name)


def read_metadata(name: str, content: bytes) -> Metadata:
    """The metadata.json of a template. Raises Refused (`template-error`)."""
    try:
        metadata = msgspec.json.decode(content.removeprefix(BOM_UTF8), type=Metadata)
    except (ValueError, RecursionError) as error:  # of msgspec, for what is not UTF-8, or nested too deeply
        raise _refused(name, f"{METADATA_FILE}: {error}") from error
    if not metadata.subject.strip():
        raise _refused(name, f"{METADATA_FILE} subject is empty")
    return metadata


def compile_template(name: str, html: str | None, text: str | None, metadata: bytes) -> Template:
    """Compile the three objects of a template; one of the two bodies may be missing.

    Raises Refused (`template-error`) naming file and line for what doesn't compile or can't be read.
    """
    if html is None and text is None:
        raise _refused(name, f"has neither {HTML_FILE} nor {TEXT_FILE}; expected at least one")
    fields = read_metadata(name, metadata)

    def compiled(environment: TemplateEnvironment, place: str, source: str) -> _Part:
        try:
            template = environment.from_source(source.removeprefix("\ufeff"), f"{name}/{place}")
        except jinja2.TemplateSyntaxError as error:
            raise _refused(name, f"{_place(place, error.lineno)}: {error.message}") from error
        # The compiler passes on Python's errors too: a number of too many digits, nesting too deep.
        except Exception as error:
            raise _refused(name, f"{place}: {_explained(error)}") from error
        return _Part(name, place, template)

    email, sender = fields.sender_email, fields.sender_name
    contents = ((html or "").encode(), (text or "").encode(), metadata)
    return CompiledTemplate(
        name=name,
        version=hashlib.sha256(b"\0".join(contents)).hexdigest()[:_VERSION],
        topic=fields.topic,
        valid_for_seconds=fields.valid_for_seconds,
        required=tuple(fields.required_variables),
        subject=compiled(_PLAIN, f"{METADATA_FILE} subject", fields.subject),
        html=None if html is None else compiled(_HTML, HTML_FILE, html),
        text=None if text is None else compiled(_PLAIN, TEXT_FILE, text),
        sender_email=None if email is None else compiled(_PLAIN, f"{METADATA_FILE} senderEmail", email),
        sender_name=None if sender is None else compiled(_PLAIN, f"{METADATA_FILE} senderName", sender),
    )


def _place(place: str, line: int | None) -> str:
    """A field of metadata.json has no lines of its own."""
    return place if line is None or place.startswith(METADATA_FILE) else f"{place} line {line}"


def _explained(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "a macro calls itself without end, or data is nested too deeply"
    explanation = (
        str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
    )
    return explanation[:_LONGEST_EXPLANATION]


def _refused(name: str, complaint: str) -> Refused:
    return Refused(Refusal(FailureCode.TEMPLATE_ERROR, f"template {name!r}: {complaint}"))
