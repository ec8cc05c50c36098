"""Templates out of readable sources: parts put in, CSS inlined, variables with defaults declared.

A source is Jinja twice over. What stands in `[% %]`, `[[ ]]` and `[# #]` is done here, once; what stands in
`{% %}` and `{{ }}` goes through untouched and is done with every email. Parts are looked for in the
template's own folder, then in `_layout` beside it, then among those of this package.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2 import meta

from engine.authoring.inlining import BadSource, inline, joined_blocks
from engine.templating.environment import TemplateEnvironment
from engine.templating.palette import DEFAULT_COLOUR, palette, parse_hex
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE

SOURCE_HTML: Final = "source.html"
SOURCE_TEXT: Final = "source.txt"
SAMPLE_FILE: Final = "sample.json"
SCHEMA_FILE: Final = "schema.json"
BRAND_FILE: Final = "brand.json"
LAYOUT_FOLDER: Final = "_layout"

_PACKAGE: Final = files("engine.authoring").joinpath("sources")
_DEFAULT_BRAND: Final = {"brandName": "", "brandColor": DEFAULT_COLOUR}
_VARIABLES: Final = TemplateEnvironment(autoescape=True)


class BuildError(Exception):
    """A source that can't be built; says file, line and what was expected."""


@dataclass(frozen=True)
class Built:
    """The files of a template, by name, as they belong into its folder."""

    files: dict[str, str]

    def stale(self, folder: Path) -> list[str]:
        """The files of `folder` that are not what its source makes."""
        return [name for name, content in self.files.items() if _read(folder / name) != content]

    def write(self, folder: Path) -> list[str]:
        """Bring `folder` up to date; the names of the files that changed."""
        stale = self.stale(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (folder / name).write_text(self.files[name], encoding="utf-8", newline="\n")
        return stale


def build(source: Path) -> Built:
    """What the folder `source` makes; nothing where it has no source.html. Raises BuildError."""
    if not (source / SOURCE_HTML).exists():
        return Built({})
    try:
        return Built(dict(_files(source)))
    except jinja2.TemplateSyntaxError as error:
        raise BuildError(f"{error.name} line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise BuildError(f"{source.name}: there is no part called {error.name}") from error
    except (jinja2.TemplateError, BadSource) as error:
        raise BuildError(f"{source.name}/{SOURCE_HTML}: {error}") from error


def starters() -> Iterator[Path]:
    """The sources of the starter templates."""
    with as_file(_PACKAGE) as package:
        yield from sorted(path for path in package.iterdir() if (path / SOURCE_HTML).exists())


def starter_files(source: Path) -> Built:
    """A starter as it is shipped: with its sample, without its source."""
    return Built(build(source).files | {SAMPLE_FILE: _json(_object(source / SAMPLE_FILE))})


def brand_schema() -> dict[str, Any]:
    """The variables of the brand, which every template of the layout takes, with what they mean."""
    described: dict[str, Any] = json.loads(_PACKAGE.joinpath("brand.schema.json").read_text("utf-8"))
    return described


def _files(source: Path) -> Iterator[tuple[str, str]]:
    told = _object(source / METADATA_FILE)
    told.setdefault("requiredVariables", [])
    told.setdefault("optionalVariables", [])
    parts = _environment(source)
    html = joined_blocks(parts.get_template(SOURCE_HTML).render())
    css, screen = (parts.get_template(sheet).render(html=html) for sheet in ("email.css", "screen.css"))
    html = joined_blocks(parts.get_template("colours.html").render(used=_used(html + screen))) + html
    has_text = (source / SOURCE_TEXT).exists()
    text = joined_blocks(parts.get_template(SOURCE_TEXT).render()) if has_text else ""
    fields = (str(told.get(field) or "") for field in ("subject", "senderName", "senderEmail"))
    metadata = _with_brand(told, _used("".join((html, screen, text, *fields))))
    optional = metadata["optionalVariables"]
    yield HTML_FILE, inline(_defaults(html + screen, optional) + html, css, screen)
    if has_text:
        yield TEXT_FILE, _defaults(text, optional) + text
    yield METADATA_FILE, _json(metadata)
    if (source / SCHEMA_FILE).exists():
        yield SCHEMA_FILE, _json(_schema(_object(source / SCHEMA_FILE), metadata))


def _environment(source: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        loader=jinja2.ChoiceLoader(
            [
                jinja2.FileSystemLoader([source, source.parent / LAYOUT_FOLDER], encoding="utf-8-sig"),
                jinja2.PackageLoader("engine.authoring", "sources"),
            ]
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is written is a template, whose own rendering escapes
    )
    brand = _DEFAULT_BRAND | _object(source.parent / BRAND_FILE, {})
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
    """Declares the optional variables that `body` uses, so that it may just ask for them."""
    used = _used(body)
    lines = (f"{{%- set {name} = {name} | default('', true) -%}}\n" for name in optional if name in used)
    return "".join(lines)


def _used(body: str) -> set[str]:
    return meta.find_undeclared_variables(_VARIABLES.parse(body))


def _with_brand(metadata: dict[str, Any], used: set[str]) -> dict[str, Any]:
    """Lists the variables of the brand that are used, which the layout brings and no author thinks of."""
    named = {*metadata["requiredVariables"], *metadata["optionalVariables"]}
    brand = [name for name in brand_schema() if name in used and name not in named]
    return metadata | {"optionalVariables": [*metadata["optionalVariables"], *brand]}


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
        | {key: told for key, told in brand_schema().items() if key in listed - set(described)},
    }


def _object(path: Path, otherwise: dict[str, Any] | None = None) -> dict[str, Any]:
    content = _read(path)
    if content is None:
        if otherwise is not None:
            return otherwise
        raise BuildError(f"{path.parent.name}: {path.name} is missing")
    file = f"{path.parent.name}/{path.name}"
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise BuildError(f"{file} line {error.lineno} is not JSON: {error.msg}") from error
    if not isinstance(value, dict):
        raise BuildError(f"{file} is not a JSON object")
    return value


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8-sig") if path.exists() else None


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
