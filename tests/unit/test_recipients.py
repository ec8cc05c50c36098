"""A recipients' file: what its rows ask for, and what is wrong with them by line and field."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.cli.campaign.plan import LONGEST_PREFIX, CheckedRow, Plan
from engine.cli.campaign.recipients import RecipientsError, RecipientsFile
from engine.requests.email_job import from_event
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest


def checked(file: Path, content: str | bytes, **more: Any) -> list[CheckedRow]:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    plan: dict[str, Any] = {"template": "welcome", "prefix": "spring"}
    return list(Plan(recipients=file, **(plan | more)).check(RecipientsFile(file)))


def requests(file: Path, content: str | bytes, **more: Any) -> list[EmailRequest]:
    rows = checked(file, content, **more)
    assert not [row.problem for row in rows if row.problem]
    return [row.request for row in rows if row.request]


def problems(file: Path, content: str | bytes, **more: Any) -> dict[int, str]:
    """By line."""
    return {row.row.line: row.problem for row in checked(file, content, **more) if row.problem}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "customers.jsonl"


# -- CSV -----------------------------------------------------------------------------------------------------


def test_a_column_to_is_the_recipient_and_other_columns_are_the_templates(table: Path) -> None:
    ada, bob = requests(table, "to,userName,plan\nada@example.com,Ada,gold\nbob@example.com,Bob,\n")
    assert (ada.to, ada.template_name, ada.priority) == ("ada@example.com", "welcome", "transactional")
    assert ada.template_data == {"userName": "Ada", "plan": "gold"}
    assert bob.template_data == {"userName": "Bob", "plan": ""}


def test_columns_named_as_fields_of_the_request_are_those_fields(table: Path) -> None:
    header = (
        "to,cc,bcc,replyTo,senderOverride.email,senderOverride.name,unsubscribe.url,metadata.order,tags.kind,"
        "headers.X-Kind,templateData.to,idempotencyKey"
    )
    (request,) = requests(
        table,
        f"{header}\nada@example.com,b@example.com; c@example.com,,r@example.com,s@shop.example,Shop,"
        "https://shop.example/u,7,news,x,you,order-7\n",
    )
    assert request.cc == ["b@example.com", "c@example.com"]
    assert (request.bcc, request.reply_to) == ([], ["r@example.com"])
    assert request.sender_override is not None
    assert (request.sender_override.email, request.sender_override.name) == ("s@shop.example", "Shop")
    assert request.unsubscribe is not None
    assert request.unsubscribe.url == "https://shop.example/u"
    assert (request.metadata, request.tags, request.headers) == (
        {"order": "7"},
        {"kind": "news"},
        {"X-Kind": "x"},
    )
    assert request.template_data == {"to": "you"}
    assert request.idempotency_key == "spring:order-7"


def test_an_empty_cell_of_an_optional_field_leaves_it_out(table: Path) -> None:
    header = "to,cc,unsubscribe.url,senderOverride.email,metadata.order,idempotencyKey"
    (request,) = requests(table, f"{header}\nada@example.com,,,,,\n")
    assert (request.cc, request.unsubscribe, request.sender_override, request.metadata) == (
        [],
        None,
        None,
        {},
    )


FIELDS = [field.encode_name for field in msgspec.structs.fields(EmailRequest)]
BY_CONTRACT = {
    *("templateName", "priority", "dryRun", "idempotencyKey", "campaign", "topic", "expiresAt"),
    *("senderOverride", "unsubscribe", "attachments", "headers", "tags", "metadata", "templateData"),
}


@pytest.mark.parametrize("name", sorted({*FIELDS, *BY_CONTRACT} - {"to"}))
def test_a_column_named_as_a_field_is_that_field_or_refused_by_name_and_never_a_variable(
    table: Path, name: str
) -> None:
    cells = {
        "templateName": "invoice",
        "priority": "bulk",
        "dryRun": "true",
        "campaign": "spring",
        "topic": "news",
        "expiresAt": "2026-11-25T12:00:00+01:00",
    }
    cell = cells.get(name, "x@example.com")
    rows, refusal = [], ""
    try:
        rows = checked(table, f"to,{name}\nada@example.com,{cell}\n")
    except RecipientsError as error:
        refusal = str(error)
    assert rows or f"column {name!r}: " in refusal
    assert all(row.request is not None and row.request.template_data == {} for row in rows)


def test_template_priority_and_dry_run_of_a_row_are_those_of_its_request(table: Path) -> None:
    text = "to,templateName,priority,dryRun\na@example.com,invoice,bulk,TRUE\nb@example.com,,,\n"
    first, second = requests(table, text)
    assert (first.template_name, first.priority, first.dry_run) == ("invoice", "bulk", True)
    assert (second.template_name, second.priority, second.dry_run) == ("welcome", "transactional", False)


def test_a_dry_run_that_is_neither_true_nor_false_is_a_bad_row(table: Path) -> None:
    assert problems(table, "to,dryRun\na@example.com,yes\n") == {
        2: "dryRun: expected true or false, not 'yes'"
    }


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        ("metadata", "a cell can't hold it; expected metadata.NAME"),
        ("templateData", "a cell can't hold it; expected templateData.NAME"),
        ("senderOverride", "expected one of senderOverride.email, senderOverride.name"),
        ("senderOverride.emial", "expected one of senderOverride.email, senderOverride.name"),
        ("attachments", "a cell can't hold it; a file of JSON lines can"),
        ("cc.first", "cc has no parts"),
        ("dryrun", "is it the field 'dryRun'?"),
        ("dry_run", "is it the field 'dryRun'?"),
        ("Template Name", "is it the field 'templateName'? a variable of the template is also called"),
    ],
)
def test_a_column_that_can_be_no_field_and_looks_like_one_is_refused_with_what_was_expected(
    table: Path, column: str, complaint: str
) -> None:
    with pytest.raises(RecipientsError, match="line 1: column") as caught:
        checked(table, f"to,{column}\nada@example.com,true\n")
    assert repr(column) in str(caught.value)
    assert complaint in str(caught.value)


def test_header_cells_are_stripped_of_all_that_cannot_be_seen(table: Path) -> None:
    text = "\u00a0to\u200b ; userName\u00a0;  cc\nada@example.com;Ada;\n"
    (request,) = requests(table, text)
    assert request.template_data == {"userName": "Ada"}


@pytest.mark.parametrize(
    "address", ["\u00a0ada@example.com", "ada@example.com\u200b", "\ufeffada@example.com\t "]
)
def test_spaces_that_cannot_be_seen_are_taken_off_an_address(table: Path, lines: Path, address: str) -> None:
    copy = address.replace("ada", "cy")
    (row,) = requests(table, f"to,cc,senderOverride.email\n{address},{copy};b@example.com,{address}\n")
    assert (row.to, row.cc) == ("ada@example.com", ["cy@example.com", "b@example.com"])
    assert row.sender_override is not None
    assert row.sender_override.email == "ada@example.com"
    (line,) = requests(lines, json.dumps({"to": address, "bcc": [copy]}))
    assert (line.to, line.bcc) == ("ada@example.com", ["cy@example.com"])


def test_the_text_of_a_variable_stays_as_it_is(table: Path) -> None:
    (request,) = requests(table, "to,note\nada@example.com, two  spaces\u00a0\n")
    assert request.template_data == {"note": " two  spaces\u00a0"}


def test_what_a_spreadsheet_leaves_is_passed_over_and_counted(table: Path) -> None:
    lines = [
        "\ufeffsep=;",
        "",
        "to;name;;",
        "a@example.com;Ada;;",
        ";;;",
        " ",
        "nobody;B",
        "c@example.com;C;;;",
    ]
    table.write_text("\r\n".join(lines), newline="")
    file = RecipientsFile(table)
    rows = list(Plan(recipients=table, template="welcome", prefix="p").check(file))
    assert [(row.row.row, row.row.line, bool(row.request)) for row in rows] == [
        (0, 4, True),
        (1, 7, False),
        (2, 8, True),
    ]
    assert (file.blank_rows, file.empty_columns) == (3, 2)


def test_a_cell_in_a_column_without_a_name_is_not_passed_over(table: Path) -> None:
    assert problems(table, "to,name,\na@example.com,Ada,lost\n") == {
        2: "has 3 cells; the header has 2 columns"
    }


def test_blank_lines_of_a_json_file_are_counted(lines: Path) -> None:
    lines.write_text('\n{"to": "ada@example.com"}\n\u00a0\n')
    file = RecipientsFile(lines)
    assert len(list(file)) == 1
    assert file.blank_rows == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_programs_may_write_their_own_delimiter_and_a_byte_order_mark(
    table: Path, delimiter: str
) -> None:
    text = f'\ufeffto{delimiter}name\r\nada@example.com{delimiter}"Ada{delimiter} Countess"\r\n'
    (request,) = requests(table, text)
    assert request.template_data == {"name": f"Ada{delimiter} Countess"}


def test_cells_may_hold_line_breaks_and_lines_are_counted_with_them(table: Path) -> None:
    text = 'to,note\n"ada@example.com","two\nlines"\n\nnobody,x\n'
    assert list(problems(table, text)) == [5]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("bob@,x,", "to is not an email address"),
        (",x,", "to is empty"),
        ("bob@example.com,x", "has 2 cells; the header has 3 columns"),
        ("bob@example.com,x,,y", "has 4 cells; the header has 3 columns"),
        ("bob@example.com,x,cc@", "cc[0] is not an email address"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(table: Path, row: str, problem: str) -> None:
    found = problems(table, f"to,name,cc\nada@example.com,Ada,\n{row}\n")
    assert list(found) == [3]
    assert problem in found[3]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: expected a header with a column 'to'"),
        ("email,name\na@example.com,A\n", "line 1: expected a header with a column 'to'"),
        ("to,name,name\n", "column 'name' is there twice"),
        ("to,,name\n", "column 2 has no name"),
        ("to,metdata.order\n", "column 'metdata.order': expected one of headers, metadata,"),
        ("to,metadata.\n", "column 'metadata.'"),
        ('to,"name\n', "line 1: is not a CSV header"),
        ('to,name\na@example.com,A\nb@example.com,"B\n', "line 3: is not CSV: unexpected end of data"),
        (b"to,name\na@example.com,\xff\n", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused_as_a_whole(
    table: Path, content: str | bytes, complaint: str
) -> None:
    with pytest.raises(RecipientsError) as caught:
        checked(table, content)
    assert complaint in str(caught.value)
    assert table.name in str(caught.value)


# -- JSON lines ----------------------------------------------------------------------------------------------


def test_a_json_line_is_a_request_and_the_options_fill_in_what_it_leaves_out(lines: Path) -> None:
    text = (
        '{"to": "ada@example.com", "templateData": {"items": [1, {"n": null}]}}\n\n'
        '{"to": "bob@example.com", "templateName": "invoice", "priority": "transactional"}\n'
    )
    ada, bob = requests(lines, text, bulk=True)
    assert (ada.template_name, ada.priority) == ("welcome", "bulk")
    assert ada.template_data == {"items": [1, {"n": None}]}
    assert (bob.template_name, bob.priority) == ("invoice", "transactional")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", 'expected an object, as in {"to": …}'),
        ('{"to": "ada@example.com", "surprise": 1}', "unknown field 'surprise'"),
        ('{"to": "ada@example.com", "templateData": []}', "templateData: Expected 'object'"),
        ('{"to": "ada@example.com", "templateName": "../x"}', "templateName: must be 1 to 64"),
        ('{"to": "ada@example.com", "templateData": {"a": "\\ud800"}}', "not valid Unicode"),
        (json.dumps({"to": "ada@example.com", "idempotencyKey": "k" * 256}), "idempotencyKey: is longer"),
    ],
)
def test_a_bad_json_line_is_named_with_its_field(lines: Path, text: str, problem: str) -> None:
    found = problems(lines, '{"to": "ada@example.com"}\n' + text + "\n")
    assert list(found) == [2]
    assert problem in found[2]


def test_another_kind_of_file_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipientsError, match=r"ends in \.csv, \.jsonl, \.ndjson"):
        checked(tmp_path / "customers.xlsx", "")
    with pytest.raises(RecipientsError, match="No such file"):
        list(RecipientsFile(tmp_path / "none.csv"))


def test_data_that_could_never_be_rendered_is_found(table: Path, lines: Path) -> None:
    nul = "templateData: holds the character NUL, which the engine does not render"
    assert problems(table, "to,name\nada@example.com,A\0da\n") == {2: nul}
    deep = {"to": "ada@example.com", "templateData": {"items": [{"name": "A\0"}]}}
    assert problems(lines, json.dumps(deep)) == {1: nul}


# -- keys ----------------------------------------------------------------------------------------------------


def test_the_same_row_has_the_same_key_wherever_it_stands_and_another_has_another(table: Path) -> None:
    rows = ["ada@example.com,Ada", "bob@example.com,Bob", "ada@example.com,Ada L."]
    before = [request.idempotency_key for request in requests(table, "\n".join(["to,name", *rows]))]
    after = [request.idempotency_key for request in requests(table, "\n".join(["to,name", *rows[::-1]]))]
    assert before == after[::-1]
    assert len(set(before)) == 3


def test_an_address_has_one_key_however_it_is_spelled(table: Path) -> None:
    spellings = ["ada@bücher.example", "Ada@BÜCHER.example", "\u200b ada@xn--bcher-kva.example "]
    keys = {request.idempotency_key for request in requests(table, "\n".join(["to", *spellings]))}
    assert len(keys) == 1


def test_two_rows_with_one_key_are_found_unless_they_ask_for_the_same_email(table: Path) -> None:
    rows = ["a@example.com,A,k1", "b@example.com,B,k2", "a@example.com,A,k1", "c@example.com,C,k1"]
    text = "\n".join(["to,name,idempotencyKey", *rows])
    assert problems(table, text) == {
        5: "idempotencyKey: 'k1' is the key of line 2, which is for another email"
    }
    first, _, again, _ = checked(table, text)
    assert first.request == again.request


def test_another_campaign_has_other_keys(table: Path) -> None:
    text = "to\nada@example.com\n"
    keys = {requests(table, text, prefix=prefix)[0].idempotency_key for prefix in ("spring", "summer")}
    keys |= {requests(table, text, template="invoice")[0].idempotency_key}
    assert len(keys) == 3


def test_the_longest_prefix_leaves_room_for_the_key(table: Path) -> None:
    (request,) = requests(table, "to\nada@example.com\n", prefix="p" * LONGEST_PREFIX)
    assert len(request.idempotency_key or "") == 256


def test_what_is_asked_for_passes_the_engines_own_checks_unchanged(table: Path) -> None:
    (request,) = requests(table, "to,name\nAda@EXAMPLE.com,Ada\n", engine_dry_run=True)
    assert request.dry_run
    event = EventBridgeEvent(id="e", detail=msgspec.to_builtins(request))
    assert from_event(event, from_event.__globals__["datetime"].min).request == request
