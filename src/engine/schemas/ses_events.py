"""The ten events that SES publishes about a message, in both of its wire formats.

A configuration set publishes events with `eventType` and message tags; an identity's feedback notifications
carry `notificationType`, no tags, and exist for bounces, complaints and deliveries. The type decides the
shape, so that a type that SES invents tomorrow is acknowledged instead of failing to decode.

Shapes hold only what the engine reads, under one name each. SES leaves fields out and sends null, and one odd
value must not cost the others: only what decides is held to its type.

Sources: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html,
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

import re
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, field

# Text, where SES sends text; `line` makes nothing of anything else.
Text: TypeAlias = Any
_LONGEST_LINE: Final = 500


class UnreadableEvent(ValueError):  # noqa: N818 - it names what was found
    """Not an SES event, or one whose body is broken. Its text names places and types, never values."""


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


class Mail(Struct, frozen=True, kw_only=True, rename="camel"):
    """The email that the event is about. `destination` lists to, cc and bcc alike."""

    message_id: Text = None
    timestamp: Text = None
    destination: Any = None
    tags: Any = None

    def tag(self, name: str) -> str:
        """The first value of a message tag; empty where there is none.

        Tags map a name to a list of values, in configuration-set events only; one documented client sends
        bare strings.
        """
        values = self.tags.get(name) if isinstance(self.tags, dict) else None
        return line(values[0] if isinstance(values, list) and values else values)


class Recipient(Struct, frozen=True, kw_only=True):
    """One affected recipient. With a DSN, the address is its Final-Recipient; without, there is no status."""

    address: Text = field(name="emailAddress", default=None)
    status: Text = None
    text: Text = field(name="diagnosticCode", default=None)


class Body(Struct, frozen=True, kw_only=True):
    """What is said about the email. `mark` tells apart two events of one kind and time.

    As it is, it will do for Send, for Open (which doesn't say by whom) and for Subscription (a recipient
    changed preferences in SES's own list management).
    """

    timestamp: Text = None
    type: Text = None
    subtype: Text = None
    text: Text = None
    expires: Text = None
    mark: Text = None
    recipients: list[Any] | None = None


class Bounce(Body, frozen=True, kw_only=True):
    """A hard bounce, or a soft one after SES has given up retrying. SES adds types without notice."""

    type: str = field(name="bounceType")
    subtype: Text = field(name="bounceSubType", default=None)
    mark: Text = field(name="feedbackId", default=None)
    recipients: list[Any] = field(name="bouncedRecipients", default_factory=list)


class Complaint(Body, frozen=True, kw_only=True):
    """A recipient called the message spam (or, with `not-spam`, the opposite).

    `complaintFeedbackType` is there only where a feedback report was attached.
    """

    type: Text = field(name="complaintFeedbackType", default=None)
    subtype: Text = field(name="complaintSubType", default=None)
    mark: Text = field(name="feedbackId", default=None)
    recipients: list[Any] = field(name="complainedRecipients", default_factory=list)


class Delivery(Body, frozen=True, kw_only=True):
    """The recipients' mail server took the message; a bounce may still follow."""

    text: Text = field(name="smtpResponse", default=None)
    recipients: list[Any] = []


class DeliveryDelay(Body, frozen=True, kw_only=True):
    """SES could not deliver yet and goes on trying, until `expires`."""

    type: Text = field(name="delayType", default=None)
    expires: Text = field(name="expirationTime", default=None)
    recipients: list[Any] = field(name="delayedRecipients", default_factory=list)


class Click(Body, frozen=True, kw_only=True):
    """A tracked link was followed; SES doesn't say by whom."""

    mark: Text = field(name="link", default=None)


class Reject(Body, frozen=True, kw_only=True):
    """SES found a virus after accepting the message, and dropped it."""

    text: Text = field(name="reason", default=None)


class RenderingFailure(Body, frozen=True, kw_only=True):
    """An SES template lacked data."""

    text: Text = field(name="errorMessage", default=None)


_BODIES: Final[dict[Kind, tuple[str, type[Body]]]] = {
    Kind.SEND: ("send", Body),
    Kind.REJECT: ("reject", Reject),
    Kind.BOUNCE: ("bounce", Bounce),
    Kind.COMPLAINT: ("complaint", Complaint),
    Kind.DELIVERY: ("delivery", Delivery),
    Kind.OPEN: ("open", Body),
    Kind.CLICK: ("click", Click),
    Kind.RENDERING_FAILURE: ("failure", RenderingFailure),
    Kind.DELIVERY_DELAY: ("deliveryDelay", DeliveryDelay),
    Kind.SUBSCRIPTION: ("subscription", Body),
}
_GREETING: Final = "Successfully validated SNS topic for Amazon SES event publishing"
_SUBSCRIBED: Final = "AmazonSnsSubscriptionSucceeded"
_TYPE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z _-]{0,63}")


class SesEvent(Struct, frozen=True, kw_only=True):
    kind: Kind
    mail: Mail
    body: Body


class Setup(Struct, frozen=True):
    """SES greets a topic that it was just given; there is nothing to do."""


class Unknown(Struct, frozen=True):
    """An event type that the engine does not know (yet)."""

    type: str


def decode(message: str) -> SesEvent | Setup | Unknown:
    """What SES said in the `Message` of an SNS notification.

    Raises UnreadableEvent for text that is no event of SES, and for a known type with a broken body.
    """
    if message.strip().startswith(_GREETING):
        return Setup()
    try:
        event = msgspec.json.decode(message, type=dict[str, Any])
        given = {name: value for name, value in event.items() if value is not None}
        kind = given.get("eventType") or given.get("notificationType")
        if kind == _SUBSCRIBED:
            return Setup()
        if not isinstance(kind, str):
            raise UnreadableEvent("neither eventType nor notificationType names a type of event")
        if kind not in _BODIES:
            return Unknown(kind if _TYPE_NAME.fullmatch(kind) else "unprintable")
        name, shape = _BODIES[Kind(kind)]
        return SesEvent(
            kind=Kind(kind),
            mail=msgspec.convert(given.get("mail", {}), Mail),
            body=msgspec.convert(given.get(name, {}), shape),
        )
    # Hostile text also reaches the parser's depth limit, and lone surrogates have no UTF-8.
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        # A validation error names types and paths; others may quote the input.
        problem = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
        raise UnreadableEvent(f"not a readable SES event: {problem}") from None


def line(value: object) -> str:
    """A text on one line and of bounded length, for it goes into rows and events; empty where it is none."""
    return " ".join(value.split())[:_LONGEST_LINE] if isinstance(value, str) else ""
