"""The recipients' file, line by line: CSV with a header, or one JSON object a line."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from msgspec import Struct

from engine.cli.campaign.columns import Columns
from engine.errors import EngineError


class RecipientsError(EngineError):
    """The file can't be read on from here; the message names file, line and what was expected."""


class Line(Struct, frozen=True):
    """One row: `row` counts rows from 0, `number` is the line that it begins on, counted from 1.

    `detail`: the fields of an Email Request, unchecked; where there is a `problem`, none can be told.
    """

    row: int
    number: int
    detail: dict[str, Any] | None = None
    problem: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """Every row, one at a time. Raises RecipientsError."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise RecipientsError(f"{path}: expected a file that ends in {', '.join(_READERS)}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from read(path, file)
    except OSError as error:
        raise RecipientsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RecipientsError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from None


# -- CSV -------------------------------------------------------------------------------------------------


def _csv_lines(path: Path, file: TextIO) -> Iterator[Line]:
    header = file.readline()
    columns = _columns(path, header)
    rows = csv.reader(file, delimiter=columns.delimiter, strict=True)
    row, begins = 0, 2
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise RecipientsError(f"{path} line {begins}: is not CSV: {error}") from None
        if cells is None:
            return
        if cells:
            detail, problem = columns.read(cells)
            yield Line(row, begins, detail, problem)
            row += 1
        begins = rows.line_num + 2


def _columns(path: Path, header: str) -> Columns:
    """A table program may write semicolons or tabs: the delimiter is the one that makes `to` a column."""
    for delimiter in ",;\t":
        try:
            names = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise RecipientsError(f"{path} line 1: is not a CSV header: {error}") from None
        if "to" in names:
            columns = Columns(names, delimiter)
            if columns.problem:
                raise RecipientsError(f"{path} line 1: {columns.problem}")
            return columns
    raise RecipientsError(f"{path} line 1: expected a header with a column 'to'")


# -- JSON lines ------------------------------------------------------------------------------------------


def _json_lines(_: Path, file: TextIO) -> Iterator[Line]:
    row = 0
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            detail = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Line(row, number, problem=f"is not JSON: {error}")
        else:
            problem = "" if isinstance(detail, dict) else 'expected an object, as in {"to": …}'
            yield Line(row, number, detail if isinstance(detail, dict) else None, problem)
        row += 1


_READERS: Final[dict[str, Callable[[Path, TextIO], Iterator[Line]]]] = {
    ".csv": _csv_lines,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
