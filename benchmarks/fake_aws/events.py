"""What arrives at the sender: real-shaped events, each email with an address and an id of its own."""

from itertools import count
from typing import Any, Final
from uuid import UUID

import msgspec

from benchmarks.fake_aws.aws import SUPPRESSED, TEMPLATE

_SAMPLE: Final[dict[str, Any]] = msgspec.json.decode((TEMPLATE / "sample.json").read_bytes())
_numbers = count(1)


def request(
    *, template: str = "order-confirmation", suppressed: bool = False, priority: str | None = None
) -> Any:
    """An Email Request as EventBridge hands it over."""
    number = next(_numbers)
    detail: dict[str, Any] = {
        "to": f"{SUPPRESSED if suppressed else 'ada'}-{number}@example.com",
        "templateName": template,
        "templateData": {**_SAMPLE, "userName": f"Ada {number}"},
        "metadata": {"orderId": f"{number:08}"},
        "tags": {"campaign": "spring"},
    }
    if priority:
        detail["priority"] = priority
    return {
        "version": "0",
        "id": str(UUID(int=number)),
        "detail-type": "Email Request",
        "source": "shop",
        "account": "123456789012",
        "time": "2026-11-24T08:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def unseen_template() -> Any:
    """A request for a template that no environment has loaded before."""
    return request(template=f"template-{next(_numbers)}")


def delivery() -> Any:
    """SES's report of a delivery, as SNS hands it over; the row it is about is there."""
    number = next(_numbers)
    mail = {
        "timestamp": "2026-11-24T08:00:01.000Z",
        "source": "no-reply@shop.example",
        "messageId": f"0100019a{number:08x}-000000",
        "destination": [f"ada-{number}@example.com"],
        "headersTruncated": False,
        "headers": [{"name": "Subject", "value": "Your order"}],
        "commonHeaders": {"from": ["no-reply@shop.example"], "subject": "Your order"},
        "tags": {"emailId": [f"row-{number}"], "ses:configuration-set": ["sesmailengine-ConfigSet"]},
    }
    report = {
        "timestamp": "2026-11-24T08:00:02.000Z",
        "processingTimeMillis": 901,
        "recipients": mail["destination"],
        "smtpResponse": "250 2.0.0 OK",
        "reportingMTA": "a1-2.smtp-out.amazonses.com",
    }
    message = msgspec.json.encode({"eventType": "Delivery", "mail": mail, "delivery": report}).decode()
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:sesmailengine-SESFeedback:1",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": str(UUID(int=number)),
                    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:sesmailengine-SESFeedback",
                    "Message": message,
                    "Timestamp": "2026-11-24T08:00:02.100Z",
                },
            }
        ]
    }


def retry() -> Any:
    """A retry message as the feedback processor puts it into the queue."""
    asked = request()
    detail = asked["detail"]
    return {
        "originalEmailData": {**detail, "originalEmailId": asked["id"], "originalSource": "shop"},
        "retryAttempt": 1,
        "bounceHistory": [{"timestamp": "2026-11-24T08:00:00Z", "reason": "MailboxFull"}],
    }


def batch(bodies: list[Any], queue: str = "sesmailengine-BulkEmailQueue") -> Any:
    """A batch as Lambda's queue poller hands it over."""
    return {
        "Records": [
            {
                "messageId": f"{UUID(int=number)}",
                "receiptHandle": f"AQEB{number:060}",
                "body": msgspec.json.encode(body).decode(),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1764000000000",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1764000000001",
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
    }


def bulk(size: int) -> Any:
    """A batch of the bulk lane."""
    return batch([request(priority="bulk") for _ in range(size)])


def retries(size: int = 1) -> Any:
    """A batch of soft-bounce retries."""
    return batch([retry() for _ in range(size)], "sesmailengine-EmailRetryQueue")
