"""The command `sesmailengine send`, over the bus of a stack: what is sent, shown, remembered and resumed."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.cloud import Cloud, queue_event
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.cli.campaign import campaign, survey
from engine.cli.campaign.asked import saved_progress, wanted_emails
from engine.cli.campaign.progress import CampaignIdentity, RowMarks, SavedProgress
from engine.cli.campaign.screen import CampaignScreen
from engine.client import EmailClient, NotAccepted, PublishProgress
from engine.client.publisher import PublishResult, RetryingPublisher
from engine.handlers.email_sender import handler
from engine.local.ses.threaded import ThreadedSimulator
from engine.requests.email_job import email_id

RESUME = "Run the same command again"


class Sender:
    """The command at a terminal, and the requests that have come onto the bus."""

    def __init__(self, cloud: Cloud, file: Path) -> None:
        self._cloud = cloud
        self.file = file
        self.progress = file.with_name(f"{file.name}.progress")
        cloud.route_requests()

    def write(self, count: int, bad: dict[int, str] | None = None) -> None:
        rows = [(bad or {}).get(n, f"user{n}@example.com,User {n}") for n in range(count)]
        self.file.write_text("\n".join(["to,name", *rows]) + "\n")

    def send(self, *options: str, bus: str = "") -> Result:
        access = ["--bus", bus or self._cloud.bus, "--endpoint-url", self._cloud.endpoint]
        command = ["send", "--template", "welcome", "--recipients", str(self.file), *access, *options]
        return CliRunner().invoke(app, command, terminal_width=200)

    def arrived(self) -> list[dict[str, Any]]:
        """Details of the requests since the last look."""
        return [json.loads(body)["detail"] for body in self._cloud.messages(self._cloud.bulk_queue)]


@pytest.fixture
def sender(cloud: Cloud, tmp_path: Path) -> Sender:
    return Sender(cloud, tmp_path / "customers.csv")


# -- sent ----------------------------------------------------------------------------------------------------


def test_everyone_in_the_file_is_asked_for_once(sender: Sender) -> None:
    sender.write(25)
    result = sender.send("--bulk", "--idempotency-prefix", "spring")
    assert result.exit_code == 0, result.output
    assert "25 emails accepted." in result.output
    arrived = sender.arrived()
    assert {detail["to"] for detail in arrived} == {f"user{n}@example.com" for n in range(25)}
    assert {detail["priority"] for detail in arrived} == {"bulk"}
    keys = {detail["idempotencyKey"] for detail in arrived}
    assert len(keys) == len(arrived) == 25
    assert all(key.startswith("spring:") for key in keys)


def test_a_second_run_sends_nothing_and_says_how_to_send_anew(sender: Sender) -> None:
    sender.write(3)
    sender.send()
    first = sender.arrived()
    again = sender.send()
    assert again.exit_code == 0
    assert "was accepted before" in again.output
    assert not sender.arrived()
    anew = sender.send("--idempotency-prefix", "another")
    assert anew.exit_code == 0
    keys = {detail["idempotencyKey"] for detail in sender.arrived()}
    assert len(keys) == 3
    assert not keys & {detail["idempotencyKey"] for detail in first}


def test_a_dry_run_shows_the_first_request_and_sends_nothing(sender: Sender) -> None:
    sender.write(3)
    result = sender.send("--dry-run")
    assert result.exit_code == 0
    assert "3 emails would be requested" in result.output
    assert '"to": "user0@example.com"' in result.output
    assert not sender.arrived()
    assert not sender.progress.exists()


def test_a_dry_run_by_the_engine_is_asked_for_and_not_remembered(sender: Sender) -> None:
    sender.write(2)
    assert sender.send("--engine-dry-run").exit_code == 0
    assert [detail["dryRun"] for detail in sender.arrived()] == [True, True]
    assert not sender.progress.exists()


# -- bad rows ------------------------------------------------------------------------------------------------


def test_one_bad_row_keeps_all_from_being_sent_and_is_named(sender: Sender) -> None:
    sender.write(3, bad={1: "user1@,User 1"})
    result = sender.send()
    assert result.exit_code == 1
    assert "customers.csv line 3: to is not an email address" in result.output
    assert "--skip-invalid" in result.output
    assert not sender.arrived()


def test_bad_rows_can_be_skipped(sender: Sender) -> None:
    sender.write(5, bad={1: "user1@,User 1", 3: "x"})
    result = sender.send("--skip-invalid")
    assert result.exit_code == 0, result.output
    assert len(sender.arrived()) == 3
    assert json.loads(sender.progress.read_text())["finished"]


def test_a_column_of_dry_runs_sends_no_email(sender: Sender) -> None:
    sender.file.write_text("to,dryRun\nada@example.com,true\n")
    assert sender.send().exit_code == 0
    (detail,) = sender.arrived()
    assert detail["dryRun"] is True
    assert "templateData" not in detail
    sender.file.write_text("to,dry_run\nada@example.com,true\n")
    result = sender.send("--idempotency-prefix", "other")
    assert result.exit_code == 1
    assert "customers.csv line 1: column 'dry_run': is it the field 'dryRun'?" in result.output
    assert not sender.arrived()


def test_of_two_rows_with_one_key_the_second_is_left_out_in_every_run(sender: Sender) -> None:
    sender.file.write_text("to,idempotencyKey\na@example.com,k\nb@example.com,k\nc@example.com,l\n")
    result = sender.send()
    assert result.exit_code == 1
    assert "customers.csv line 3: idempotencyKey: 'k' is the key of line 2" in result.output
    assert sender.send("--skip-invalid").exit_code == 0
    assert {detail["to"] for detail in sender.arrived()} == {"a@example.com", "c@example.com"}


def test_the_same_address_in_three_spellings_is_one_email(
    cloud: Cloud, ses: ThreadedSimulator, sender: Sender
) -> None:
    sender.file.write_text(
        "to,name\nada@bücher.example,Ada\nAda@BÜCHER.example,Ada\n ada@xn--bcher-kva.example,Ada\n"
    )
    assert sender.send().exit_code == 0
    assert handler(queue_event(*cloud.messages(cloud.bulk_queue))) == {"batchItemFailures": []}
    assert len(ses.messages) == 1
    assert [event["status"] for event in cloud.status_events()] == ["sent"]


def test_what_was_passed_over_is_counted_on_the_screen(sender: Sender) -> None:
    sender.file.write_text("sep=;\nto;name;\na@example.com;A;\n;;\n\n")
    result = sender.send()
    assert result.exit_code == 0, result.output
    assert "Passed over: 2 blank rows and 1 empty column." in result.output
    assert "1 email accepted." in result.output


def test_of_many_bad_rows_the_first_are_named_and_all_are_counted(sender: Sender) -> None:
    sender.write(50, bad=dict.fromkeys(range(50), "nobody,x"))
    result = sender.send()
    assert result.output.count("is not an email address") == survey.NAMED
    assert f"and {50 - survey.NAMED} more" in result.output


@pytest.mark.parametrize(
    ("content", "said"), [("to,name\n", "no recipients"), ("a,b\n1,2\n", "expected a header")]
)
def test_a_file_without_recipients_is_said_so(sender: Sender, content: str, said: str) -> None:
    sender.file.write_text(content)
    result = sender.send()
    assert result.exit_code == 1
    assert said in result.output


# -- topics --------------------------------------------------------------------------------------------------


def test_a_topic_is_the_rows_own_or_else_the_campaigns(sender: Sender) -> None:
    sender.file.write_text("to,topic\na@example.com,offers\nb@example.com,\n")
    result = sender.send("--bulk", "--topic", "news", "--strict")
    assert result.exit_code == 0, result.output
    assert "Bulk mail without a topic" not in result.output
    assert {detail["to"]: detail["topic"] for detail in sender.arrived()} == {
        "a@example.com": "offers",
        "b@example.com": "news",
    }
    assert sender.send("--bulk", "--topic", "offers").exit_code == 1  # another campaign than the saved one
    assert sender.send("--topic", "News!").exit_code == 2


def test_a_report_finds_the_emails_of_a_campaign_with_a_topic(sender: Sender) -> None:
    sender.write(3)
    sender.send("--bulk", "--topic", "news")
    asked_for = {email_id("sesmailengine-send", detail["idempotencyKey"]) for detail in sender.arrived()}
    wanted = wanted_emails(sender.file, saved_progress(sender.file, None))
    assert {one.email_id for one in wanted} == asked_for


@pytest.fixture
def templates(cloud: Cloud, sender: Sender) -> Sender:
    """Three templates in the stack's bucket: one has a topic, two have none."""
    bucket = f"{cloud.stack}-templates-123456789012"
    cloud.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for name, topic in (("news", "news"), ("welcome", None), ("receipt", None)):
        metadata = json.dumps({"subject": "Hello", "topic": topic}).encode()
        cloud.s3.put_object(Bucket=bucket, Key=f"templates/{name}/metadata.json", Body=metadata)
    return sender


