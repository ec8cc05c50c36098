"""Publish to an SNS topic, as an event destination of a configuration set does."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aioboto3

from engine.local.ses.mail_object import timestamp
from engine.local.ses.outgoing import Publish

SUBJECT = "Amazon SES Email Event Notification"
"""The subject that SES gives every notification."""

_EXAMPLE_TOPIC = "arn:aws:sns:us-east-1:123456789012:SESFeedback"


@asynccontextmanager
async def sns_topic(
    topic_arn: str, *, endpoint_url: str, region: str = "us-east-1"
) -> AsyncIterator[Publish]:
    """A `publish` for the simulator that sends to the topic at the endpoint."""
    # A local endpoint checks no signature; fixed names keep the user's own AWS profile out of it.
    session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=region)  # noqa: S106 - see above
    async with session.client("sns", endpoint_url=endpoint_url) as sns:

        async def publish(message: str) -> None:
            await sns.publish(TopicArn=topic_arn, Subject=SUBJECT, Message=message)

        yield publish


def lambda_event(
    messages: Sequence[str],
    *,
    topic_arn: str = _EXAMPLE_TOPIC,
    now: datetime = datetime(2026, 1, 12, 1, 0, 15, tzinfo=UTC),
) -> dict[str, Any]:
    """What Lambda hands a function that subscribes to the topic: one record for each message.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    """
    subscription = f"{topic_arn}:2c0f5a3e-6d5b-4c53-8d4b-0f3f2f4f6a11"
    host = "https://sns.us-east-1.amazonaws.com"
    records = [
        {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription,
            "Sns": {
                "Type": "Notification",
                "MessageId": f"95df01b4-ee98-5cb9-9903-{position:012d}",
                "TopicArn": topic_arn,
                "Subject": SUBJECT,
                "Message": message,
                "Timestamp": timestamp(now),
                "SignatureVersion": "1",
                "Signature": "EXAMPLE",
                "SigningCertUrl": f"{host}/SimpleNotificationService-example.pem",
                "UnsubscribeUrl": f"{host}/?Action=Unsubscribe&SubscriptionArn={subscription}",
                "MessageAttributes": {},
            },
        }
        for position, message in enumerate(messages)
    ]
    return {"Records": records}
