"""The files of a template's folder: their names, and reading them with errors that name file and line."""

import json
import re
from pathlib import Path
from typing import Any, Final

from engine.errors import EngineError
from engine.schemas.request import TEMPLATE_NAME_PATTERN
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE

SOURCE_HTML: Final = "source.html"
SOURCE_TEXT: Final = "source.txt"
SAMPLE_FILE: Final = "sample.json"
SCHEMA_FILE: Final = "schema.json"
BRAND_FILE: Final = "brand.json"
LAYOUT_FOLDER: Final = "_layout"

PARTS: Final = (HTML_FILE, TEXT_FILE, METADATA_FILE)
"""What the engine reads."""

SHARED: Final = (*PARTS, SAMPLE_FILE, SCHEMA_FILE, SOURCE_HTML, SOURCE_TEXT)
"""What goes to the bucket: what the engine reads, and what the next author needs."""

ENCODING: Final = "utf-8-sig"
"""UTF-8, with or without a byte order mark, as some editors write it."""

NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 . _ - without '..'"


class TemplateToolError(EngineError):
    """A template or a file of it that can't be used; the message says which, and why."""


class BadFileError(TemplateToolError):
    """A file that can't be read as what it should be."""

    def __init__(self, path: Path, problem: str, line: int = 1) -> None:
        super().__init__(f"{path} line {line} {problem}" if line > 1 else f"{path} {problem}")
        self.path = path
        self.problem = problem
        self.line = line


def is_template_name(name: str) -> bool:
    """Whether a request can name a template so."""
    return re.search(TEMPLATE_NAME_PATTERN, name) is not None


def read_text(path: Path) -> str | None:
    """A file's text without a byte order mark; None where there is no file. Raises BadFileError."""
    try:
        return path.read_text(encoding=ENCODING)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise BadFileError(path, f"is not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise BadFileError(path, f"can't be read: {error.strerror}") from error


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no file. Raises BadFileError."""
    text = read_text(path)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFileError(path, f"is not JSON: {error.msg}", error.lineno) from error
    if not isinstance(value, dict):
        raise BadFileError(path, "is not a JSON object")
    return value


def json_text(value: Any) -> str:
    """A value as JSON for people to read and edit."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
