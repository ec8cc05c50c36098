"""Telemetry: what a person must see is loud, what is nobody's business is not there."""

import ast
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import queue_event, request_event
from tests.support.fakes import FakeTemplate, Lost
from tests.support.harness import Harness, plenty

import engine
from engine import telemetry
from engine.errors import FailureCode, Refusal, SendingPaused, SendRefused, SendThrottled
from engine.requests.email_job import UnreadableRecordError
from engine.schemas.rows import SuppressionRow
from engine.telemetry import ERRORS, GAUGES, METRICS, REACHED, STATUS_METRICS, WARNINGS, PowertoolsTelemetry
from engine.tracking.lifecycle import Status


class Log:
    """A telemetry, and what it wrote."""

    def __init__(self, level: str = "INFO") -> None:
        self._out = io.StringIO()
        self.telemetry = PowertoolsTelemetry("EmailSender", "test", level)
        for handler in self.telemetry.logger.handlers:
            handler.setStream(self._out)  # type: ignore[attr-defined] # Powertools' one handler is a StreamHandler

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    log.telemetry.metrics.clear_metrics()
    yield log
    log.telemetry.metrics.clear_metrics()


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(line))


# -- the log -------------------------------------------------------------------------------------------------


def test_an_event_is_a_line_with_its_fields(log: Log) -> None:
    log.telemetry.record("email-settled", email_id="e1", status="sent", code="")
    (line,) = log.lines()
    assert (line["level"], line["message"], line["service"]) == ("INFO", "email-settled", "sesmailengine")
    assert (line["function"], line["environment"]) == ("EmailSender", "test")
    assert (line["email_id"], line["status"], line["code"]) == ("e1", "sent", "")


@pytest.mark.parametrize(
    ("name", "level"), [("bug", "ERROR"), ("ses-throttled", "WARNING"), ("duplicate", "INFO")]
)
def test_an_event_is_as_loud_as_it_is_bad(log: Log, name: str, level: str) -> None:
    log.telemetry.record(name)
    assert [line["level"] for line in log.lines()] == [level]


def test_the_log_level_decides_what_is_written() -> None:
    Log("INFO")  # one that was there before, as after a change of LOG_LEVEL
    log = Log("WARNING")
    for name in ("email-settled", "ses-throttled", "bug"):
        log.telemetry.record(name)
    assert [line["message"] for line in log.lines()] == ["ses-throttled", "bug"]


def test_a_line_tells_where_in_the_engine_it_came_from(log: Log) -> None:
    log.telemetry.record("duplicate")
    (line,) = log.lines()
    assert line["location"].startswith("test_a_line_tells_where")


# -- the metrics ---------------------------------------------------------------------------------------------


