"""What lies in a dead-letter queue: any message, in whatever envelope, as a request, a report or an event.

Four envelopes meet there. EventBridge puts the event of a rule as it was, and why in message attributes;
Lambda its on-failure record, with the event in `requestPayload`; SNS its notification; SQS the message as it
was, and says nothing of why.

Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from engine.feedback.notifications import notifications
from engine.requests.email_job import UnreadableRecordError, from_event, from_retry, read_body
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.rows import TrackingRow
from engine.schemas.ses_events import SesEvent, UnreadableEvent, decode
from engine.schemas.status import STATUS_EVENT_SOURCE

Kind = Literal["request", "report", "event", "unreadable"]
"""`event`: one of the engine's own, which a webhook did not take."""

Envelope = Literal["eventbridge", "lambda", "sns", "sqs"]

_LONGEST_CAUSE: Final = 160
# What tells one message from the next, and must not stand in a list of causes: ids and addresses.
_PARTICULAR: Final = re.compile(r"\S*@\S*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One message, without what it says. `email_id`: empty where none can be read.

    A report names neither template nor source: the row of its email does.
    """

    body: str
    kind: Kind
    envelope: Envelope
    cause: str
    sent_at: datetime | None
    email_id: str = ""
    template: str = ""
    source: str = ""
    campaign: str = ""

    def with_row(self, row: TrackingRow | None) -> "DeadLetter":
        """The letter, with what the row knows and the message does not say."""
        if row is None:
            return self
        return msgspec.structs.replace(
            self,
            template=self.template or row.template_name,
            source=self.source or row.original_source,
            campaign=self.campaign or row.campaign or "",
        )


def read_letter(message: Mapping[str, Any], now: datetime) -> DeadLetter:
    """The message as SQS handed it out, with its attributes. Never raises for what it holds."""
    body = message["Body"]
    envelope, cause = _envelope(body, message)
    sent = message.get("Attributes", {}).get("SentTimestamp")
    letter = DeadLetter(
        body=body,
        kind="unreadable",
        envelope=envelope,
        cause=cause,
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None,
    )
    try:
        asked = read_body(body)
    except UnreadableRecordError as error:
        return _event(letter) or _report(letter, str(error))
    job = from_event(asked, now) if isinstance(asked, EventBridgeEvent) else from_retry(asked, now)
    return msgspec.structs.replace(
        letter,
        kind="request",
        email_id=job.email_id,
        template=job.template_name,
        source=job.source,
        campaign=job.campaign or "",
    )


class _Told(Struct, frozen=True, rename="camel"):
    email_id: str = ""
    template_name: str = ""
    original_source: str = ""
    campaign: str | None = None


class _EngineEvent(Struct, frozen=True):
    source: str
    detail: _Told


class _Delivery(Struct, frozen=True):
    event: _EngineEvent


class _FailedDelivery(Struct, frozen=True):
    """Lambda's on-failure record of the function that posts to signed webhooks."""

    request_payload: _Delivery = msgspec.field(name="requestPayload")


def _event(letter: DeadLetter) -> DeadLetter | None:
    """What the engine told of an email or a subscription; None where it is something else."""
    try:
        if letter.envelope == "lambda":
            event = msgspec.json.decode(letter.body, type=_FailedDelivery).request_payload.event
        else:
            event = msgspec.json.decode(letter.body, type=_EngineEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if event.source != STATUS_EVENT_SOURCE:
        return None
    return msgspec.structs.replace(
        letter,
        kind="event",
        email_id=event.detail.email_id,
        template=event.detail.template_name,
        source=event.detail.original_source,
        campaign=event.detail.campaign or "",
    )


def _report(letter: DeadLetter, no_request: str) -> DeadLetter:
    """A report of SES, in any envelope; what is none stays unreadable, and says why."""
    problem = no_request
    for notification in notifications({"body": letter.body}):
        try:
            event = decode(notification.message)
        except UnreadableEvent as error:
            problem = f"{no_request}; {error}"
            continue
        email_id = event.mail.tag("emailId") if isinstance(event, SesEvent) else ""
        return msgspec.structs.replace(letter, kind="report", email_id=email_id)
    return msgspec.structs.replace(letter, cause=general(problem))


def _envelope(body: str, message: Mapping[str, Any]) -> tuple[Envelope, str]:
    """In what a message lies, and why it was given up."""
    try:
        record = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        record = None
    told = {
        name.lower().replace("_", ""): str(attribute.get("StringValue", ""))
        for name, attribute in message.get("MessageAttributes", {}).items()
    }
    code = told.get("errorcode", "")
    reason = general(": ".join(part for part in (code, told.get("errormessage", "")) if part))
    match record:
        case {"requestPayload": _}:
            return "lambda", _lambda_cause(record)
        case {"Type": "Notification"}:
            return "sns", reason or "SNS could not hand it to the function"
        case _ if code or "rulearn" in told:
            return "eventbridge", reason or "EventBridge could not hand it to its target"
        case _:
            arn = message.get("Attributes", {}).get("DeadLetterQueueSourceArn", "")
            queue = arn.rpartition(":")[2].rpartition("-")[2] or "its queue"
            return "sqs", f"given up by {queue} after its last receive"


def _lambda_cause(record: Mapping[str, Any]) -> str:
    """`RetriesExhausted: ServiceUnavailable: …`, as far as the record says it."""
    context, answer = record.get("requestContext"), record.get("responsePayload")
    condition = context.get("condition") if isinstance(context, dict) else None
    answer = answer if isinstance(answer, dict) else {}
    parts = (condition, answer.get("errorType"), answer.get("errorMessage"))
    return (
        general(": ".join(part for part in parts if isinstance(part, str) and part)) or "the function failed"
    )


def general(cause: str) -> str:
    """A cause without the ids and addresses that make it one message's own."""
    return _PARTICULAR.sub("…", " ".join(cause.split()))[:_LONGEST_CAUSE]
