"""What arrives at the functions: real-shaped events, each email with an address and an id of its own."""

from itertools import count
from typing import Any, Final
from uuid import UUID

import msgspec

from benchmarks.fake_aws.services import ROW, TEMPLATE

_SAMPLE: Final[dict[str, Any]] = msgspec.json.decode((TEMPLATE / "sample.json").read_bytes())
_numbers = count(1)


def request(*, template: str = "order-confirmation", priority: str = "transactional") -> Any:
    """An Email Request as EventBridge hands it over."""
    number = next(_numbers)
    return {
        "version": "0",
        "id": str(UUID(int=number)),
        "detail-type": "Email Request",
        "source": "shop",
        "account": "123456789012",
        "time": "2026-11-24T08:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "to": f"ada-{number}@example.com",
            "templateName": template,
            "templateData": {**_SAMPLE, "userName": f"Ada {number}"},
            "metadata": {"orderId": f"{number:08}"},
            "tags": {"campaign": "spring"},
            "priority": priority,
        },
    }


def request_for_new_template() -> Any:
    """A request for a template that no environment has loaded before."""
    return request(template=f"template-{next(_numbers)}")


def bulk(size: int) -> Any:
    """A batch of the bulk lane, as Lambda's queue poller hands it over."""
    return {
        "Records": [
            {
                "messageId": f"{UUID(int=number)}",
                "receiptHandle": f"AQEB{number:060}",
                "body": msgspec.json.encode(request(priority="bulk")).decode(),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1764000000000",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1764000000001",
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:sesmailengine-BulkEmailQueue",
                "awsRegion": "eu-west-1",
            }
            for number in range(size)
        ]
    }


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
        "tags": {"emailId": [f"{ROW}{number}"], "ses:configuration-set": ["sesmailengine-ConfigSet"]},
    }
    report = {
        "timestamp": "2026-11-24T08:00:02.000Z",
        "processingTimeMillis": 901,
        "recipients": mail["destination"],
        "smtpResponse": "250 2.0.0 OK",
        "reportingMTA": "a1-2.smtp-out.amazonses.com",
    }
    topic = "arn:aws:sns:eu-west-1:123456789012:sesmailengine-SESFeedback"
    notification = {
        "Type": "Notification",
        "MessageId": str(UUID(int=number)),
        "TopicArn": topic,
        "Subject": "Amazon SES Email Event Notification",
        "Message": msgspec.json.encode({"eventType": "Delivery", "mail": mail, "delivery": report}).decode(),
        "Timestamp": "2026-11-24T08:00:02.100Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/cert.pem",
        "UnsubscribeUrl": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {},
    }
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": f"{topic}:1"}
    return {"Records": [{**record, "Sns": notification}]}