def test_events_are_counted_by_function_and_environment(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("email-settled", "email-settled", "ses-throttled", "retry-needless"):
        log.telemetry.record(name)
    log.telemetry.flush()
    written = metrics(capsys)
    assert written["EmailsSettled"] == [2.0]
    assert (written["SesThrottles"], written["RetriesNeedless"]) == ([1.0], [1.0])
    (described,) = written["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "sesmailengine"
    assert sorted(described["Dimensions"][0]) == ["environment", "service"]
    assert (written["service"], written["environment"]) == ("EmailSender", "test")


def test_emails_that_are_held_together_count_one_by_one(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.telemetry.record("email-deferred", reason="paused", emails=50)
    log.telemetry.record("email-deferred", reason="throttled", emails=1)
    log.telemetry.flush()
    written = metrics(capsys)
    assert written["EmailsDeferred"] == [51.0]
    assert (written["EmailsDeferredPaused"], written["EmailsDeferredThrottled"]) == ([50.0], [1.0])


def test_an_email_is_counted_by_the_status_it_reached_and_a_repetition_is_not(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.telemetry.record("email-settled", status="sent", previous="sending", code="")
    log.telemetry.record("email-settled", status="sent", previous="sent", code="")
    log.telemetry.record("email-settled", status="dry_run", previous="", code="")
    log.telemetry.record("status-reached", status="delivered", previous="sent")
    log.telemetry.flush()
    counted = {name: value for name, value in metrics(capsys).items() if name.startswith("Emails")}
    assert counted == {"EmailsSettled": [3.0], "EmailsSent": [1.0], "EmailsDelivered": [1.0]}


def test_the_rate_that_ses_allows_is_a_curve_of_its_own(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.telemetry.record("send-rate-told", rate=14.0)
    log.telemetry.flush()
    assert metrics(capsys)["SesSendRate"] == [14.0]


def test_every_status_that_is_news_is_counted() -> None:
    news = set(Status) - {Status.SENDING}  # a lease
    assert set(STATUS_METRICS) == {status.value for status in news}


def test_two_stacks_of_one_account_are_told_apart_by_the_deployed_functions_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-EmailSender")
    log = Log()
    log.telemetry.record("duplicate")
    log.telemetry.flush()
    written = metrics(capsys)
    assert (written["service"], written["environment"]) == ("shop-EmailSender", "test")


def test_an_invocation_writes_its_own_counts_only(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.telemetry.record("email-deferred")
    log.telemetry.flush()
    assert metrics(capsys)["EmailsDeferred"] == [1.0]
    log.telemetry.record("duplicate")
    log.telemetry.flush()
    assert "EmailsDeferred" not in metrics(capsys)


def test_an_invocation_without_counts_writes_nothing(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.telemetry.record("address-unusable")
    log.telemetry.flush()
    assert capsys.readouterr().out == ""


# -- the names -----------------------------------------------------------------------------------------------


def said() -> set[str]:
    """Every piece of text in the engine's source but for the tables of names themselves."""
    files = set(Path(engine.__file__).parent.rglob("*.py")) - {Path(telemetry.__file__)}
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_name_that_is_counted_or_loud_is_one_that_the_engine_uses() -> None:
    assert (set(METRICS) | set(GAUGES) | REACHED | WARNINGS | ERRORS) - said() == set()


def test_no_event_is_both_warning_and_error_and_no_metric_counts_two_things() -> None:
    assert WARNINGS.isdisjoint(ERRORS)
    names = [*METRICS.values(), *STATUS_METRICS.values()]
    assert len(set(names)) == len(names)


# -- whom an email is for is nobody's business ---------------------------------------------------------------

PERSONAL = ("ada.lovelace", "Byron", "countess", "grace.hopper")
REQUEST: dict[str, Any] = {
    "to": "ada.lovelace@example.com",
    "cc": ["grace.hopper@example.com"],
    "templateData": {"name": "Byron"},
    "metadata": {"title": "countess"},
}
TROUBLES: dict[str, Any] = {
    "refused by SES": SendRefused(Refusal(FailureCode.REJECTED, "ada.lovelace@example.com is not verified")),
    "refused by SES, for its configuration": SendRefused(
        Refusal(FailureCode.REJECTED, "ada.lovelace@example.com is not verified"), configuration=True
    ),
    "throttled": SendThrottled("SES answered TooManyRequestsException"),
    "unexpected": SendThrottled("SES answered SomethingNewException", unexpected=True),
    "paused": SendingPaused("SES answered SendingPausedException"),
    "lost": Lost(),
    "a bug": ValueError("could not encode ada.lovelace@example.com"),
    "none": "ses-1",
}


def told(harness: Harness) -> str:
    """All that was logged; there must be something, or the test would prove nothing."""
    assert harness.fake_aws.telemetry.events
    return repr(harness.fake_aws.telemetry.events)


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_no_outcome_of_a_send_tells_whom_it_was_for(trouble: Any) -> None:
    harness = Harness()
    harness.fake_aws.mailer.outcomes = [trouble]
    await harness.lanes.queue(queue_event(request_event(**REQUEST)), plenty)
    assert [secret for secret in PERSONAL if secret in told(harness)] == []


@pytest.mark.parametrize(
    "bad",
    [
        {"to": "ada.lovelace@@example.com"},
        {"templateName": "Byron/../ada.lovelace"},
        {"templateName": "no-such-template"},
        {"headers": {"To": "grace.hopper@example.com"}},
        {"senderOverride": {"email": "ada.lovelace@elsewhere.example"}},
        {"ada.lovelace": "an unknown field"},
    ],
    ids=repr,
)
async def test_no_refusal_tells_whom_it_was_for(bad: dict[str, Any]) -> None:
    harness = Harness()
    await harness.lanes.queue(queue_event(request_event(**(REQUEST | bad))), plenty)
    assert [secret for secret in PERSONAL if secret in told(harness)] == []


async def test_neither_a_template_nor_a_suppression_tells_whom_it_was_for() -> None:
    harness = Harness()
    harness.fake_aws.templates.templates["welcome"] = FakeTemplate("welcome", error="Byron is undefined")
    await harness.lanes.queue(queue_event(request_event(**REQUEST)), plenty)
    address = REQUEST["to"]
    await harness.fake_aws.suppression.add(SuppressionRow(email=address, reason="complaint"))
    await harness.lanes.queue(queue_event(request_event(**REQUEST)), plenty)
    assert [secret for secret in PERSONAL if secret in told(harness)] == []


@pytest.mark.parametrize(
    "body",
    [
        "ada.lovelace@example.com",
        '{"to": "ada.lovelace@example.com"}',
        '["ada.lovelace@example.com"]',
        '{"ada.lovelace@example.com": ',
        '{"id": ["ada.lovelace@example.com"], "detail": {}}',
        '{"originalEmailData": {"to": "ada.lovelace@example.com", "templateName": "Byron/.."}}',
        '{"originalEmailData": "ada.lovelace@example.com", "retryAttempt": 1}',
    ],
)
async def test_no_unreadable_record_tells_what_it_held(body: str) -> None:
    harness = Harness()
    answer = await harness.lanes.queue(queue_event(body), plenty)
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-0"]
    assert harness.fake_aws.telemetry.names == ["record-unreadable"]
    assert [secret for secret in PERSONAL if secret in told(harness)] == []


async def test_an_event_that_can_not_be_read_raises_without_its_content() -> None:
    with pytest.raises(UnreadableRecordError) as caught:
        await Harness().lanes.direct({"id": 7, "detail": {"to": "ada.lovelace@example.com"}}, plenty)
    assert "ada.lovelace" not in str(caught.value)
