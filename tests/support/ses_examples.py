"""One complete event of each type, field for field as AWS documents them; every call gives a fresh one.

Kept apart from the simulator's builders on purpose: two hands that read the same pages catch each other's
slips.
Source: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html
"""

import copy
import json
from typing import Any

Event = dict[str, Any]

MESSAGE_ID = "0100018f3b7c2d11-5b1d7a10-63f4-4d0e-9a55-3c1f0e8f7a21-000000"
FEEDBACK_ID = "0100018f3b7c9e42-8c0f4b7e-1f0a-4b53-8d6e-2a7b9c4d5e6f-000000"
EMAIL_ID = "6f1f7b0e-8d7c-5c53-9a3b-0a4f1f0d2c11"

_FULL_MAIL: Event = {
    "timestamp": "2026-03-02T09:40:02.012Z",
    "source": "Sender Name <sender@example.com>",
    "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/sender@example.com",
    "sendingAccountId": "123456789012",
    "messageId": MESSAGE_ID,
    "destination": ["recipient@example.com"],
    "headersTruncated": False,
    "headers": [
        {"name": "From", "value": "Sender Name <sender@example.com>"},
        {"name": "To", "value": "recipient@example.com"},
        {"name": "Subject", "value": "Message sent from Amazon SES"},
        {"name": "MIME-Version", "value": "1.0"},
        {"name": "Content-Type", "value": 'multipart/alternative; boundary="----=_Part_1_2.3"'},
    ],
    "commonHeaders": {
        "from": ["Sender Name <sender@example.com>"],
        "to": ["recipient@example.com"],
        "messageId": MESSAGE_ID,
        "subject": "Message sent from Amazon SES",
    },
    "tags": {
        "ses:operation": ["SendEmail"],
        "ses:configuration-set": ["ConfigSet"],
        "ses:source-ip": ["192.0.2.0"],
        "ses:from-domain": ["example.com"],
        "ses:caller-identity": ["ses_user"],
        "emailId": [EMAIL_ID],
        "campaign": ["spring"],
    },
}
# Rendering Failure and DeliveryDelay are documented with no headers and without most tags.
_SHORT_MAIL: Event = {
    key: value for key, value in _FULL_MAIL.items() if key not in {"headers", "commonHeaders"}
} | {"tags": {"ses:configuration-set": ["ConfigSet"], "emailId": [EMAIL_ID]}}

_BODIES: dict[str, tuple[str, Event]] = {
    "Send": ("send", {}),
    "Reject": ("reject", {"reason": "Bad content"}),
    "Bounce": (
        "bounce",
        {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {
                    "emailAddress": "recipient@example.com",
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
            "timestamp": "2026-03-02T09:41:02.669Z",
            "feedbackId": FEEDBACK_ID,
            "reportingMTA": "dsn; mta.example.com",
        },
    ),
    "Complaint": (
        "complaint",
        {
            "complainedRecipients": [{"emailAddress": "recipient@example.com"}],
            "timestamp": "2026-03-02T09:41:02.669Z",
            "feedbackId": FEEDBACK_ID,
            "complaintSubType": None,
            "userAgent": "ExampleCorp Feedback Loop (V0.01)",
            "complaintFeedbackType": "abuse",
            "arrivalDate": "2026-03-02T09:41:02.669Z",
        },
    ),
    "Delivery": (
        "delivery",
        {
            "timestamp": "2026-03-02T09:40:13.905Z",
            "processingTimeMillis": 11893,
            "recipients": ["recipient@example.com"],
            "smtpResponse": "250 2.6.0 Message received",
            "reportingMTA": "mta.example.com",
        },
    ),
    "Open": (
        "open",
        {
            "ipAddress": "192.0.2.1",
            "timestamp": "2026-03-02T09:50:19.652Z",
            "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
        },
    ),
    "Click": (
        "click",
        {
            "ipAddress": "192.0.2.1",
            "link": "https://www.example.com/offers",
            "linkTags": {"samplekey0": ["samplevalue0"]},
            "timestamp": "2026-03-02T09:51:25.570Z",
            "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
        },
    ),
    "Rendering Failure": (
        "failure",
        {
            "errorMessage": "Attribute 'attributeName' is not present in the rendering data.",
            "templateName": "MyTemplate",
        },
    ),
    "DeliveryDelay": (
        "deliveryDelay",
        {
            "timestamp": "2026-03-02T09:55:40.095Z",
            "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-03-02T23:55:40.914Z",
            "delayedRecipients": [
                {
                    "emailAddress": "recipient@example.com",
                    "status": "4.4.1",
                    "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
                }
            ],
        },
    ),
    "Subscription": (
        "subscription",
        {
            "contactList": "ContactListName",
            "timestamp": "2026-03-02T10:00:17.910Z",
            "source": "UnsubscribeHeader",
            "newTopicPreferences": {
                "unsubscribeAll": True,
                "topicSubscriptionStatus": [{"topicName": "News", "subscriptionStatus": "OptOut"}],
            },
            "oldTopicPreferences": {
                "unsubscribeAll": False,
                "topicSubscriptionStatus": [{"topicName": "News", "subscriptionStatus": "OptOut"}],
            },
        },
    ),
}
TYPES = tuple(_BODIES)
GREETING = "Successfully validated SNS topic for Amazon SES event publishing."


def event(kind: str, **changes: Any) -> Event:
    """A complete event; `changes` go into its body, those named `mail_...` into the mail object."""
    name, body = _BODIES[kind]
    mail = _SHORT_MAIL if kind in {"Rendering Failure", "DeliveryDelay"} else _FULL_MAIL
    of_mail = {key.removeprefix("mail_"): value for key, value in changes.items() if key.startswith("mail_")}
    of_body = {key: value for key, value in changes.items() if not key.startswith("mail_")}
    return copy.deepcopy({"eventType": kind, "mail": mail | of_mail, name: body | of_body})


def notification(kind: str, **changes: Any) -> Event:
    """The same news as an identity's feedback notification: no tags, no headers, and `notificationType`."""
    complete = event(kind, **changes)
    dropped = {"tags", "headers", "commonHeaders", "headersTruncated"}
    mail = {key: value for key, value in complete["mail"].items() if key not in dropped}
    body = complete[kind.lower()] | ({} if kind == "Complaint" else {"remoteMtaIp": "127.0.2.0"})
    return {"notificationType": kind, "mail": mail, kind.lower(): body}


def bounce(kind: str, subtype: str, *, to: str = "recipient@example.com", **details: Any) -> Event:
    """One recipient's bounce; `status`, `action` and `diagnostic` make its DSN, the rest bends the event."""
    names = {"status": "status", "action": "action", "diagnostic": "diagnosticCode"}
    dsn = {names[key]: details.pop(key) for key in list(details) if key in names}
    recipients = [{"emailAddress": to, **dsn}]
    return event("Bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=recipients, **details)


def text(of: Event) -> str:
    """As it stands in the `Message` of the SNS notification."""
    return json.dumps(of)
