"""A template as a folder on disk, as its author has it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.authoring.files import (
    PARTS,
    SAMPLE_FILE,
    SOURCE_HTML,
    BadFileError,
    TemplateToolError,
    read_object,
    read_text,
)
from engine.templating.template import (
    HTML_FILE,
    METADATA_FILE,
    TEXT_FILE,
    Rendered,
    Template,
    compile_template,
)


class NoTemplateError(TemplateToolError):
    """A folder that holds no template."""


@dataclass(frozen=True)
class Folder:
    """One template: `path` holds its files, the folder's name is the template's."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, file: str) -> str | None:
        """A file's text, None where there is none. Raises BadFileError."""
        return read_text(self.path / file)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """metadata.json; empty where it can't be read, since compiling refuses it with the reason."""
        with suppress(BadFileError):
            return read_object(self.path / METADATA_FILE) or {}
        return {}

    def sample(self) -> dict[str, Any] | None:
        """The data of sample.json; None where there is none. Raises BadFileError."""
        return read_object(self.path / SAMPLE_FILE)

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


def find_folders(directory: Path) -> list[Folder]:
    """The templates of a directory, or the directory itself where it is one; raises NoTemplateError."""
    found = list(_folders(directory))
    if not found:
        raise NoTemplateError(
            f"{directory}: there is no template; expected folders that hold {METADATA_FILE} and {HTML_FILE}"
        )
    return found


def find_folder(directory: Path, name: str) -> Folder:
    """The template of that name among those of a directory; raises NoTemplateError."""
    for folder in _folders(directory):
        if folder.name == name:
            return folder
    raise NoTemplateError(
        f"{directory / name}: there is no template; `sesmailengine templates new {name}` makes one"
    )


def _folders(directory: Path) -> Iterator[Folder]:
    if _is_template(directory):
        yield Folder(directory.resolve())
    elif directory.is_dir():
        for path in sorted(directory.iterdir()):
            if not path.name.startswith(("_", ".")) and _is_template(path):
                yield Folder(path)


def _is_template(directory: Path) -> bool:
    return any((directory / file).is_file() for file in (*PARTS, SOURCE_HTML))
