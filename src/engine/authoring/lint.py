"""What is wrong with a template, with file and line: its Jinja, its variables, its files and its size."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
from jinja2 import TemplateSyntaxError, meta, nodes

from engine.authoring.build import SAMPLE_FILE, SCHEMA_FILE, SOURCE_HTML, BuildError, build
from engine.authoring.findings import Finding
from engine.authoring.folder import Folder
from engine.authoring.lint_html import lint_html
from engine.errors import Refused
from engine.templating.environment import TemplateEnvironment
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE, Rendered

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


def lint(folder: Folder) -> list[Finding]:
    """All findings, in the order of files and lines.

    A template accepts one by a comment with a reason, as in
    `{# accept: css-gap because only the webmail of our own staff shows it #}`.
    """
    accepted = {match["code"] for match in _ACCEPTED.finditer(folder.read(HTML_FILE) or "")}
    found = {finding for finding in _findings(folder) if finding.code not in accepted}
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.code, finding.message))


def _findings(folder: Folder) -> Iterator[Finding]:
    yield from _build(folder)
    if folder.read(TEXT_FILE) is None:
        yield Finding(TEXT_FILE, 1, "text-missing", "is missing: some readers and filters want plain text")
    if folder.read(HTML_FILE) is None:
        yield Finding(HTML_FILE, 1, "html-missing", "is missing: the email would be plain text", "warning")
    try:
        folder.compile()
    except Refused as refused:
        yield _refusal(refused, "syntax")
        return
    yield from _variables(folder)
    yield from _schema(folder)
    yield from _rendering(folder)


def _build(folder: Folder) -> Iterator[Finding]:
    try:
        for file in build(folder.path).stale(folder.path):
            yield Finding(
                file, 1, "stale", f"is not what {SOURCE_HTML} makes; run `sesmailengine templates build`"
            )
    except BuildError as error:
        yield Finding(SOURCE_HTML, 1, "build", str(error))


def _variables(folder: Folder) -> Iterator[Finding]:
    required, optional = folder.names("requiredVariables"), folder.names("optionalVariables")
    known = {*required, *optional}
    used: set[str] = set()
    for file, source, line in _sources(folder):
        names, own = _used(source)
        for name, at in names.items():
            used.add(name)
            if name not in known | own:
                yield Finding(
                    file,
                    at if file != METADATA_FILE else line,
                    "variable-undeclared",
                    f"{name} is used, and not in requiredVariables or optionalVariables of {METADATA_FILE}",
                )
    for name in [*required, *optional]:
        if name not in used:
            line = folder.line_of(METADATA_FILE, f'"{name}"')
            yield Finding(METADATA_FILE, line, "variable-unused", f"{name} is listed, and used nowhere")


def _sources(folder: Folder) -> Iterator[tuple[str, str, int]]:
    for file in (HTML_FILE, TEXT_FILE):
        yield file, folder.read(file) or "", 1
    for field in _BRAND_FIELDS:
        source = folder.metadata.get(field)
        if isinstance(source, str):
            yield METADATA_FILE, source, folder.line_of(METADATA_FILE, f'"{field}"')


def _used(source: str) -> tuple[dict[str, int], set[str]]:
    """The variables that a source takes from the data, each with its first line; and those it sets somewhere.

    To Jinja one that is set in a branch comes from the data in the other.
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


def _schema(folder: Folder) -> Iterator[Finding]:
    source = folder.read(SCHEMA_FILE)
    if source is None:
        return
    try:
        schema = json.loads(source)
        validator = jsonschema.Draft202012Validator(schema)
        validator.check_schema(schema)
    except (ValueError, jsonschema.SchemaError) as error:
        yield Finding(SCHEMA_FILE, 1, "schema", f"is no JSON Schema: {str(error).splitlines()[0]}")
        return
    required, optional = folder.names("requiredVariables"), folder.names("optionalVariables")
    for field, told, listed in (
        ("required", schema.get("required", []), required),
        ("properties", schema.get("properties", {}), [*required, *optional]),
    ):
        if differing := sorted(set(told) ^ set(listed)):
            line = folder.line_of(SCHEMA_FILE, f'"{field}"')
            yield Finding(
                SCHEMA_FILE, line, "schema", f"{field} and {METADATA_FILE} differ: {', '.join(differing)}"
            )
    for mismatch in validator.iter_errors(sample) if (sample := folder.sample()) else ():
        place = mismatch.json_path.removeprefix("$.")
        line = folder.line_of(SAMPLE_FILE, f'"{place.partition(".")[0].partition("[")[0]}"')
        yield Finding(SAMPLE_FILE, line, "sample", f"{place}: {mismatch.message}")


def _rendering(folder: Folder) -> Iterator[Finding]:
    sample = folder.sample()
    if not sample:
        message = "is missing or empty: nothing can be rendered, and half of the checks need that"
        yield Finding(SAMPLE_FILE, 1, "sample-missing", message, "warning")
        yield from lint_html(folder, None)
        return
    least = {name: value for name, value in sample.items() if name in folder.names("requiredVariables")}
    for data, what in ((sample, f"with {SAMPLE_FILE}"), (least, "with the required variables alone")):
        try:
            rendered = folder.render(data)
        except Refused as refused:
            yield _refusal(refused, "rendering", f" ({what})")
            return
        yield from _size(rendered)
    yield from lint_html(folder, sample)


def _size(rendered: Rendered) -> Iterator[Finding]:
    size = len((rendered.html or "").encode())
    if size > _CUT:
        yield Finding(HTML_FILE, 1, "size", f"has {size:,} bytes rendered; Gmail cuts at {_CUT:,}")
    elif size > _HEAVY:
        message = f"has {size:,} bytes rendered; expected at most {_HEAVY:,}, Gmail cuts at {_CUT:,}"
        yield Finding(HTML_FILE, 1, "size", message, "warning")


def _refusal(refused: Refused, code: str, more: str = "") -> Finding:
    """The engine's own words, and the place out of them."""
    message = refused.refusal.message
    match = _PLACE.match(message)
    told: dict[str, Any] = match.groupdict() if match else {}
    file = told.get("file") or METADATA_FILE
    return Finding(file, int(told.get("line") or 1), code, f"{told.get('rest') or message}{more}")
