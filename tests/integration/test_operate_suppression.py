"""`sesmailengine suppression`: both lists together, and the way back after a mistake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import LARGE, Cloud, request_event
from tests.support.operators import Operator, facts
from typer.testing import Result

from engine.cli.operate.command import INTERRUPTED
from engine.errors import ServiceUnavailable
from engine.handlers import email_sender
from engine.local.ses.suppression import Filter
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.ses_list import SesList
from engine.operations.suppression_table import SuppressionTable

ADA = "ada@example.com"


@pytest.fixture
def suppression(cloud: Cloud) -> Callable[..., Result]:
    operator = Operator(cloud)
    return lambda *words: operator.run("suppression", *words)


@pytest.fixture(params=[(KeyboardInterrupt(), INTERRUPTED), (ServiceUnavailable("DynamoDB is away"), 1)])
def breaks_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Whatever changes a list breaks off; the exit code of a command that does."""
    error, exit_code = request.param

    async def break_off(*_: Any) -> None:
        raise error

    monkeypatch.setattr(SuppressionTable, "add", break_off)
    monkeypatch.setattr(SesList, "put", break_off)
    monkeypatch.setattr(SesList, "remove", break_off)
    return int(exit_code)


def suppress(cloud: Cloud, key: str = ADA, kind: str = "bounce", **more: str) -> None:
    row = {"reason": "hard-bounce", "addedToSuppressionDate": "2026-11-24T08:00:00.000Z"} | more
    cloud.put("Suppression", email=key, suppressionType=kind, **row)


def on_ses(ses: ThreadedSimulator, *addresses: str) -> None:
    for address in addresses:
        ses.simulator.suppression.put(address, "BOUNCE")


def keys(cloud: Cloud) -> list[str]:
    return sorted(item["email"] for item in cloud.items("Suppression"))