def test_bulk_mail_of_templates_with_a_topic_needs_no_other(templates: Sender) -> None:
    templates.file.write_text("to,templateName\na@example.com,news\nb@example.com,news\n")
    result = templates.send("--bulk", "--strict")
    assert result.exit_code == 0, result.output
    assert "topic" not in result.output


def test_bulk_mail_without_a_topic_is_warned_of_and_strictly_refused(templates: Sender) -> None:
    templates.file.write_text(
        "to,templateName,topic,priority\n"
        "a@example.com,,,\nb@example.com,,,\nc@example.com,receipt,,\nd@example.com,receipt,,\n"
        "e@example.com,news,,\nf@example.com,,offers,\ng@example.com,,,transactional\n"
    )
    warned = "Bulk mail without a topic: 4 rows, of template welcome (2), receipt (2)."
    refused = templates.send("--bulk", "--strict")
    assert refused.exit_code == 1
    assert warned in refused.output
    assert "Nothing was sent." in refused.output
    assert not templates.arrived()
    assert templates.send("--bulk", "--dry-run", "--strict").exit_code == 1
    result = templates.send("--bulk")
    assert result.exit_code == 0, result.output
    assert warned in result.output
    assert len(templates.arrived()) == 7


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("a@example.com,gone,Ada\n", "The stack has no template gone"),
        ("a@example.com,offer,Ada\n", "Template offer requires price, which not every row gives"),
        ("a@example.com,broken,Ada\n", "would fail as template-error: template 'broken': metadata.json"),
    ],
)
def test_bulk_mail_that_no_template_could_render_is_refused(
    templates: Sender, cloud: Cloud, rows: str, problem: str
) -> None:
    """What the engine gives itself, such as the link to unsubscribe, need not be in the file."""
    metadata = b'{"subject": "Offer", "requiredVariables": ["name", "price", "unsubscribeUrl"]}'
    bucket = f"{cloud.stack}-templates-123456789012"
    cloud.s3.put_object(Bucket=bucket, Key="templates/offer/metadata.json", Body=metadata)
    cloud.s3.put_object(Bucket=bucket, Key="templates/broken/metadata.json", Body=b"{")
    templates.file.write_text(f"to,templateName,name\n{rows}")
    result = templates.send("--bulk")
    assert result.exit_code == 1
    assert problem in result.output
    assert "Nothing was sent." in result.output
    assert not templates.arrived()
    templates.file.write_text(f"to,templateName,name,price\n{rows.rstrip()},1 €\n")
    assert templates.send("--bulk").exit_code == (0 if "offer" in rows else 1)


