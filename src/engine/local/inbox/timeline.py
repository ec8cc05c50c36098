"""The timeline of an email: SES's events and the engine's status events, one entry each."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.local.inbox.mail import Entry
from engine.local.ses import Message, SimulatedEvent
from engine.local.ses.events import EventDocument
from engine.operations.timeline import TONES, label_of
from engine.schemas.status import EmailStatusChanged
from engine.tracking.lifecycle import Status, can_transition

_NEVER = datetime.fromtimestamp(0, UTC)


def timeline(
    message: Message | None, events: Iterable[SimulatedEvent], statuses: Iterable[EmailStatusChanged]
) -> list[Entry]:
    """Everything known about an email, oldest first."""
    entries = []
    if message is not None:
        about = f"{message.operation} answered with a message id"
        entries.append(Entry(at=message.accepted_at, who="SES", title="Accepted", tone="quiet", about=about))
    entries += [_from_event(event) for event in events]
    entries += [_from_status(change) for change in statuses]
    return sorted(entries, key=lambda entry: entry.at or _NEVER)


def final_status(events: Iterable[SimulatedEvent], statuses: Iterable[EmailStatusChanged]) -> str:
    """The status reached, by the engine's status events; without any, by SES's events."""
    published = [change.status for change in statuses]
    if "dry_run" in published:
        return "dry_run"
    current = Status.SENDING
    for status in [Status(status) for status in published] or [_status_after(event) for event in events]:
        if can_transition(current, status):
            current = status
    return current.value


def moment(text: str) -> datetime:
    """An ISO 8601 time; 1970 for text that is none, so that a page never fails because of it."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter at either end of the calendar
        return _NEVER


def _from_status(change: EmailStatusChanged) -> Entry:
    attempt = f"Attempt {change.retry_attempt + 1}" if change.retry_attempt else ""
    reason = f"{change.reason.code}: {change.reason.message}" if change.reason else ""
    return Entry(
        at=moment(change.timestamp),
        who="Engine",
        title=label_of(change.status).capitalize(),
        tone=TONES[change.status],
        about=" · ".join(part for part in (attempt, reason) if part),
        raw=_pretty(msgspec.to_builtins(change)),
    )


def _from_event(event: SimulatedEvent) -> Entry:
    document = event.document()
    tone, describe = _EVENTS[event.event_type]
    return Entry(
        at=event.at,
        who="SES",
        title=event.event_type,
        tone="warn" if _is_soft(document) else tone,
        about=describe(document),
        raw=_pretty(document),
    )


def _status_after(event: SimulatedEvent) -> Status:
    if event.event_type == "Bounce":
        return Status.SOFT_BOUNCED if _is_soft(event.document()) else Status.BOUNCED
    return _STATUS_AFTER.get(event.event_type, Status.SENDING)


def _is_soft(document: EventDocument) -> bool:
    return bool(document["eventType"] == "Bounce" and document["bounce"]["bounceType"] != "Permanent")


def _pretty(data: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()


def _bounce(document: EventDocument) -> str:
    bounce = document["bounce"]
    diagnostics = [one["diagnosticCode"] for one in bounce["bouncedRecipients"] if "diagnosticCode" in one]
    kind = f"{bounce['bounceType']} / {bounce['bounceSubType']}"
    return " · ".join([kind, *dict.fromkeys(diagnostics)])


def _delay(document: EventDocument) -> str:
    delay = document["deliveryDelay"]
    return f"{delay['delayType']} · SES tries until {delay['expirationTime']}"


def _nothing(_document: EventDocument) -> str:
    return ""


_EVENTS: dict[str, tuple[str, Callable[[EventDocument], str]]] = {
    "Send": ("sent", _nothing),
    "Delivery": ("good", lambda document: str(document["delivery"]["smtpResponse"])),
    "Open": ("best", _nothing),
    "Click": ("best", lambda document: str(document["click"]["link"])),
    "Bounce": ("bad", _bounce),
    "Complaint": ("bad", lambda document: f"Feedback type {document['complaint']['complaintFeedbackType']}"),
    "Reject": ("bad", lambda document: str(document["reject"]["reason"])),
    "Rendering Failure": ("bad", lambda document: str(document["failure"]["errorMessage"])),
    "DeliveryDelay": ("warn", _delay),
    "Subscription": ("quiet", lambda document: f"Contact list {document['subscription']['contactList']}"),
}

_STATUS_AFTER = {
    "Send": Status.SENT,
    "Delivery": Status.DELIVERED,
    "Open": Status.OPENED,
    "Click": Status.OPENED,
    "Complaint": Status.COMPLAINED,
    "Reject": Status.FAILED,
    "Rendering Failure": Status.FAILED,
    "DeliveryDelay": Status.SENT,
}