def test_show_tells_of_both_lists_and_the_email_it_came_of(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    suppress(cloud, emailId="e-1", diagnosticCode="550 no such user")
    suppress(cloud, f"*#{ADA}", "unsubscribe")
    suppress(cloud, f"news#{ADA}", "unsubscribe")
    suppress(cloud, "news#canada@example.com", "unsubscribe")
    cloud.put(
        "EmailTracking", emailId="e-1", status="bounced", templateName="welcome", timestamp="2026-11-24"
    )
    on_ses(ses, "Ada@Example.com")
    found = facts(suppression("show", " ADA@example.com ", "--json"))
    assert [each.get("topic") for each in found["entries"]] == [None, "*", "news"]
    assert found["entries"][0]["diagnosticCode"] == "550 no such user"
    assert [each["reason"] for each in found["ses"]] == ["BOUNCE"]
    assert found["cameOf"][0]["emailId"] == "e-1"
    told = suppression("show", ADA).output.replace("\n", " ")
    assert "on the engine's list and on SES's account list; it has unsubscribed from all topics, news" in told


def test_an_address_on_no_list_is_found_on_none(suppression: Callable[..., Result]) -> None:
    answer = suppression("show", ADA)
    assert answer.exit_code == 1
    assert "is on neither list" in answer.output


def test_list_shows_the_newest_of_a_type(suppression: Callable[..., Result], cloud: Cloud) -> None:
    for day in range(10, 15):
        suppress(cloud, f"u{day}@example.com", addedToSuppressionDate=f"2026-11-{day}T08:00:00.000Z")
    suppress(cloud, "m@example.com", "manual", addedToSuppressionDate="2026-11-12T09:00:00.000Z")
    answer = facts(suppression("list", "--limit", "3", "--json"))
    assert [each["address"].partition("@")[0] for each in answer["entries"]] == ["u14", "u13", "m"]
    assert answer["more"] is True
    answer = facts(suppression("list", "--type", "bounce", "--since", "2026-11-13", "--json"))
    assert len(answer["entries"]) == 2
    assert suppression("list", "--type", "complaint").exit_code == 1
    assert suppression("list", "--type", "spite").exit_code == 2


def test_add_stops_mail_and_is_told_on_the_bus(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    heard = Operator(cloud).listen()
    answer = suppression("add", "Ada@Example.com", "--because", "asked by phone", "--ses", "--yes")
    assert answer.exit_code == 0, answer.output
    (row,) = cloud.items("Suppression")
    assert (row["email"], row["suppressionType"], row["reason"]) == (ADA, "manual", "asked by phone")
    assert row["addedBy"].startswith("arn:aws:")
    assert ses.simulator.suppression.get(ADA).reason == "BOUNCE"
    assert heard() == [("suppression-add", ADA, "asked by phone")]
    assert suppression("add", "ada@", "--because", "x", "--yes").exit_code == 2


def test_remove_takes_every_spelling_off_both_lists(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    suppress(cloud, "ada@xn--bcher-kva.example")
    suppress(cloud, "ada@bücher.example")
    cloud.put("State", pk="soft-bounces#ada@xn--bcher-kva.example", ttl=1)
    on_ses(ses, "ada@xn--bcher-kva.example")
    answer = suppression("remove", "Ada@Bücher.example", "--yes")
    assert answer.exit_code == 0, answer.output
    assert keys(cloud) == []
    assert cloud.items("State") == []
    assert "SES's global list" in answer.output.replace("\n", " ")
    assert suppression("remove", "Ada@Bücher.example", "--yes").exit_code == 1


def test_remove_leaves_the_persons_own_wish(suppression: Callable[..., Result], cloud: Cloud) -> None:
    suppress(cloud)
    suppress(cloud, f"news#{ADA}", "unsubscribe")
    answer = suppression("remove", ADA, "--yes", "--json")
    assert [each["topic"] for each in facts(answer)["left"]] == ["news"]
    assert keys(cloud) == [f"news#{ADA}"]


def test_resend_sends_the_email_refused_last_once(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    suppress(cloud)
    email_sender.handler(request_event(idempotencyKey="order-1", time=None, metadata={"order": "1"}), None)
    (refused,) = cloud.rows()
    assert (refused["status"], refused["failureCode"]) == ("failed", "suppressed")
    requests = Operator(cloud).listen("Email Request")
    first, second = (suppression("remove", ADA, "--resend", "--yes") for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    asked = requests.events()
    assert len(asked) == 2
    for event in asked:
        email_sender.handler(event, None)
    assert len(ses.messages) == 1
    assert asked[0]["source"] == "shop"
    assert asked[0]["detail"]["metadata"] == {"order": "1"}


def test_resend_says_where_the_request_is_gone(suppression: Callable[..., Result], cloud: Cloud) -> None:
    suppress(cloud)
    answer = suppression("remove", ADA, "--resend", "--yes")
    assert answer.exit_code == 1
    assert "no email to the address was refused" in answer.output.replace("\n", " ")
    suppress(cloud)
    email_sender.handler(request_event(**LARGE), None)
    answer = suppression("remove", ADA, "--resend", "--yes")
    assert "too large to lie in its row" in answer.output.replace("\n", " ")


def test_what_is_exported_can_be_imported(
    suppression: Callable[..., Result], cloud: Cloud, tmp_path: Path
) -> None:
    suppress(cloud, diagnosticCode="=cmd()")
    suppress(cloud, "*#bob@example.com", "unsubscribe")
    file = tmp_path / "list.csv"
    before = cloud.items("Suppression")
    assert suppression("export", str(file)).exit_code == 0
    assert "'=cmd()" in file.read_text()
    for key in keys(cloud):
        cloud.dynamodb.delete_item(TableName=cloud.name("Suppression"), Key={"email": {"S": key}})
    answer = suppression("import", str(file), "--yes")
    assert answer.exit_code == 0, answer.output
    after = [
        {name: value for name, value in row.items() if name != "addedBy"}
        for row in cloud.items("Suppression")
    ]
    assert sorted(after, key=str) == sorted(before, key=str)


def test_import_says_what_it_left_out_and_puts_onto_ses_when_told(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email\nada@example.com\nnobody\n")
    answer = suppression("import", str(file), "--type", "complaint", "--ses", "--yes", "--json")
    assert answer.exit_code == 1
    done = facts(answer)
    assert (done["rows"], done["ses"], done["bad"], done["badRows"][0]["line"]) == (1, 1, 1, 3)
    assert ses.simulator.suppression.get(ADA).reason == "COMPLAINT"
    assert keys(cloud) == [ADA]
    assert suppression("import", str(tmp_path / "none.csv"), "--yes").exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "FILE"), ("suppression-import", "up to 3 addresses", "list.csv")),
        (("sync", "--pull"), ("suppression-pull", "up to 1 addresses", "")),
        (("remove", ADA), ("suppression-remove", ADA, "")),
        (("add", ADA, "--because", "asked", "--ses"), ("suppression-add", ADA, "asked")),
    ],
)
def test_what_is_broken_off_is_told_all_the_same(
    suppression: Callable[..., Result],
    cloud: Cloud,
    ses: ThreadedSimulator,
    tmp_path: Path,
    *,
    breaks_off: int,
    words: tuple[str, ...],
    told: tuple[str, str, str],
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email\na@example.com\nb@example.com\nc@example.com\n")
    suppress(cloud)
    on_ses(ses, "theirs@example.com")
    heard = Operator(cloud).listen()
    answer = suppression(*(str(file) if word == "FILE" else word for word in words), "--yes")
    assert answer.exit_code == breaks_off
    assert heard() == [told]


def test_what_changed_nothing_is_not_told(suppression: Callable[..., Result], cloud: Cloud) -> None:
    heard = Operator(cloud).listen()
    suppression("remove", ADA, "--yes")
    suppression("sync", "--pull", "--yes")
    assert heard() == []


def test_too_many_for_ses_are_refused_with_the_calls_that_import_them_in_parts(
    suppression: Callable[..., Result], cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.operations.suppression_sync.MOST_FOR_SES", 2)
    file = tmp_path / "list.csv"
    file.write_text("email\na@example.com\nb@example.com\nc@example.com\n")
    answer = suppression("import", str(file), "--ses", "--yes")
    assert answer.exit_code == 1
    assert "split -l 2 FILE part-" in answer.output
    assert "S3Url=s3://YOUR-BUCKET/$part" in answer.output
    assert keys(cloud) == []


def test_the_printed_export_is_nothing_but_csv(suppression: Callable[..., Result], cloud: Cloud) -> None:
    suppress(cloud)
    lines = suppression("export").output.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("ada@example.com,,bounce,hard-bounce,2026-11-24")
    assert suppression("export", "--for-ses").output == "ada@example.com,BOUNCE\n"


def test_printed_for_programs_it_is_a_json_object_a_line(
    suppression: Callable[..., Result], cloud: Cloud
) -> None:
    suppress(cloud)
    suppress(cloud, f"news#{ADA}", "unsubscribe")
    rows = [json.loads(line) for line in suppression("export", "--json").stdout.splitlines()]
    assert [(row["address"], row["type"], row.get("topic")) for row in rows] == [
        (ADA, "bounce", None),
        (ADA, "unsubscribe", "news"),
    ]
    assert suppression("export", "--json", "--for-ses").exit_code == 2


@pytest.mark.parametrize("words", [("export",), ("export", "--json"), ("export", "--for-ses")])
def test_what_is_wrong_with_a_printed_export_is_not_printed_into_it(
    cloud: Cloud, words: tuple[str, ...]
) -> None:
    cloud.dynamodb.delete_table(TableName=cloud.name("Suppression"))
    answer = Operator(cloud).run("suppression", *words)
    assert answer.exit_code == 1
    assert "no such resource" in answer.stderr
    assert "no such resource" not in answer.stdout


def test_a_file_that_cannot_be_written_is_named(suppression: Callable[..., Result], tmp_path: Path) -> None:
    answer = suppression("export", str(tmp_path / "nowhere" / "list.csv"))
    assert answer.exit_code == 1
    assert "No such file or directory" in answer.output.replace("\n", " ")


def test_sync_shows_what_only_one_list_has_and_pulls_when_told(
    suppression: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    suppress(cloud, "ours@example.com")
    suppress(cloud, "both@example.com")
    suppress(cloud, "*#unsubscribed@example.com", "unsubscribe")
    on_ses(ses, "Both@example.com", "theirs@example.com", "unsubscribed@example.com")
    answer = suppression("sync", "--check", "--json")
    assert answer.exit_code == 1
    found = facts(answer)
    assert [each["address"] for each in found["sesOnly"]] == [
        "theirs@example.com",
        "unsubscribed@example.com",
    ]
    assert [each["address"] for each in found["oursOnly"]] == ["ours@example.com"]
    assert suppression("sync", "--pull", "--yes").exit_code == 0
    rows = {row["email"]: row for row in cloud.items("Suppression")}
    assert (rows["theirs@example.com"]["reason"], rows["theirs@example.com"]["suppressionType"]) == (
        "ses-list",
        "bounce",
    )
    assert suppression("sync").exit_code == 0
    assert "ours@example.com" not in [
        each.email_address
        for each in ses.simulator.suppression.page(Filter()).suppressed_destination_summaries
    ]