def test_a_variable_that_one_row_lacks_is_not_given(templates: Sender, cloud: Cloud) -> None:
    metadata = b'{"subject": "Offer", "topic": "news", "requiredVariables": ["price"]}'
    bucket = f"{cloud.stack}-templates-123456789012"
    cloud.s3.put_object(Bucket=bucket, Key="templates/offer/metadata.json", Body=metadata)
    rows = [
        {"to": "a@example.com", "templateName": "offer"},
        {"to": "b@example.com", "templateName": "offer", "templateData": {"price": "1 €"}},
    ]
    templates.file = templates.file.with_suffix(".jsonl")
    templates.file.write_text("\n".join(map(json.dumps, rows)))
    result = templates.send("--bulk")
    assert result.exit_code == 1
    assert "Template offer requires price, which not every row gives" in result.output


def test_mail_that_is_not_bulk_is_not_asked_for_a_topic(templates: Sender) -> None:
    templates.write(2)
    result = templates.send("--strict")
    assert result.exit_code == 0, result.output
    assert "topic" not in result.output


@pytest.mark.parametrize("bus", ["", "shared"])
def test_where_templates_cannot_be_read_a_strict_campaign_is_refused(
    cloud: Cloud, sender: Sender, bus: str
) -> None:
    """Without a bucket of the stack's name, or of a bus that says nothing of its stack."""
    cloud.events.create_event_bus(Name=f"{bus}-{cloud.stack}")
    named = f"{bus}-{cloud.stack}" if bus else ""
    sender.write(2)
    refused = sender.send("--bulk", "--strict", bus=named)
    assert refused.exit_code == 1
    assert (
        "2 rows of bulk mail without a topic, and whether the templates name one is not known"
        in refused.output
    )
    assert not sender.progress.exists()
    result = sender.send("--bulk", bus=named)
    assert result.exit_code == 0, result.output
    assert "is not known" in result.output
    assert "2 emails accepted." in result.output


