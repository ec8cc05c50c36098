"""Publish to an SNS topic, as an event destination of a configuration set does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioboto3

from engine.local.ses.outgoing import Publish

SUBJECT = "Amazon SES Email Event Notification"
"""The subject that SES gives every notification."""


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
