"""Events on their way through a real SNS API."""

import json
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from tests.support.ses_requests import SESSION, served, simple

from engine.local.ses import Simulator, sns_topic


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_every_event_reaches_a_subscriber_of_the_topic(aws: str) -> None:
    async with SESSION.client("sns", endpoint_url=aws) as sns, SESSION.client("sqs", endpoint_url=aws) as sqs:
        topic = (await sns.create_topic(Name="SESFeedback"))["TopicArn"]
        queue = (await sqs.create_queue(QueueName="feedback"))["QueueUrl"]
        arn = "arn:aws:sqs:us-east-1:123456789012:feedback"
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        async with (
            sns_topic(topic, endpoint_url=aws) as publish,
            served(Simulator(publish=publish)) as client,
        ):
            await client.send_email(**simple())
        received = await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    envelopes = [json.loads(message["Body"]) for message in received["Messages"]]
    assert {envelope["Subject"] for envelope in envelopes} == {"Amazon SES Email Event Notification"}
    kinds = {json.loads(envelope["Message"])["eventType"] for envelope in envelopes}
    assert kinds == {"Send", "Delivery"}