# -- for programs --------------------------------------------------------------------------------------------


def test_json_is_one_document_with_counts_and_lines_and_no_address(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.write(30, bad={4: "user4@,User 4"})
    options = ["--campaign", "spring", "--idempotency-prefix", "p", "--skip-invalid", "--json"]
    with monkeypatch.context() as patch:
        leave(patch, {"user3@example.com"})
        result = sender.send(*options)
    assert result.exit_code == 1
    assert "user3" not in result.stdout
    assert json.loads(result.stdout) == {
        "campaign": "spring",
        "prefix": "p",
        "rows": 30,
        "bad": 1,
        "badLines": [6],
        "before": 0,
        "requested": 29,
        "accepted": 28,
        "refused": 1,
        "refusedLines": [5],
        "left": 1,
        "verdict": {
            "good": False,
            "sentence": f"28 emails accepted, 1 not. {RESUME} to go on; nothing goes twice.",
            "nextCommand": None,
        },
    }
    again = json.loads(sender.send(*options).stdout)
    assert (again["before"], again["accepted"], again["left"]) == (28, 1, 0)
    assert again["verdict"]["good"]
    assert json.loads(sender.send(*options).stdout)["before"] == 29


def test_json_tells_of_a_refusal_and_of_a_file_that_cannot_be_read(sender: Sender) -> None:
    sender.write(3, bad={1: "user1@,User 1"})
    refused = sender.send("--json")
    assert refused.exit_code == 1
    told = json.loads(refused.stdout)
    assert (told["requested"], told["badLines"], told["left"]) == (0, [3], 2)
    assert "1 of 3 rows can't be sent" in told["verdict"]["sentence"]
    assert "user1@" not in refused.stdout
    sender.file.write_text("a,b\n1,2\n")
    assert json.loads(sender.send("--json").stdout)["verdict"]["good"] is False


# -- trouble with the bus ------------------------------------------------------------------------------------


def test_a_bus_that_is_not_there_is_named_for_eventbridge_would_take_its_events(sender: Sender) -> None:
    sender.write(3)
    result = sender.send(bus="no-such-bus")
    assert result.exit_code == 1
    assert "no event bus 'no-such-bus'" in result.output
    assert not sender.progress.exists()


def test_a_profile_that_is_not_there_is_named(sender: Sender) -> None:
    sender.write(3)
    result = sender.send("--profile", "nobody")
    assert result.exit_code == 1
    assert "nobody" in result.output


def test_a_prefix_that_leaves_no_room_for_keys_is_refused(sender: Sender) -> None:
    sender.write(1)
    assert sender.send("--idempotency-prefix", "p" * 250).exit_code == 2


def leave(monkeypatch: pytest.MonkeyPatch, rows: set[str], stop: str | None = None) -> None:
    """The bus does not take these recipients."""
    put = RetryingPublisher.put

    async def putting(self: RetryingPublisher, entries: Any) -> PublishResult:
        bad = {i for i, entry in entries.items() if json.loads(entry["Detail"])["to"] in rows}
        outcome = await put(self, {i: entry for i, entry in entries.items() if i not in bad})
        left = [NotAccepted(i, "MalformedDetail", "why") for i in bad]
        return PublishResult(outcome.left + left, stop)

    monkeypatch.setattr(RetryingPublisher, "put", putting)


def test_what_the_bus_does_not_take_is_named_and_tried_again_by_the_next_run(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.write(30)
    with monkeypatch.context() as patch:
        leave(patch, {"user3@example.com", "user21@example.com"})
        result = sender.send()
    assert result.exit_code == 1
    assert "customers.csv line 23: MalformedDetail: why" in result.output
    assert "28 emails accepted, 2 not." in result.output
    assert RESUME in result.output
    assert len(sender.arrived()) == 28
    again = sender.send()
    assert again.exit_code == 0, again.output
    assert "2 emails accepted. 28 were before." in again.output
    assert {detail["to"] for detail in sender.arrived()} == {"user3@example.com", "user21@example.com"}


def test_a_bus_that_takes_no_more_ends_the_run_with_its_reason(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.write(300)
    leave(monkeypatch, {f"user{n}@example.com" for n in range(300)}, stop="AccessDeniedException: no")
    result = sender.send()
    assert result.exit_code == 1
    assert "EventBridge takes no more: AccessDeniedException: no" in result.output
    assert RESUME in result.output


# -- interrupted ---------------------------------------------------------------------------------------------


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Details of what the bus takes; many, and the cloud's queue would hand them out slowly."""
    details: list[dict[str, Any]] = []

    async def put(_: RetryingPublisher, entries: Any) -> PublishResult:
        await asyncio.sleep(0)
        details.extend(json.loads(entry["Detail"]) for entry in entries.values())
        return PublishResult([])

    monkeypatch.setattr(RetryingPublisher, "put", put)
    return details


def at_progress(monkeypatch: pytest.MonkeyPatch, act: Callable[[PublishProgress], None]) -> None:
    """Something happens when the first call has its answer."""
    publishing = CampaignScreen.publishing

    @contextmanager
    def watched(self: CampaignScreen, total: int, done: int) -> Iterator[Callable[[PublishProgress], None]]:
        with publishing(self, total, done) as show:

            def acting(progress: PublishProgress) -> None:
                show(progress)
                act(progress)

            yield acting

    monkeypatch.setattr(CampaignScreen, "publishing", watched)


def test_ctrl_c_ends_what_is_under_way_and_the_same_command_goes_on(
    sender: Sender, taken: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.write(1000)
    pressed: list[bool] = []

    def press(_: PublishProgress) -> None:
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        at_progress(patch, press)
        result = sender.send()
    assert result.exit_code == 130
    assert RESUME in result.output
    before = len(taken)
    assert 0 < before < 1000
    again = sender.send()
    assert again.exit_code == 0, again.output
    assert f"{1000 - before:,} emails accepted. {before:,} were before." in again.output
    assert sorted(detail["to"] for detail in taken) == sorted(f"user{n}@example.com" for n in range(1000))


@pytest.mark.usefixtures("taken")
def test_a_second_ctrl_c_stops_at_once(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    sender.write(1000)

    def press(_: PublishProgress) -> None:
        signal.raise_signal(signal.SIGINT)

    at_progress(monkeypatch, press)
    result = sender.send()
    assert result.exit_code == 130
    assert RESUME in result.output
    assert not json.loads(sender.progress.read_text())["finished"]


def test_a_process_that_died_goes_on_with_the_same_keys(
    sender: Sender, taken: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not yet noted goes again, under its key: the engine sends it once."""
    sender.write(110)
    seen: list[PublishProgress] = []

    def die(progress: PublishProgress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise ZeroDivisionError

    with monkeypatch.context() as patch:
        at_progress(patch, die)
        patch.setattr(campaign.Campaign, "_save", lambda *_, **__: None)
        assert isinstance(sender.send("--idempotency-prefix", "spring").exception, ZeroDivisionError)
    before = {detail["idempotencyKey"] for detail in taken}
    taken.clear()
    assert sender.send("--idempotency-prefix", "spring").exit_code == 0
    after = {detail["idempotencyKey"] for detail in taken}
    assert len(after) == 110
    assert before < after


def test_a_file_that_has_changed_does_not_go_on_unasked(sender: Sender) -> None:
    sender.write(3)
    sender.send("--idempotency-prefix", "spring")
    keys = {detail["idempotencyKey"] for detail in sender.arrived()}
    sender.write(4)
    result = sender.send()
    assert result.exit_code == 1
    assert "other recipients" in result.output
    assert "--idempotency-prefix spring" in result.output
    assert sender.send("--idempotency-prefix", "spring").exit_code == 0
    again = {detail["idempotencyKey"] for detail in sender.arrived()}
    assert len(again) == 4
    assert keys < again  # the engine knows these, and sends the new one alone


def test_progress_that_cannot_be_read_is_not_taken_for_none(sender: Sender) -> None:
    sender.write(3)
    sender.progress.write_text("{")
    result = sender.send()
    assert result.exit_code == 1
    assert "can't be read" in result.output
    assert not sender.arrived()


def test_progress_can_be_kept_elsewhere(sender: Sender, tmp_path: Path) -> None:
    sender.write(3)
    assert sender.send("--state", str(tmp_path / "elsewhere")).exit_code == 0
    assert (tmp_path / "elsewhere").exists()
    assert not sender.progress.exists()


# -- what is remembered --------------------------------------------------------------------------------------


def identity() -> CampaignIdentity:
    return CampaignIdentity(recipients="sha", template="welcome", bulk=False, bus="bus", source="shop")


def test_marks_in_about_the_order_of_the_rows_stay_few() -> None:
    marks = RowMarks(SavedProgress(identity=identity(), prefix="p"))
    for row in [1, 0, 3, 2, 5]:
        marks.mark([row])
    assert [row for row in range(8) if marks.done(row)] == [0, 1, 2, 3, 5]
    assert (marks._through, marks._beyond) == (4, {5})


def test_a_row_that_was_left_is_not_done_until_it_is_accepted(tmp_path: Path) -> None:
    saved = SavedProgress(identity=identity(), prefix="p")
    marks = RowMarks(saved)
    marks.mark([0, 2])
    marks.mark([1], left=True)
    assert not marks.done(1)
    assert marks.count == 2
    marks.save(tmp_path / "state", saved, finished=True)
    kept = json.loads((tmp_path / "state").read_text())
    assert (kept["through"], kept["left"], kept["finished"]) == (3, [1], False)
    marks.mark([1])
    assert marks.done(1)


async def test_a_bus_that_the_caller_may_not_look_at_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeEventBus")

    async with EmailClient("bus", source="shop", endpoint_url="http://127.0.0.1:9") as emails:
        monkeypatch.setattr(emails._opened(), "describe_event_bus", denied)
        await emails.check_bus()
