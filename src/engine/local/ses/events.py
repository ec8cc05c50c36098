"""The ten types of event that a configuration set publishes, field for field, as pure functions.

Sources: "Contents of event data that Amazon SES publishes to Amazon SNS" and "Examples of event data ..."
(https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html, ...-examples.html).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.local.ses.mail_object import MailObject, timestamp
from engine.local.ses.message import bare_address

EventDocument = dict[str, Any]
"""One event as JSON-able data; every call makes a new one, so a test may change it."""

_REPORTING_MTA = "a8-70.smtp-out.amazonses.com"
_OUTGOING_IP = "192.0.2.1"
_READER_IP = "192.0.2.2"
_USER_AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


def send(mail: MailObject) -> EventDocument:
    """SES accepted the message and will try to deliver it. Its body is empty."""
    return _event("Send", mail, "send", {})


def reject(mail: MailObject) -> EventDocument:
    """SES found a virus after accepting the message. "Bad content" is the only documented reason."""
    return _event("Reject", mail, "reject", {"reason": "Bad content"})


def delivery(mail: MailObject, recipients: Sequence[str], now: datetime) -> EventDocument:
    """The recipients' mail server took the message."""
    body = {
        "timestamp": timestamp(now),
        "processingTimeMillis": max(0, round((now - mail.sent_at).total_seconds() * 1000)),
        "recipients": [bare_address(recipient) for recipient in recipients],
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": _REPORTING_MTA,
    }
    return _event("Delivery", mail, "delivery", body, {"ses:outgoing-ip": [_OUTGOING_IP]})


def bounce(
    mail: MailObject,
    recipients: Sequence[str],
    now: datetime,
    *,
    bounce_type: str = "Permanent",
    subtype: str = "General",
    status: str | None = "5.1.1",
    diagnostic: str | None = "smtp; 550 5.1.1 user unknown",
) -> EventDocument:
    """The message came back. With `status=None` the bounce brings no delivery status notification (DSN).

    The defaults are what SES reports for bounce@simulator.amazonses.com.
    """
    dsn = {} if status is None else {"action": "failed", "status": status, "diagnosticCode": diagnostic}
    known = {name: value for name, value in dsn.items() if value is not None}
    body = {
        "feedbackId": _feedback_id(mail, "bounce", now),
        "bounceType": bounce_type,
        "bounceSubType": subtype,
        "bouncedRecipients": [{"emailAddress": bare_address(recipient), **known} for recipient in recipients],
        "timestamp": timestamp(now),
    }
    if status is not None:
        body["reportingMTA"] = f"dns; {_REPORTING_MTA}"
    return _event("Bounce", mail, "bounce", body)


def complaint(
    mail: MailObject,
    recipients: Sequence[str],
    now: datetime,
    *,
    feedback_type: str | None = "abuse",
    subtype: str | None = None,
) -> EventDocument:
    """A recipient marked the message as spam. With `feedback_type=None` no feedback report was attached.

    `subtype` is null or `OnAccountSuppressionList`.
    """
    body: EventDocument = {
        "feedbackId": _feedback_id(mail, "complaint", now),
        "complaintSubType": subtype,
        "complainedRecipients": [{"emailAddress": bare_address(recipient)} for recipient in recipients],
        "timestamp": timestamp(now),
    }
    if feedback_type is not None:
        body |= {
            "userAgent": "Amazon SES Mailbox Simulator",
            "complaintFeedbackType": feedback_type,
            "arrivalDate": timestamp(now),
        }
    return _event("Complaint", mail, "complaint", body)


def open_(mail: MailObject, now: datetime) -> EventDocument:
    """Someone's mail program loaded the tracking pixel."""
    body = {"ipAddress": _READER_IP, "timestamp": timestamp(now), "userAgent": _USER_AGENT}
    return _event("Open", mail, "open", body)


def click(
    mail: MailObject,
    now: datetime,
    *,
    link: str = "https://www.example.com/",
    link_tags: Mapping[str, Sequence[str]] | None = None,
) -> EventDocument:
    """Someone followed a tracked link. `link_tags` is null unless the link had a `ses:tags` attribute."""
    body = {
        "ipAddress": _READER_IP,
        "timestamp": timestamp(now),
        "userAgent": _USER_AGENT,
        "link": link,
        "linkTags": None if link_tags is None else {name: list(values) for name, values in link_tags.items()},
    }
    return _event("Click", mail, "click", body)


def rendering_failure(mail: MailObject, *, error: str, template: str = "") -> EventDocument:
    """A template lacked data, so nothing was sent. The type has a space; the body is `failure`."""
    return _event("Rendering Failure", mail, "failure", {"errorMessage": error, "templateName": template})


def delivery_delay(
    mail: MailObject,
    recipients: Sequence[str],
    now: datetime,
    *,
    delay_type: str = "TransientCommunicationFailure",
    status: str = "4.4.1",
    diagnostic: str = "smtp; 421 4.4.1 Unable to connect to remote host",
    expires_in: timedelta = timedelta(hours=14),
) -> EventDocument:
    """SES could not deliver yet and goes on trying until `expires_in` from now."""
    body = {
        "timestamp": timestamp(now),
        "delayType": delay_type,
        "expirationTime": timestamp(now + expires_in),
        "delayedRecipients": [
            {"emailAddress": bare_address(recipient), "status": status, "diagnosticCode": diagnostic}
            for recipient in recipients
        ],
    }
    return _event("DeliveryDelay", mail, "deliveryDelay", body)


def subscription(
    mail: MailObject,
    now: datetime,
    *,
    contact_list: str = "ContactList",
    topic: str = "Topic",
    unsubscribe_all: bool = True,
) -> EventDocument:
    """A recipient changed what SES's own list management lets through."""
    body = {
        "contactList": contact_list,
        "timestamp": timestamp(now),
        "source": "UnsubscribeHeader",
        "newTopicPreferences": _preferences(topic, "OptOut", unsubscribe_all=unsubscribe_all),
        "oldTopicPreferences": _preferences(topic, "OptIn", unsubscribe_all=False),
    }
    return _event("Subscription", mail, "subscription", body)


def to_json(event: EventDocument) -> str:
    """The text that arrives as the `Message` of the SNS notification."""
    return msgspec.json.encode(event).decode()


def _event(
    kind: str,
    mail: MailObject,
    body_name: str,
    body: EventDocument,
    more_tags: Mapping[str, list[str]] | None = None,
) -> EventDocument:
    return {"eventType": kind, "mail": mail.document(more_tags or {}), body_name: body}


def _preferences(topic: str, status: str, *, unsubscribe_all: bool) -> EventDocument:
    return {
        "unsubscribeAll": unsubscribe_all,
        "topicSubscriptionStatus": [{"topicName": topic, "subscriptionStatus": status}],
    }


def _feedback_id(mail: MailObject, kind: str, now: datetime) -> str:
    """An id in SES's form, equal for equal events, so that a repeated event is a true duplicate."""
    number = int(now.timestamp() * 1000)
    return f"0100{number:012x}-{mail.message_id[17:53]}-{kind == 'bounce':06d}"
