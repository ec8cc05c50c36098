"""As much as AWS lets through of whatever it is: an answer in bounded memory, and the neighbours are sent."""

import json
import tracemalloc
import zlib
from typing import Any

import pytest
from tests.hostile.functions import Functions, sent_row, with_functions
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING
from tests.support.cloud import queue_event, request_event, sns_event
from tests.support.ses_examples import bounce, event, text

from engine.aws.dynamodb import to_item
from engine.errors import MAX_REFUSAL
from engine.feedback.pipeline import FeedbackFailed
from engine.feedback.reports import MAX_RECIPIENTS

# The functions have 512 MB, of which the libraries take some 120.
BUDGET = 250_000_000  # bytes
# A message of SQS holds 1 MiB, an invocation takes 6 MB: ten records of so many bytes.
RECORD = 550_000
FIRST, LAST = "first@example.com", "last@example.com"


def filled(item: Any) -> list[Any]:
    return [item] * (RECORD // (len(json.dumps(item)) + 2))


def named(count: int, value: Any) -> dict[str, Any]:
    return {f"name-{number}": value for number in range(count)}


DETAILS: dict[str, dict[str, Any]] = {
    "a long recipient": {"to": "a" * RECORD + "@example.com"},
    "a long domain": {"to": "a@" + "\u00fc." * (RECORD // 8)},
    "many copies": {"cc": [f"{number}@example.com" for number in range(RECORD // 24)]},
    "one copy many times": {"bcc": filled("copy@example.com")},
    "many copies in other letters": {"cc": [f"a@\u00fc{number}" for number in range(RECORD // 20)]},
    "many answers": {"replyTo": filled("a@example.com")},
    "a long template name": {"templateName": "a" * RECORD},
    "a long key": {"idempotencyKey": "a" * RECORD},
    "a long unknown field": {"a" * RECORD: 1},
    "many unknown fields": named(RECORD // 20, 1),
    "a field that looks like msgspec's own words": {" - at `$.x" * (RECORD // 10): 1},
    "a long text": {"templateData": {"name": "a" * RECORD}},
    "a long text of quotes": {"templateData": {"name": '"<' * (RECORD // 4)}},
    "many values": {"templateData": {"name": "Eve", "values": filled(1)}},
    "many empty lists": {"templateData": {"name": "Eve", "values": filled([])}},
    "many names": {"templateData": {"name": "Eve", **named(RECORD // 20, 1)}},
    "a long number": {"templateData": {"name": int("9" * 4_000)}},
    "many headers": {"headers": named(RECORD // 20, "x")},
    "a long header": {"headers": {"X-A": "a" * RECORD}},
    "many tags": {"tags": named(RECORD // 20, "x")},
    "much metadata": {"metadata": named(RECORD // 20, "x")},
    "many files": {"attachments": filled({"fileName": "a", "contentType": "a/b", "content": "YQ=="})},
    "a large file": {
        "attachments": [{"fileName": "a", "contentType": "a/b", "content": "YWFh" * (RECORD // 4)}]
    },
    "a file of no base64": {
        "attachments": [{"fileName": "a", "contentType": "a/b", "content": "=" * RECORD}]
    },
    "a long link": {"unsubscribe": {"url": "https://a/" + "a" * RECORD}},
}


def batch_of(*bodies: Any) -> tuple[Functions, dict[str, Any]]:
    """What a batch with good mail at both ends did, and its answer."""

    async def story(functions: Functions) -> tuple[Functions, dict[str, Any]]:
        answer = await functions.send(queue_event(request_event(to=FIRST), *bodies, request_event(to=LAST)))
        return functions, answer

    functions, answer = with_functions(story)
    assert "bug" not in functions.telemetry.names
    assert [functions.recipients.count(address) for address in (FIRST, LAST)] == [1, 1]
    return functions, answer


@pytest.mark.parametrize("detail", DETAILS.values(), ids=DETAILS)
def test_a_batch_of_the_largest_requests_is_seen_to(detail: dict[str, Any]) -> None:
    functions, answer = batch_of(*(request_event(**detail) for _ in range(8)))
    assert answer == {"batchItemFailures": []}
    reasons = [event["reason"]["message"] for event in functions.service.events if event["reason"]]
    assert [reason for reason in reasons if len(reason) > MAX_REFUSAL + 2] == []


@pytest.mark.parametrize("name", ["many headers", "a large file", "a long text of quotes"])
def test_it_stays_within_the_memory_of_the_function(name: str) -> None:
    tracemalloc.start()
    try:
        batch_of(*(request_event(**DETAILS[name]) for _ in range(8)))
        assert tracemalloc.get_traced_memory()[1] < BUDGET
    finally:
        tracemalloc.stop()


_RETRIED = {"to": "a@b.example", "templateName": "welcome", "originalEmailId": "e-1"}


@pytest.mark.parametrize(
    "body",
    [
        "x" * RECORD,
        "[" * RECORD,
        '{"a":' * (RECORD // 5),
        "1" * RECORD,
        '"' + "\\u0041" * (RECORD // 6) + '"',
        json.dumps(request_event(source="s" * RECORD)),
        json.dumps({"requestPayload": request_event(source="s" * RECORD)}),
        json.dumps({"originalEmailData": _RETRIED | {"originalEmailId": "e" * RECORD}, "retryAttempt": 1}),
        json.dumps({"originalEmailData": _RETRIED | {"originalSource": "s" * RECORD}, "retryAttempt": 1}),
        json.dumps({"originalEmailData": _RETRIED, "retryAttempt": 10**60}),
    ],
    ids=lambda body: body[:16],
)
def test_the_largest_records_that_are_no_requests_stay_in_their_queue(body: str) -> None:
    functions, answer = batch_of(*[body] * 8)
    assert len(answer["batchItemFailures"]) == 8
    assert set(functions.telemetry.names) >= {"record-unreadable"}


# -- what another hand wrote -------------------------------------------------------------------------------

ABOUT = {"mail_destination": ["met@example.com"], "mail_tags": {"emailId": ["e-1"]}}
BOMB = zlib.compress(b" " * 80_000_000)  # 78 KB; an item holds five times as much
SMALL = 50_000_000  # bytes


def report_of(said: Any, items: dict[tuple[str, str], dict[str, Any]], row: dict[str, Any]) -> Functions:
    """What a report about a sent email did, beside items of another hand."""

    async def story(functions: Functions) -> Functions:
        functions.put(TRACKING, "e-1", {**to_item(sent_row("e-1", "met@example.com")), **row})
        for (table, key), item in items.items():
            functions.put(table, key, {"pk": {"S": key}, **item})
        raised = await functions.report(sns_event(text(said)))
        assert raised is None or isinstance(raised, FeedbackFailed)
        return functions

    return with_functions(story)


@pytest.mark.parametrize("place", ["beside the claim", "apart"])
def test_a_kept_request_that_swells_is_passed_over(place: str) -> None:
    items = {(STATE, "payload#c"): {"body": {"B": BOMB}}} if place == "apart" else {}
    row = {} if place == "apart" else {"keptRequest": {"B": BOMB}}
    tracemalloc.start()
    try:
        functions = report_of(bounce("Transient", "MailboxFull", to="met@example.com", **ABOUT), items, row)
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()
    assert "retry-impossible" in functions.telemetry.names
    assert functions.service.queued == []


def test_a_kept_request_of_a_thousand_million_parts_is_passed_over() -> None:
    items = {(STATE, "payload#c"): {"parts": {"N": "1000000000"}, "body": {"B": b"x"}}}
    functions = report_of(bounce("Transient", "MailboxFull", to="met@example.com", **ABOUT), items, {})
    assert "retry-impossible" in functions.telemetry.names


def test_a_report_that_names_more_recipients_than_ses_sends_to_is_left_for_a_person() -> None:
    many = [{"emailAddress": f"{number}@example.com"} for number in range(MAX_RECIPIENTS + 1)]
    functions = report_of(event("Bounce", bouncedRecipients=many, **ABOUT), {}, {})
    assert functions.telemetry.names == ["feedback-failed"]
    assert functions.tables.tables[SUPPRESSION] == {}


def test_a_soft_bounce_at_the_end_of_the_calendar_counts_as_one_of_today() -> None:
    at = "9999-12-31T23:59:59Z"
    said = bounce("Transient", "MailboxFull", to="met@example.com", timestamp=at, mail_timestamp=at, **ABOUT)
    functions = report_of(said, {}, {})
    assert functions.telemetry.names == ["retry-impossible", "status-reached"]


def test_a_reason_for_suppression_that_is_as_long_as_an_item_is_cut() -> None:
    async def story(functions: Functions) -> str:
        functions.put(
            SUPPRESSION,
            "met@example.com",
            {"email": {"S": "met@example.com"}, "reason": {"S": "x" * 390_000}},
        )
        await functions.send(request_event(to="met@example.com"))
        (told,) = functions.service.events
        return str(told["reason"]["message"])

    assert len(with_functions(story)) == MAX_REFUSAL + 2
