"""The ten events that SES publishes about a message, in both of its wire formats.

A configuration set publishes events with `eventType` and message tags; an identity's feedback notifications
carry `notificationType`, no tags, and exist for bounces, complaints and deliveries. The type is probed first
and decides the shape, so that a type that SES invents tomorrow is acknowledged instead of failing to decode.

Shapes hold only what the engine reads, and take null wherever SES leaves a field out.

Sources: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html,
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

import re
from typing import Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import Struct, field

Tags: TypeAlias = dict[str, list[str] | str | None]


class UnreadableEvent(ValueError):  # noqa: N818 - it names what was found
    """Not an SES event, or one whose body is broken. Its text names places and types, never values."""


class Mail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The email that the event is about. `destination` lists to, cc and bcc alike."""

    message_id: str | None = None
    timestamp: str | None = None
    destination: list[str] | None = None
    # Name -> list of values; configuration-set events only. One documented client sends bare strings.
    tags: Tags | None = None

    def tag(self, name: str) -> str | None:
        """The first value of a message tag."""
        value = (self.tags or {}).get(name)
        return (value[0] if value else None) if isinstance(value, list) else value


class Recipient(Struct, frozen=True, kw_only=True, rename="camel"):
    """One affected recipient. With a DSN, the address is its Final-Recipient; without, there is no status."""

    email_address: str
    action: str | None = None
    status: str | None = None
    diagnostic_code: str | None = None


class SesEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every event has; a subclass for each type adds its body."""

    type: ClassVar[str] = ""
    mail: Mail | None = None


class SendBody(Struct, frozen=True, kw_only=True):
    """Documented as always empty."""


class Send(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """SES accepted the message and will try to deliver it."""

    type: ClassVar[str] = "Send"
    send: SendBody | None = None


class RejectBody(Struct, frozen=True, kw_only=True, rename="camel"):
    reason: str | None = None


class Reject(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """SES found a virus after accepting the message, and dropped it."""

    type: ClassVar[str] = "Reject"
    reject: RejectBody | None = None


class BounceBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """`bounceType` and `bounceSubType` stay text: SES adds new ones without notice."""

    bounce_type: str
    bounced_recipients: list[Recipient]
    bounce_sub_type: str | None = None
    timestamp: str | None = None
    feedback_id: str | None = None
    # rename="camel" would look for `reportingMta`, find nothing, and say nothing.
    reporting_mta: str | None = field(name="reportingMTA", default=None)
    remote_mta_ip: str | None = None


class Bounce(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """A hard bounce, or a soft one after SES has given up retrying."""

    type: ClassVar[str] = "Bounce"
    bounce: BounceBody


class ComplaintBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """`complaintFeedbackType` is there only where a feedback report was attached."""

    complained_recipients: list[Recipient]
    timestamp: str | None = None
    feedback_id: str | None = None
    complaint_sub_type: str | None = None
    complaint_feedback_type: str | None = None


class Complaint(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """A recipient called the message spam (or, with `not-spam`, the opposite)."""

    type: ClassVar[str] = "Complaint"
    complaint: ComplaintBody


class DeliveryBody(Struct, frozen=True, kw_only=True, rename="camel"):
    recipients: list[str]
    timestamp: str | None = None
    smtp_response: str | None = None
    reporting_mta: str | None = field(name="reportingMTA", default=None)
    remote_mta_ip: str | None = None


class Delivery(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """The recipients' mail server took the message; a bounce may still follow."""

    type: ClassVar[str] = "Delivery"
    delivery: DeliveryBody


class OpenBody(Struct, frozen=True, kw_only=True, rename="camel"):
    timestamp: str | None = None


class Open(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """The tracking pixel was loaded; SES doesn't say by which recipient."""

    type: ClassVar[str] = "Open"
    open: OpenBody | None = None


class ClickBody(Struct, frozen=True, kw_only=True, rename="camel"):
    timestamp: str | None = None
    link: str | None = None


class Click(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """A tracked link was followed; SES doesn't say by which recipient."""

    type: ClassVar[str] = "Click"
    click: ClickBody | None = None


class FailureBody(Struct, frozen=True, kw_only=True, rename="camel"):
    error_message: str | None = None
    template_name: str | None = None


class RenderingFailure(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """An SES template lacked data. The type has a space in it, and the body is called `failure`."""

    type: ClassVar[str] = "Rendering Failure"
    failure: FailureBody | None = None


class DelayBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """`expirationTime` is when SES stops trying."""

    delayed_recipients: list[Recipient]
    delay_type: str | None = None
    expiration_time: str | None = None
    timestamp: str | None = None
    reporting_mta: str | None = field(name="reportingMTA", default=None)


class DeliveryDelay(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """SES could not deliver yet and goes on trying. The body's name is not the type's in lower case."""

    type: ClassVar[str] = "DeliveryDelay"
    delivery_delay: DelayBody


class SubscriptionBody(Struct, frozen=True, kw_only=True, rename="camel"):
    timestamp: str | None = None
    contact_list: str | None = None
    source: str | None = None


class Subscription(SesEvent, frozen=True, kw_only=True, rename="camel"):
    """A recipient changed preferences in SES's own list management."""

    type: ClassVar[str] = "Subscription"
    subscription: SubscriptionBody | None = None


class Setup(Struct, frozen=True):
    """SES greets a topic that it was just given; there is nothing to do."""


class Unknown(Struct, frozen=True):
    """An event type that the engine does not know (yet)."""

    type: str


_EVENTS: Final = (
    *(Send, Reject, Bounce, Complaint, Delivery, Open, Click),
    *(RenderingFailure, DeliveryDelay, Subscription),
)
_DECODERS: Final[dict[str, msgspec.json.Decoder[SesEvent]]] = {
    event.type: msgspec.json.Decoder(event) for event in _EVENTS
}
_GREETING: Final = "Successfully validated SNS topic for Amazon SES event publishing"
_SUBSCRIBED: Final = "AmazonSnsSubscriptionSucceeded"
_TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z _-]{0,63}")


class _Probe(Struct, frozen=True, kw_only=True, rename="camel"):
    event_type: Any = None
    notification_type: Any = None


_probe: Final = msgspec.json.Decoder(_Probe)


def decode(message: str) -> SesEvent | Setup | Unknown:
    """What SES said in the `Message` of an SNS notification.

    Raises UnreadableEvent for text that is no event of SES, and for a known type with a broken body.
    """
    if message.strip().startswith(_GREETING):
        return Setup()
    try:
        return _decode(message)
    # Hostile text also reaches the parser's depth limit, and lone surrogates have no UTF-8.
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise UnreadableEvent(f"not a readable SES event: {_place(error)}") from None


def _decode(message: str) -> SesEvent | Setup | Unknown:
    probe = _probe.decode(message)
    kind = probe.event_type or probe.notification_type
    if not isinstance(kind, str):
        raise UnreadableEvent("neither eventType nor notificationType names a type of event")
    if kind == _SUBSCRIBED:
        return Setup()
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Unknown(kind if _TYPE_NAME.fullmatch(kind) else "unprintable")
    return decoder.decode(message)


def _place(error: Exception) -> str:
    """What msgspec says names types and paths; other errors may quote the input: only their kind is told."""
    return str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
