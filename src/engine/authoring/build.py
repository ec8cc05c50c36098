"""Build templates from their sources: put in parts, inline CSS, declare variables with defaults.

A source holds Jinja for two times. `[% %]`, `[[ ]]` and `[# #]` run here, once; `{% %}` and `{{ }}` stay as
they are and run with every email. Parts are looked up in the template's own folder, then in `_layout` beside
it, then in this package.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2 import meta

from engine.authoring.files import (
    BRAND_FILE,
    LAYOUT_FOLDER,
    SAMPLE_FILE,
    SCHEMA_FILE,
    SOURCE_HTML,
    SOURCE_TEXT,
    BadFileError,
    TemplateToolError,
    json_text,
    read_object,
    read_text,
)
from engine.authoring.inlining import BadSource, inline, joined_blocks
from engine.templating.environment import TemplateEnvironment
from engine.templating.palette import DEFAULT_COLOUR, palette, parse_hex
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE

_PACKAGE: Final = files("engine.authoring").joinpath("sources")
_DEFAULT_BRAND: Final = {"brandName": "", "brandColor": DEFAULT_COLOUR}
_VARIABLES: Final = TemplateEnvironment(autoescape=True)


class BuildError(TemplateToolError):
    """A source that can't be built; says file, line and what was expected."""


@dataclass(frozen=True)
class BuiltTemplate:
    """The files that a template's source makes, by name."""

    files: dict[str, str]

    def stale(self, folder: Path) -> list[str]:
        """The files of `folder` that differ from these."""
        return [name for name, content in self.files.items() if read_text(folder / name) != content]

    def write(self, folder: Path) -> list[str]:
        """Write the files that differ into `folder`; returns their names."""
        stale = self.stale(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).write_text(self.files[name], encoding="utf-8", newline="\n")
        return stale


def build(source: Path) -> BuiltTemplate:
    """Build the folder `source`; nothing where it has no source.html. Raises BuildError and BadFileError."""
    if not (source / SOURCE_HTML).exists():
        return BuiltTemplate({})
    try:
        return BuiltTemplate(dict(_files(source)))
    except jinja2.TemplateSyntaxError as error:
        file = error.filename or f"{source.name}/{error.name}"
        raise BuildError(f"{file} line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise BuildError(f"{source.name}: there is no part called {error.name}") from error
    except (jinja2.TemplateError, BadSource) as error:
        raise BuildError(f"{source.name}/{SOURCE_HTML}: {error}") from error


def starters() -> Iterator[Path]:
    """The sources of the starter templates."""
    with as_file(_PACKAGE) as package:
        yield from sorted(path for path in package.iterdir() if (path / SOURCE_HTML).exists())


def starter_files(source: Path) -> BuiltTemplate:
    """A starter as it is shipped: with its sample, without its source."""
    return BuiltTemplate(build(source).files | {SAMPLE_FILE: json_text(_required(source / SAMPLE_FILE))})


def brand_schema() -> dict[str, Any]:
    """The variables of the brand, which every template of the layout takes, with what they mean."""
    described: dict[str, Any] = json.loads(_PACKAGE.joinpath("brand.schema.json").read_text("utf-8"))
    return described


def _files(source: Path) -> Iterator[tuple[str, str]]:
    written = _required(source / METADATA_FILE)
    written.setdefault("requiredVariables", [])
    written.setdefault("optionalVariables", [])
    parts = _environment(source)
    html = joined_blocks(parts.get_template(SOURCE_HTML).render())
    css, screen = (parts.get_template(sheet).render(html=html) for sheet in ("email.css", "screen.css"))
    html = joined_blocks(parts.get_template("colours.html").render(used=_used(html + screen))) + html
    has_text = (source / SOURCE_TEXT).exists()
    text = joined_blocks(parts.get_template(SOURCE_TEXT).render()) if has_text else ""
    fields = (str(written.get(field) or "") for field in ("subject", "senderName", "senderEmail"))
    # The layout uses variables of the brand that no author lists.
    used = _used("".join((html, screen, text, *fields)))
    listed = {*written["requiredVariables"], *written["optionalVariables"]}
    brand = [name for name in brand_schema() if name in used and name not in listed]
    optional = [*written["optionalVariables"], *brand]
    metadata = written | {"optionalVariables": optional}
    yield HTML_FILE, inline(_defaults(html + screen, optional) + html, css, screen)
    if has_text:
        yield TEXT_FILE, _defaults(text, optional) + text
    yield METADATA_FILE, json_text(metadata)
    schema = read_object(source / SCHEMA_FILE)
    if schema is not None:
        yield SCHEMA_FILE, json_text(_schema(schema, metadata))


def _environment(source: Path) -> jinja2.Environment:
    def load(name: str) -> tuple[str, str, None] | None:
        for path in (source / name, source.parent / LAYOUT_FOLDER / name):
            if (text := read_text(path)) is not None:
                return text, str(path), None
        return None

    environment = jinja2.Environment(
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        loader=jinja2.ChoiceLoader(
            [jinja2.FunctionLoader(load), jinja2.PackageLoader("engine.authoring", "sources")]
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is written is a template, whose own rendering escapes
    )
    brand = _DEFAULT_BRAND | (read_object(source.parent / BRAND_FILE) or {})
    try:
        parse_hex(brand["brandColor"])
    except ValueError as error:
        raise BuildError(f"{BRAND_FILE}: brandColor {error}") from error
    environment.globals.update(brand=brand, name=source.name, palette=palette(brand["brandColor"]))
    environment.filters["literal"] = _literal
    environment.globals["part"] = environment.get_template("parts.html").module
    return environment


def _literal(text: str) -> str:
    """A value of brand.json as a constant of the template that is made."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _defaults(body: str, optional: Iterable[str]) -> str:
    """Statements that give the optional variables used in `body` their default."""
    used = _used(body)
    lines = (f"{{%- set {name} = {name} | default('', true) -%}}\n" for name in optional if name in used)
    return "".join(lines)


def _used(body: str) -> set[str]:
    return meta.find_undeclared_variables(_VARIABLES.parse(body))


def _schema(own: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    described = own.get("properties", {})
    listed = {*metadata["requiredVariables"], *metadata["optionalVariables"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"templateData: {metadata.get('description', '')}".rstrip(": "),
        "type": "object",
        "additionalProperties": False,
        **own,
        "required": metadata["requiredVariables"],
        "properties": described
        | {key: meaning for key, meaning in brand_schema().items() if key in listed - set(described)},
    }


def _required(path: Path) -> dict[str, Any]:
    value = read_object(path)
    if value is None:
        raise BadFileError(path, "is missing")
    return value
