"""Feedback notifications of an identity, and what SES sends once when an event destination is made.

They carry `notificationType` instead of `eventType`, no message tags, and exist for bounces, complaints and
deliveries only. Source: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html.
"""

from engine.local.ses.events import EventDocument
from engine.local.ses.mail_object import SOURCE_IP

TOPIC_VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."
"""Plain text that SES sends to a topic once, when an event destination is made."""


def as_notification(event: EventDocument, *, with_headers: bool = False) -> EventDocument:
    """An event as an identity's feedback notification; with headers only where they are wanted.

    Raises ValueError for event types that exist with configuration sets only.
    """
    kind = event["eventType"]
    if kind not in {"Bounce", "Complaint", "Delivery"}:
        raise ValueError(
            f"SES sends no feedback notification for {kind!r}; only Bounce, Complaint and Delivery"
        )
    left_out = {"tags"} if with_headers else {"tags", "headersTruncated", "headers", "commonHeaders"}
    mail = {name: value for name, value in event["mail"].items() if name not in left_out}
    mail |= {"sourceIp": SOURCE_IP, "callerIdentity": "ses_user"}
    body_name = kind.lower()
    body = {**event[body_name]}
    if kind != "Complaint":
        body["remoteMtaIp"] = "127.0.2.0"
    return {"notificationType": kind, body_name: body, "mail": mail}
