"""SES's events, brought to one shape: a `Report` for each affected recipient.

The recipients are those that the event itself names (`bouncedRecipients`, ...): `mail.destination` lists all
of an email's recipients, and its first is as likely as not to be somebody else.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.schemas import ses_events
from engine.schemas.ses_events import Recipient, SesEvent, UnreadableEvent

EMAIL_ID_TAG: Final = "emailId"
_LONGEST_TEXT: Final = 500
_FIRST_YEAR: Final = 2011


class Kind(StrEnum):
    SEND = "Send"
    REJECT = "Reject"
    BOUNCE = "Bounce"
    COMPLAINT = "Complaint"
    DELIVERY = "Delivery"
    OPEN = "Open"
    CLICK = "Click"
    RENDERING_FAILURE = "Rendering Failure"
    DELIVERY_DELAY = "DeliveryDelay"
    SUBSCRIPTION = "Subscription"


class Report(Struct, frozen=True, kw_only=True):
    """What SES says about one recipient of one message, or (`recipient` None) about the message as a whole.

    `recipient` is bare and lower-cased. `fingerprint` is the same for every delivery of the same news, in
    whatever envelope. `type` is the bounce, complaint feedback or delay type, `subtype` the bounce's or
    complaint's; `status` is the enhanced status code (RFC 3463) and `text` what a person may read.
    """

    kind: Kind
    at: datetime
    fingerprint: str
    ses_message_id: str
    email_id: str | None = None
    recipient: str | None = None
    destinations: int = 1
    type: str = ""
    subtype: str = ""
    status: str = ""
    action: str = ""
    text: str = ""
    expires: str = ""

    @property
    def has_dsn(self) -> bool:
        """Whether a delivery status notification came with it; automatic answers bring none."""
        return bool(self.status or self.action or self.text)


def reports(event: SesEvent, received: datetime) -> tuple[Report, ...]:
    """One report per affected recipient; `received` stands in where SES gives no readable time.

    Raises UnreadableEvent where nobody can be told to be affected.
    """
    found = {report.fingerprint: report for report in _reports(event, received)}
    if not found:
        raise UnreadableEvent(f"a {event.type} event that names no recipient")
    return tuple(found.values())


def _reports(event: SesEvent, received: datetime) -> Iterator[Report]:
    about = _About(event, received)
    match event:
        case ses_events.Bounce(bounce=bounce):
            yield from (about.bounce(bounce, who) for who in about.named(bounce.bounced_recipients))
        case ses_events.Complaint(complaint=complaint):
            yield from (
                about.complaint(complaint, who) for who in about.named(complaint.complained_recipients)
            )
        case ses_events.Delivery(delivery=delivery):
            named = about.named([Recipient(email_address=address) for address in delivery.recipients])
            yield from (about.delivery(delivery, who) for who in named)
        case ses_events.DeliveryDelay(delivery_delay=delay):
            yield from (about.delay(delay, who) for who in about.named(delay.delayed_recipients))
        case _:
            yield _whole(event, about)


def _whole(event: SesEvent, about: "_About") -> Report:
    """Events that name no recipient: they are about the message."""
    match event:
        case ses_events.Open(open=ses_events.OpenBody(timestamp=at)):
            return about.report(at)
        case ses_events.Click(click=ses_events.ClickBody(timestamp=at, link=link)):
            return about.report(at, mark=link)
        case ses_events.Subscription(subscription=ses_events.SubscriptionBody(timestamp=at)):
            return about.report(at)
        case ses_events.Reject(reject=ses_events.RejectBody(reason=text)):
            return about.report(None, text=_line(text))
        case ses_events.RenderingFailure(failure=ses_events.FailureBody(error_message=text)):
            return about.report(None, text=_line(text))
        case _:
            return about.report(None)


class _About:
    """What all reports of an event share."""

    def __init__(self, event: SesEvent, received: datetime) -> None:
        mail = event.mail or ses_events.Mail()
        self._kind = Kind(event.type)
        self._fallbacks = (mail.timestamp, received)
        self._message_id = mail.message_id or ""
        self._email_id = mail.tag(EMAIL_ID_TAG) or None
        self._destination = mail.destination or []
        self._destinations = len(set(map(bare_address, self._destination))) or 1

    def named(self, recipients: list[Recipient]) -> list[Recipient]:
        """Those the event names; where it names none, the only one that the email went to."""
        if recipients or self._destinations != 1:
            return recipients
        return [Recipient(email_address=address) for address in self._destination[:1]]

    def bounce(self, body: ses_events.BounceBody, who: Recipient) -> Report:
        return self.report(
            body.timestamp,
            who.email_address,
            body.feedback_id,
            type=body.bounce_type,
            subtype=body.bounce_sub_type or "",
            status=(who.status or "").strip(),
            action=(who.action or "").strip().lower(),
            text=_line(who.diagnostic_code),
        )

    def complaint(self, body: ses_events.ComplaintBody, who: Recipient) -> Report:
        return self.report(
            body.timestamp,
            who.email_address,
            body.feedback_id,
            type=(body.complaint_feedback_type or "").strip().lower(),
            subtype=body.complaint_sub_type or "",
        )

    def delivery(self, body: ses_events.DeliveryBody, who: Recipient) -> Report:
        return self.report(body.timestamp, who.email_address, text=_line(body.smtp_response))

    def delay(self, body: ses_events.DelayBody, who: Recipient) -> Report:
        return self.report(
            body.timestamp,
            who.email_address,
            type=body.delay_type or "",
            status=(who.status or "").strip(),
            text=_line(who.diagnostic_code),
            expires=body.expiration_time or "",
        )

    def report(
        self, at: str | None, address: str | None = None, mark: str | None = None, **details: str
    ) -> Report:
        """`mark` tells events of one kind and time apart, and `details` are fields of the report."""
        recipient = bare_address(address) if address is not None else None
        said = (self._kind, self._message_id, recipient, at, mark, sorted(details.items()))
        whole = Report(
            kind=self._kind,
            at=self._time(at),
            fingerprint=_digest(said),
            ses_message_id=self._message_id,
            email_id=self._email_id,
            recipient=recipient,
            destinations=self._destinations,
        )
        return msgspec.structs.replace(whole, **details)

    def _time(self, at: str | None) -> datetime:
        sent, received = self._fallbacks
        return read_time(at) or read_time(sent) or received


def bare_address(mailbox: str) -> str:
    """The lower-cased address of `Name <a@b>` or `a@b`, as addresses are compared and suppressed.

    email.utils.parseaddr answers nothing for the odd addresses that bounces are made of.
    """
    _, bracket, tail = mailbox.rpartition("<")
    return (tail.partition(">")[0] if bracket else mailbox).strip().lower()


def read_time(text: str | None) -> datetime | None:
    """An aware UTC time, with `Z` or with `+0000` (AWS documents both); None where the text is no time.

    Nor is a year before SES: time windows are counted back from it.
    """
    try:
        moment = datetime.fromisoformat(text or "")
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):  # the calendar's first and last day don't exist in every zone
        return None
    return moment if moment.year >= _FIRST_YEAR else None


def _line(text: str | None) -> str:
    """On one line and of bounded length: it goes into rows and events."""
    return " ".join((text or "").split())[:_LONGEST_TEXT]


def _digest(said: tuple[Any, ...]) -> str:
    """128 bits: rows keep one for each move."""
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]
