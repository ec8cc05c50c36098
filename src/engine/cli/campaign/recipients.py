"""The recipients' file, row by row: CSV with a header, or JSON lines."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from msgspec import Struct

from engine.cli.campaign.columns import Columns, trimmed
from engine.errors import EngineError

# Excel writes and reads such a first line: https://support.microsoft.com/office/5250ac4c-663c-47ce-937b-339e391393ba
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<delimiter>[,;\t|])"?\s*', re.IGNORECASE)


class RecipientsError(EngineError):
    """The file can't be read further; the message names file, line and what was expected."""


class RecipientRow(Struct, frozen=True):
    """One row: `row` counts rows from 0, `line` is the line on which it begins, counted from 1.

    `detail`: the fields of an Email Request, unchecked; None where there is a `problem`.
    """

    row: int
    line: int
    detail: dict[str, Any] | None = None
    problem: str = ""


class RecipientsFile:
    """Iterates over a file's rows, one at a time, and counts what it passes over. Raises RecipientsError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.blank_rows = 0
        self.empty_columns = 0

    def __iter__(self) -> Iterator[RecipientRow]:
        readers = {".csv": self._csv, ".jsonl": self._json_lines, ".ndjson": self._json_lines}
        read = readers.get(self._path.suffix.lower())
        if read is None:
            raise RecipientsError(f"{self._path}: expected a file that ends in {', '.join(readers)}")
        self.blank_rows = self.empty_columns = 0
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                yield from read(file)
        except OSError as error:
            raise RecipientsError(f"{self._path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise RecipientsError(f"{self._path}: is not UTF-8 ({error.reason}); save it as UTF-8") from None

    def _csv(self, file: TextIO) -> Iterator[RecipientRow]:
        delimiters, number = ",;\t", 1
        header = file.readline()
        while header and (not trimmed(header) or _SEPARATOR_LINE.fullmatch(header)):
            if match := _SEPARATOR_LINE.fullmatch(header):
                delimiters = match["delimiter"]
            else:
                self.blank_rows += 1
            header, number = file.readline(), number + 1
        columns, delimiter = self._columns(header, number, delimiters)
        self.empty_columns = columns.empty
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        row, begins = 0, number + 1
        while True:
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise RecipientsError(f"{self._path} line {begins}: is not CSV: {error}") from None
            if cells is None:
                return
            if any(trimmed(cell) for cell in cells):
                try:
                    yield RecipientRow(row, begins, columns.read(cells))
                except ValueError as error:
                    yield RecipientRow(row, begins, problem=str(error))
                row += 1
            else:
                self.blank_rows += 1
            begins = number + rows.line_num + 1

    def _columns(self, header: str, number: int, delimiters: str) -> tuple[Columns, str]:
        """The columns, and the delimiter: the one that makes `to` a column."""
        place = f"{self._path} line {number}"
        for delimiter in delimiters:
            try:
                cells = next(csv.reader([header], delimiter=delimiter, strict=True), [])
            except csv.Error as error:
                raise RecipientsError(f"{place}: is not a CSV header: {error}") from None
            if "to" in map(trimmed, cells):
                try:
                    return Columns.of(cells), delimiter
                except ValueError as error:
                    raise RecipientsError(f"{place}: {error}") from None
        raise RecipientsError(f"{place}: expected a header with a column 'to'")

    def _json_lines(self, file: TextIO) -> Iterator[RecipientRow]:
        row = 0
        for number, text in enumerate(file, 1):
            if not trimmed(text):
                self.blank_rows += 1
                continue
            try:
                detail = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield RecipientRow(row, number, problem=f"is not JSON: {error}")
            else:
                problem = "" if isinstance(detail, dict) else 'expected an object, as in {"to": …}'
                yield RecipientRow(row, number, detail if isinstance(detail, dict) else None, problem)
            row += 1
