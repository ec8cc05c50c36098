"""A template as a folder on disk, as its author has it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from engine.authoring.build import SAMPLE_FILE, SCHEMA_FILE, SOURCE_HTML, SOURCE_TEXT
from engine.templating.template import (
    HTML_FILE,
    METADATA_FILE,
    TEXT_FILE,
    Rendered,
    Template,
    compile_template,
)

PARTS: Final = (HTML_FILE, TEXT_FILE, METADATA_FILE)
"""What the engine reads."""

SHARED: Final = (*PARTS, SAMPLE_FILE, SCHEMA_FILE, SOURCE_HTML, SOURCE_TEXT)
"""What goes to the bucket: what the engine reads, and what the next author needs."""


class NoTemplateError(Exception):
    """A folder that holds no template, or a file of it that can't be read."""


@dataclass(frozen=True)
class Folder:
    """One template: `path` holds its files, the folder's name is the template's."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, file: str) -> str | None:
        """A file's text, None where there is none. Raises NoTemplateError where it is not UTF-8."""
        path = self.path / file
        if not path.is_file():
            return None
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise NoTemplateError(f"{path} is not UTF-8 at byte {error.start}") from error

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """metadata.json; empty where it can't be read, which compiling says with its reason."""
        return self._object(METADATA_FILE)

    def sample(self) -> dict[str, Any] | None:
        """The data of sample.json; None where there is none."""
        return None if self.read(SAMPLE_FILE) is None else self._object(SAMPLE_FILE)

    def names(self, field: str) -> list[str]:
        """The variables that metadata.json lists in `requiredVariables` or `optionalVariables`."""
        listed = self.metadata.get(field, [])
        return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []

    def compile(self, html: str | None = None) -> Template:
        """The template as the engine would have it, perhaps with another `html`. Raises Refused."""
        source = self.read(HTML_FILE) if html is None else html
        metadata = self.read(METADATA_FILE)
        return compile_template(self.name, source, self.read(TEXT_FILE), (metadata or "").encode())

    def render(self, data: dict[str, Any]) -> Rendered:
        """The email with `data`. Raises Refused."""
        return self.compile().render(data)

    def line_of(self, file: str, text: str) -> int:
        """The first line of a file that holds `text`; 1 where none does."""
        lines = (self.read(file) or "").splitlines()
        return next((number for number, line in enumerate(lines, 1) if text in line), 1)

    def _object(self, file: str) -> dict[str, Any]:
        try:
            value = json.loads(self.read(file) or "{}")
        except json.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


def find_folders(directory: Path) -> list[Folder]:
    """The templates of a directory, or the directory itself where it is one; raises NoTemplateError."""
    found = [Folder(directory.resolve())] if _is_template(directory) else list(_templates_in(directory))
    if not found:
        raise NoTemplateError(
            f"{directory}: there is no template; expected folders that hold {METADATA_FILE} and {HTML_FILE}"
        )
    return found


def find_folder(directory: Path, name: str) -> Folder:
    """The template of that name among those of a directory; raises NoTemplateError."""
    found = [Folder(directory.resolve())] if _is_template(directory) else list(_templates_in(directory))
    for folder in found:
        if folder.name == name:
            return folder
    raise NoTemplateError(
        f"{directory / name}: there is no template; `sesmailengine templates new {name}` makes one"
    )


def _templates_in(directory: Path) -> Iterator[Folder]:
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if not path.name.startswith(("_", ".")) and _is_template(path):
            yield Folder(path)


def _is_template(path: Path) -> bool:
    return any((path / file).is_file() for file in (*PARTS, SOURCE_HTML))
