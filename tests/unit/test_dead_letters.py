"""What lies in a dead-letter queue is known in every envelope."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.cloud import request_event, sns_event

from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.operations.conditions import BadMatchError, condition, matches
from engine.operations.dead_letters import DeadLetter, read_letter
from engine.operations.letter_groups import grouped
from engine.requests.email_job import email_id, retry_id
from engine.schemas.rows import TrackingRow

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ASKED = request_event(idempotencyKey="order-1")
EMAIL = email_id("shop", "order-1")
RETRY = {
    "originalEmailData": {"to": "ada@example.com", "templateName": "welcome", "originalEmailId": EMAIL}
    | {"originalSource": "shop"},
    "retryAttempt": 1,
    "bounceHistory": [],
}
DELIVERED = json.dumps(
    events.delivery(MailObject(tags={"emailId": EMAIL}), ["ada@example.com"], NOW), default=str
)
NOTIFICATION = {"Type": "Notification", "TopicArn": "arn:aws:sns:x:1:SESFeedback", "Message": DELIVERED}


def given_up(payload: object, **answer: str) -> dict[str, Any]:
    """Lambda's on-failure record."""
    return {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": payload,
        "responsePayload": answer,
    }


def letter(body: object, attributes: dict[str, str] | None = None, queue: str = "") -> DeadLetter:
    message = {
        "MessageId": "m1",
        "ReceiptHandle": "r1",
        "Body": body if isinstance(body, str) else json.dumps(body),
        "Attributes": {"SentTimestamp": "1764000000000"}
        | ({"DeadLetterQueueSourceArn": f"arn:aws:sqs:eu-west-1:1:{queue}"} if queue else {}),
        "MessageAttributes": {
            name: {"StringValue": text, "DataType": "String"} for name, text in (attributes or {}).items()
        },
    }
    return read_letter(message, NOW)


RULE = {
    "RULE_ARN": "arn:aws:events:x:1:rule/bus/r",
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "denied",
}


@pytest.mark.parametrize(
    ("found", "envelope", "cause"),
    [
        (letter(ASKED, RULE), "eventbridge", "NO_PERMISSIONS: denied"),
        (
            letter(
                given_up(ASKED, errorType="InvocationFailedError", errorMessage=f"email {EMAIL}: no table")
            ),
            "lambda",
            "RetriesExhausted: InvocationFailedError: email …: no table",
        ),
        (letter(given_up(ASKED)), "lambda", "RetriesExhausted"),
        (
            letter(ASKED, queue="shop-BulkEmailQueue"),
            "sqs",
            "given up by BulkEmailQueue after its last receive",
        ),
    ],
)
def test_a_request_is_known_by_its_id_and_template(found: DeadLetter, envelope: str, cause: str) -> None:
    assert (found.kind, found.envelope, found.cause) == ("request", envelope, cause)
    assert (found.email_id, found.template, found.source) == (EMAIL, "welcome", "shop")


def test_a_retry_of_a_soft_bounce_is_a_request_under_its_own_id() -> None:
    found = letter(RETRY, queue="shop-EmailRetryQueue")
    assert (found.kind, found.email_id, found.source) == ("request", retry_id(EMAIL, 1), "shop")


@pytest.mark.parametrize(
    ("found", "envelope"),
    [
        (letter(NOTIFICATION), "sns"),
        (letter(given_up(sns_event(DELIVERED), errorType="FeedbackFailed")), "lambda"),
    ],
)
def test_a_report_is_known_by_the_email_it_is_about(found: DeadLetter, envelope: str) -> None:
    assert (found.kind, found.envelope, found.email_id) == ("report", envelope, EMAIL)
    assert (found.template, found.source) == ("", "")
    row = TrackingRow(email_id=EMAIL, template_name="welcome", original_source="shop")
    assert (found.with_row(row).template, found.with_row(row).source) == ("welcome", "shop")


@pytest.mark.parametrize(
    "body", ["{", "no JSON", "[]", {"detail-type": "Order Placed"}, {"Message": "hello"}]
)
def test_what_is_neither_says_why_and_quotes_nothing(body: object) -> None:
    found = letter(body)
    assert (found.kind, found.email_id) == ("unreadable", "")
    assert "EventBridge event" in found.cause
    assert "hello" not in found.cause


def test_a_cause_names_no_address() -> None:
    assert (
        letter(given_up(ASKED, errorMessage="<ada@example.com> is odd")).cause == "RetriesExhausted: … is odd"
    )


def test_groups_say_how_many_the_ledger_knows_as_sent() -> None:
    other = email_id("shop", "order-2")
    letters = [
        letter(ASKED, RULE),
        letter(request_event(idempotencyKey="order-2"), RULE),
        letter(NOTIFICATION),
    ]
    rows = {
        EMAIL: TrackingRow(
            email_id=EMAIL, status="delivered", template_name="welcome", original_source="shop"
        ),
        other: TrackingRow(email_id=other, status="failed"),
    }
    two, one = grouped(letters, rows)
    assert (two.kind, two.count, two.known_as_sent, two.template) == ("request", 2, 1, "welcome")
    assert (one.kind, one.count, one.template) == ("report", 1, "welcome")
    assert two.oldest == "2025-11-24T16:00:00.000Z"


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["template=welcome"], True),
        (["template=welc"], False),
        (["cause=no_perm", "source=shop"], True),
        (["cause=no_perm", "source=other"], False),
        ([f"email={EMAIL}"], True),
        (["campaign=spring"], False),
        (["kind=report"], False),
        ([], True),
    ],
)
def test_all_conditions_must_hold(texts: list[str], meant: bool) -> None:  # noqa: FBT001 - a column of the table
    assert matches(letter(ASKED, RULE), [condition(text) for text in texts]) is meant


@pytest.mark.parametrize("text", ["welcome", "colour=blue", "=x"])
def test_a_condition_without_a_known_key_says_which_there_are(text: str) -> None:
    with pytest.raises(BadMatchError, match="cause, template, source, campaign, kind, email"):
        condition(text)


def test_an_event_that_a_webhook_did_not_take_is_known_by_its_email() -> None:
    told = {"emailId": EMAIL, "templateName": "welcome", "originalSource": "shop", "status": "bounced"}
    event = request_event() | {
        "source": "sesmailengine",
        "detail-type": "Email Status Changed",
        "detail": told,
    }
    posted = letter(event, {"ERROR_CODE": "HTTP_STATUS"} | RULE)
    signed = letter(given_up({"webhook": "crm", "event": event}, errorType="WebhookFailedError"))
    for found in (posted, signed):
        assert (found.kind, found.email_id, found.template) == ("event", EMAIL, "welcome")
    assert "WebhookFailedError" in signed.cause
