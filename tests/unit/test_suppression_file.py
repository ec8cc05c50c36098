"""Suppressed addresses in a file: what is written is read again, and no spreadsheet runs it."""

import csv
import io
from pathlib import Path

import msgspec
import pytest

from engine.operations.suppression_file import (
    COLUMNS,
    BadRow,
    SuppressionFileError,
    quoted,
    read,
    unquoted,
    write,
    write_header,
)
from engine.operations.suppression_table import Entry

TODAY = "2026-11-25T08:00:00.000Z"
ADA = Entry(
    address="ada@example.com",
    type="bounce",
    reason="hard-bounce",
    since="2026-11-24T08:00:00.000Z",
    email_id="e-1",
    diagnostic_code='=HYPERLINK("http://x.example","550, 5.1.1 no such user")',
    added_by="feedback",
)
BOB = Entry(address="bob@example.com", type="unsubscribe", reason="link", since=TODAY, topic="*")
PLUS = Entry(address="+1@example.com", type="manual", reason="'=quoted already", since=TODAY, added_by="-me")


def entries(path: Path, text: str, kind: str | None = None) -> list[Entry | BadRow]:
    path.write_text(text, encoding="utf-8")
    return list(read(path, kind, added_by="me", today=TODAY))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def test_what_is_written_is_read_again(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_header(file)
        assert write(file, [ADA, BOB, PLUS]) == 3
    told = [ADA, msgspec.structs.replace(BOB, added_by="me"), PLUS]
    assert list(read(path, None, added_by="me", today=TODAY)) == told


def test_no_cell_begins_as_a_formula() -> None:
    file = io.StringIO()
    write_header(file)
    write(file, [ADA, BOB, PLUS])
    file.seek(0)
    rows = list(csv.reader(file))
    assert rows[0] == list(COLUMNS)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize(
    "cell", ["=1+1", "+49", "-1", "@SUM", "\tx", "\rx", "'=1", "''", "plain", "it's", ""]
)
def test_quoting_is_undone(cell: str) -> None:
    assert unquoted(quoted(cell)) == cell


def test_a_list_of_addresses_alone_is_enough(path: Path) -> None:
    found = entries(path, "email\nAda@Example.com\n", kind="complaint")
    assert found == [
        Entry(address="ada@example.com", type="complaint", reason="imported", since=TODAY, added_by="me")
    ]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("ada@,,", "email is not an email address"),
        ("ada@example.com,spite,", "suppressionType is none of bounce, complaint, manual, unsubscribe"),
        ("ada@example.com,bounce,news", "only a row of type unsubscribe has a topic"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_keeps_no_other_out(path: Path, cells: str, problem: str) -> None:
    bad, good = entries(path, f"email,suppressionType,topic\n{cells}\nbob@example.com,,\n")
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert bad.problem.startswith(problem)
    assert isinstance(good, Entry)


def test_a_date_that_is_none_is_told(path: Path) -> None:
    (bad,) = entries(path, "email,addedToSuppressionDate\nada@example.com,yesterday\n")
    assert isinstance(bad, BadRow)
    assert "2026-11-24T08:15:30Z" in bad.problem


@pytest.mark.parametrize("text", ["address\nada@example.com\n", "", 'email\n"ada'])
def test_a_file_that_is_no_list_is_refused(path: Path, text: str) -> None:
    with pytest.raises(SuppressionFileError, match=r"list\.csv"):
        entries(path, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(path: Path) -> None:
    with pytest.raises(SuppressionFileError, match="No such file"):
        list(read(path, None, added_by="me", today=TODAY))
    path.write_bytes(b"email\n\xff\n")
    with pytest.raises(SuppressionFileError, match="UTF-8"):
        list(read(path, None, added_by="me", today=TODAY))
