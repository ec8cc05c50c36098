"""Suppressed addresses as a CSV file with a header; what a spreadsheet would run is quoted.

A cell that begins with = + - @ a tab or a carriage return is a formula to a spreadsheet, and a diagnostic is
the words of whoever runs the receiving server. Such a cell gets an apostrophe in front, which is taken off
again when the file is read.
Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
from msgspec import Struct

from engine.errors import EngineError
from engine.operations.suppression_table import TYPES, Entry
from engine.requests.addresses import BadAddress, address_key, normalised
from engine.schemas.request import TOPIC_PATTERN
from engine.schemas.times import iso, parse_iso
from engine.tracking.consent import EVERY_TOPIC

COLUMNS: Final = (
    "email",
    "topic",
    "suppressionType",
    "reason",
    "addedToSuppressionDate",
    "emailId",
    "diagnosticCode",
    "addedBy",
)
_RUN_BY_SPREADSHEETS: Final = ("=", "+", "-", "@", "\t", "\r")
_QUOTED: Final = (*_RUN_BY_SPREADSHEETS, "'")


class SuppressionFileError(EngineError):
    """The file as a whole can't be read; the message names it, and what was expected."""


class BadRow(Struct, frozen=True, kw_only=True, rename="camel"):
    """`line` counts from 1, with the header."""

    line: int
    problem: str


def quoted(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_QUOTED) else cell


def unquoted(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_QUOTED) else cell


def write(file: TextIO, entries: Iterable[Entry]) -> int:
    """Add rows to a file; how many."""
    rows = csv.writer(file, lineterminator="\r\n")
    count = 0
    for each in entries:
        cells = (
            each.address,
            each.topic,
            each.type,
            each.reason,
            each.since,
            each.email_id,
            each.diagnostic_code,
            each.added_by,
        )
        rows.writerow([quoted(cell or "") for cell in cells])
        count += 1
    return count


def write_header(file: TextIO) -> None:
    csv.writer(file, lineterminator="\r\n").writerow(COLUMNS)


def read(path: Path, kind: str | None, *, added_by: str, today: str) -> Iterator[Entry | BadRow]:
    """What each row means; `kind` and `today` where it names no type or date. Raises SuppressionFileError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if "email" not in (rows.fieldnames or ()):
                raise SuppressionFileError(
                    f"{path}: expected a header with a column `email`, and if known {', '.join(COLUMNS[1:])}"
                )
            for cells in rows:
                yield _entry(cells, rows.line_num, kind, added_by, today)
    except OSError as error:
        raise SuppressionFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SuppressionFileError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise SuppressionFileError(f"{path}: is not CSV: {error}") from None


def _entry(
    cells: dict[str | Any, str | Any], line: int, kind: str | None, added_by: str, today: str
) -> Entry | BadRow:
    given = {name: unquoted(text.strip()) for name, text in cells.items() if isinstance(text, str)}
    topic, type_ = given.get("topic") or None, given.get("suppressionType") or kind or "manual"
    since = given.get("addedToSuppressionDate")
    moment = parse_iso(since) if since else None
    problem = _problem(given.get("email", ""), topic, type_)
    if since and moment is None:
        problem = "addedToSuppressionDate is no time; expected ISO 8601, as in 2026-11-24T08:15:30Z"
    if problem:
        return BadRow(line=line, problem=problem)
    return Entry(
        address=address_key(given["email"]),
        type=type_,
        reason=given.get("reason", "") or "imported",
        since=iso(moment) if moment else today,
        topic=(topic or "*") if type_ == "unsubscribe" else None,
        email_id=given.get("emailId") or None,
        diagnostic_code=given.get("diagnosticCode") or None,
        added_by=given.get("addedBy") or added_by,
    )


def _problem(address: str, topic: str | None, kind: str) -> str | None:
    try:
        normalised(address)
    except BadAddress as error:
        return f"email {error}"
    if kind not in TYPES:
        return f"suppressionType is none of {', '.join(TYPES)}"
    if topic and kind != "unsubscribe":
        return "only a row of type unsubscribe has a topic"
    if topic and topic != EVERY_TOPIC and not re.fullmatch(TOPIC_PATTERN, topic):
        return f"topic is none: expected {EVERY_TOPIC}, or 1 to 64 of a-z 0-9 -"
    return None


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    return (f"{msgspec.json.encode(each).decode()}\n" for each in entries)


def ses_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """The lines of an import job of SES: address and reason.

    Source: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
    """
    return (
        f"{each.address},{each.type.upper()}\n" for each in entries if each.type in {"bounce", "complaint"}
    )
