"""Check a template, with file and line: its name, Jinja, variables, files and size."""

import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
from jinja2 import TemplateSyntaxError, meta, nodes

from engine.authoring.build import BuildError, build
from engine.authoring.files import (
    NAME_RULE,
    SAMPLE_FILE,
    SCHEMA_FILE,
    SOURCE_HTML,
    BadFileError,
    is_template_name,
    read_object,
)
from engine.authoring.findings import LintFinding
from engine.authoring.folder import Folder
from engine.authoring.lint_html import lint_html
from engine.errors import Refused
from engine.templating.environment import TemplateEnvironment
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE

# Gmail cuts an email off here: https://www.caniemail.com/clients/gmail/
_CUT: Final = 102_400
_HEAVY: Final = 60_000
_BRAND_FIELDS: Final = ("subject", "senderName", "senderEmail")

_ENVIRONMENT: Final = TemplateEnvironment(autoescape=True)
_PLACE: Final = re.compile(
    r"^template '[^']*': (?P<file>template\.(?:html|txt)|metadata\.json)?(?: line (?P<line>\d+))?"
    r":? ?(?P<rest>.*)",
    re.DOTALL,
)
_ACCEPTED: Final = re.compile(
    r"\{#-?\s*accept:\s*(?P<code>[\w-]+)\s+because\s+(?P<reason>.+?)\s*-?#\}", re.DOTALL
)


def lint(folder: Folder) -> list[LintFinding]:
    """All findings, in the order of files and lines.

    A template accepts one by a comment with a reason, as in
    `{# accept: css-gap because only the webmail of our own staff shows it #}`.
    """
    found: set[LintFinding] = set()
    try:
        accepted = {match["code"] for match in _ACCEPTED.finditer(folder.read(HTML_FILE) or "")}
        for finding in _findings(folder):
            if finding.code not in accepted:
                found.add(finding)
    except BadFileError as error:
        found.add(LintFinding(error.path.name, error.line, "unreadable", error.problem))
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.code, finding.message))


def _findings(folder: Folder) -> Iterator[LintFinding]:
    if not is_template_name(folder.name):
        message = f"no request can name a template {folder.name!r}; expected {NAME_RULE}"
        yield LintFinding(METADATA_FILE, 1, "name", message)
    yield from _build(folder)
    if folder.read(TEXT_FILE) is None:
        yield LintFinding(
            TEXT_FILE, 1, "text-missing", "is missing: some readers and filters want plain text"
        )
    if folder.read(HTML_FILE) is None:
        yield LintFinding(
            HTML_FILE, 1, "html-missing", "is missing: the email would be plain text", "warning"
        )
    try:
        folder.compile()
    except Refused as refused:
        yield _refusal(refused, "syntax")
        return
    yield from _variables(folder)
    yield from _schema(folder)
    yield from _rendering(folder)


def _build(folder: Folder) -> Iterator[LintFinding]:
    try:
        for file in build(folder.path).stale(folder.path):
            yield LintFinding(
                file, 1, "stale", f"is not what {SOURCE_HTML} makes; run `sesmailengine templates build`"
            )
    except (BuildError, BadFileError) as error:
        yield LintFinding(SOURCE_HTML, 1, "build", str(error))


def _variables(folder: Folder) -> Iterator[LintFinding]:
    required, optional = folder.names("requiredVariables"), folder.names("optionalVariables")
    known = {*required, *optional}
    used: set[str] = set()
    for file, source, line in _sources(folder):
        names, own = _used(source)
        for name, at in names.items():
            used.add(name)
            if name not in known | own:
                yield LintFinding(
                    file,
                    at if file != METADATA_FILE else line,
                    "variable-undeclared",
                    f"{name} is used, and not in requiredVariables or optionalVariables of {METADATA_FILE}",
                )
    for name in [*required, *optional]:
        if name not in used:
            line = folder.line_of(METADATA_FILE, f'"{name}"')
            yield LintFinding(METADATA_FILE, line, "variable-unused", f"{name} is listed, and used nowhere")


def _sources(folder: Folder) -> Iterator[tuple[str, str, int]]:
    for file in (HTML_FILE, TEXT_FILE):
        yield file, folder.read(file) or "", 1
    for field in _BRAND_FIELDS:
        source = folder.metadata.get(field)
        if isinstance(source, str):
            yield METADATA_FILE, source, folder.line_of(METADATA_FILE, f'"{field}"')


def _used(source: str) -> tuple[dict[str, int], set[str]]:
    """The variables that a source takes from the data, each with its first line, and those that it sets.

    One that is set in a branch is both: in the other branch Jinja takes it from the data.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError:  # pragma: no cover - it has been compiled before
        return {}, set()
    names = meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
    lines: dict[str, int] = {}
    own: set[str] = set()
    for node in tree.find_all(nodes.Name):
        if node.ctx == "store":
            own.add(node.name)
        if node.name in names:
            lines.setdefault(node.name, node.lineno)
    return lines, own


def _schema(folder: Folder) -> Iterator[LintFinding]:
    schema = read_object(folder.path / SCHEMA_FILE)
    if schema is None:
        return
    try:
        validator = jsonschema.Draft202012Validator(schema)
        validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield LintFinding(SCHEMA_FILE, 1, "schema", f"is no JSON Schema: {str(error).splitlines()[0]}")
        return
    required, optional = folder.names("requiredVariables"), folder.names("optionalVariables")
    for field, given, listed in (
        ("required", schema.get("required", []), required),
        ("properties", schema.get("properties", {}), [*required, *optional]),
    ):
        if differing := sorted(set(given) ^ set(listed)):
            line = folder.line_of(SCHEMA_FILE, f'"{field}"')
            yield LintFinding(
                SCHEMA_FILE, line, "schema", f"{field} and {METADATA_FILE} differ: {', '.join(differing)}"
            )
    for mismatch in validator.iter_errors(sample) if (sample := folder.sample()) else ():
        place = mismatch.json_path.removeprefix("$.")
        line = folder.line_of(SAMPLE_FILE, f'"{place.partition(".")[0].partition("[")[0]}"')
        yield LintFinding(SAMPLE_FILE, line, "sample", f"{place}: {mismatch.message}")


def _rendering(folder: Folder) -> Iterator[LintFinding]:
    sample = folder.sample()
    if not sample:
        message = "is missing or empty: nothing can be rendered, and half of the checks need that"
        yield LintFinding(SAMPLE_FILE, 1, "sample-missing", message, "warning")
        yield from lint_html(folder, None)
        return
    least = {name: value for name, value in sample.items() if name in folder.names("requiredVariables")}
    for data, what in ((sample, f"with {SAMPLE_FILE}"), (least, "with the required variables alone")):
        try:
            rendered = folder.render(data)
        except Refused as refused:
            yield _refusal(refused, "rendering", f" ({what})")
            return
        size = len((rendered.html or "").encode())
        if size > _HEAVY:
            message = f"has {size:,} bytes rendered; expected at most {_HEAVY:,}, Gmail cuts at {_CUT:,}"
            yield LintFinding(HTML_FILE, 1, "size", message, "error" if size > _CUT else "warning")
    yield from lint_html(folder, sample)


def _refusal(refused: Refused, code: str, more: str = "") -> LintFinding:
    """The engine's refusal, with the file and line that its message names."""
    message = refused.refusal.message
    match = _PLACE.match(message)
    place: dict[str, Any] = match.groupdict() if match else {}
    file = place.get("file") or METADATA_FILE
    return LintFinding(file, int(place.get("line") or 1), code, f"{place.get('rest') or message}{more}")
