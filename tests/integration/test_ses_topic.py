"""Events on their way through a real SNS API."""

import json

from tests.support.ses_requests import SESSION, served, simple

from engine.local.ses import Simulator, sns_topic


async def test_every_event_reaches_a_subscriber_of_the_topic(aws_endpoint: str) -> None:
    async with (
        SESSION.client("sns", endpoint_url=aws_endpoint) as sns,
        SESSION.client("sqs", endpoint_url=aws_endpoint) as sqs,
    ):
        topic = (await sns.create_topic(Name="SESFeedback"))["TopicArn"]
        queue = (await sqs.create_queue(QueueName="feedback"))["QueueUrl"]
        arn = "arn:aws:sqs:us-east-1:123456789012:feedback"
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        async with (
            sns_topic(topic, endpoint_url=aws_endpoint) as publish,
            served(Simulator(publish=publish)) as client,
        ):
            await client.send_email(**simple())
        received = await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    envelopes = [json.loads(message["Body"]) for message in received["Messages"]]
    assert {envelope["Subject"] for envelope in envelopes} == {"Amazon SES Email Event Notification"}
    kinds = {json.loads(envelope["Message"])["eventType"] for envelope in envelopes}
    assert kinds == {"Send", "Delivery"}
