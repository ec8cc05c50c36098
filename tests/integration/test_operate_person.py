"""`sesmailengine person`: what is held about an address is shown whole, and forgotten but for its opt-out."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.cloud import LARGE, Cloud, request_event
from tests.support.operators import Operator, facts
from typer.testing import Result

from engine.handlers import email_sender
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.person import hashed
from engine.requests.email_job import email_id

ADA = "ada@example.com"


@pytest.fixture
def person(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    operator = Operator(cloud)
    return lambda *words: operator.run("person", *words)


@pytest.fixture
def ada(cloud: Cloud, ses: ThreadedSimulator) -> None:
    """Emails, one too large for its row, a neighbour's, suppression, and soft bounces."""
    email_sender.handler(
        request_event(
            idempotencyKey="for-ada", metadata={"customer": "Ada"}, templateData={"name": "Ada L."}
        ),
        None,
    )
    email_sender.handler(request_event(idempotencyKey="large", **LARGE), None)
    email_sender.handler(request_event(idempotencyKey="bob", to="bob@example.com"), None)
    more = {"reason": "hard-bounce", "addedToSuppressionDate": "2026-11-24T08:00:00.000Z"}
    cloud.put("Suppression", email=ADA, suppressionType="bounce", emailId="e-0", diagnosticCode="550", **more)
    cloud.put("State", pk=f"soft-bounces#{ADA}", ttl=1, **{"e-9": 1764000000})
    ses.simulator.suppression.put(ADA, "BOUNCE")


def everything(cloud: Cloud) -> str:
    return str([cloud.items(table) for table in ("EmailTracking", "State")])


@pytest.mark.usefixtures("ada")
def test_export_writes_everything_to_a_file_and_prints_no_content(
    person: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "ada.json"
    answer = person("export", "Ada@Example.com", "--to", str(file))
    assert answer.exit_code == 0, answer.output
    assert "Ada L." not in answer.output
    held = json.loads(file.read_text())
    requests = {each["row"]["idempotencyKey"]: each["request"] for each in held["emails"]}
    assert requests["for-ada"]["templateData"] == {"name": "Ada L."}
    assert requests["large"]["templateData"] == LARGE["templateData"]
    assert "bob" not in requests
    assert held["suppression"][0]["diagnosticCode"] == "550"
    assert held["softBounces"] == {"e-9": 1764000000}
    assert held["ses"][0]["reason"] == "BOUNCE"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("ada")
def test_export_without_a_file_counts(person: Callable[..., Result]) -> None:
    answer = person("export", ADA, "--json")
    found = facts(answer)
    assert (found["emails"], found["requests"], found["suppression"], found["ses"]) == (2, 2, 1, 1)
    assert found["verdict"]["nextCommand"].startswith(f"sesmailengine person export {ADA} --to FILE.json")
    assert person("export", "nobody@example.com").exit_code == 1


@pytest.mark.usefixtures("ada")
def test_forgetting_blanks_the_rows_and_keeps_them_idempotent(
    person: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    answer = person("forget", ADA, "--yes")
    assert answer.exit_code == 0, answer.output
    left = everything(cloud)
    assert not [word for word in (ADA, "Ada", "for-ada") if word in left]
    rows = {row["emailId"]: row for row in cloud.rows()}
    row = rows[email_id("shop", "for-ada")]
    assert (row["toEmail"], row["status"]) == ("forgotten", "sent")
    assert rows[email_id("shop", "bob")]["toEmail"] == "bob@example.com"
    email_sender.handler(
        request_event(
            idempotencyKey="for-ada", metadata={"customer": "Ada"}, templateData={"name": "Ada L."}
        ),
        None,
    )
    assert len(ses.messages) == 3


@pytest.mark.usefixtures("ada")
def test_what_stops_mail_stays_without_what_it_came_of(
    person: Callable[..., Result], cloud: Cloud, ses: ThreadedSimulator
) -> None:
    person("forget", ADA, "--yes")
    (row,) = cloud.items("Suppression")
    assert row == {
        "email": ADA,
        "suppressionType": "bounce",
        "reason": "hard-bounce",
        "addedToSuppressionDate": "2026-11-24T08:00:00.000Z",
    }
    assert ses.simulator.suppression.get(ADA).reason == "BOUNCE"
    assert person("forget", ADA, "--drop-opt-out", "--yes").exit_code == 0
    assert cloud.items("Suppression") == []
    assert person("export", ADA).exit_code == 1


@pytest.mark.usefixtures("ada")
def test_the_receipt_says_what_stays_and_names_nobody(
    person: Callable[..., Result], cloud: Cloud, tmp_path: Path
) -> None:
    heard = Operator(cloud).listen()
    answer = person("forget", ADA, "--yes", "--json")
    (file,) = tmp_path.glob("forgotten-*.json")
    receipt = json.loads(file.read_text())
    assert ADA not in file.read_text()
    assert (receipt["emails"], receipt["requests"], receipt["underWay"]) == (2, 2, 2)
    assert (receipt["softBounces"], receipt["optOut"], receipt["dropped"]) == (True, ["bounce"], False)
    assert any("35 days" in each for each in receipt["stays"])
    assert receipt["addressSha256"] == hashed(ADA)
    assert heard() == [("person-forget", f"sha256:{hashed(ADA)}", "")]
    assert "forget again tomorrow" in answer.output


@pytest.mark.usefixtures("ada")
def test_nothing_is_forgotten_where_the_receipt_can_not_be_written(
    person: Callable[..., Result], cloud: Cloud, tmp_path: Path
) -> None:
    answer = person("forget", ADA, "--yes", "--to", str(tmp_path / "missing" / "receipt.json"))
    assert answer.exit_code == 1
    assert "can't be written" in " ".join(answer.output.split())
    assert ADA in everything(cloud)


def test_an_address_of_which_nothing_is_held_is_said_to_be_unknown(person: Callable[..., Result]) -> None:
    answer = person("forget", "nobody@example.com", "--yes")
    assert answer.exit_code == 1
    assert "Nothing is held about this address" in " ".join(answer.output.split())


def test_a_stack_that_is_not_there_leaves_no_receipt(
    person: Callable[..., Result], cloud: Cloud, tmp_path: Path
) -> None:
    cloud.dynamodb.delete_table(TableName=cloud.name("EmailTracking"))
    assert person("forget", ADA, "--yes").exit_code == 1
    assert not list(tmp_path.glob("forgotten-*"))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert person("forget", ADA, "--yes", "--to", str(pipe)).exit_code == 1
    assert pipe.exists()  # as /dev/stdout should
