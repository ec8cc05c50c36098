"""The queues in which deferred mail waits."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.cloud import Cloud
from tests.support.real_clients import opened

from engine.aws.queues import EmailRetryQueue, ParkedEmailQueue
from engine.errors import ServiceUnavailable
from engine.schemas.retry import BounceRecord, RetryEmailData, RetryMessage

RETRY = RetryMessage(
    original_email_data=RetryEmailData(
        to="ada@example.com", template_name="welcome", original_email_id="e1", original_source="shop"
    ),
    retry_attempt=1,
    bounce_history=[BounceRecord(timestamp="2026-11-24T08:00:00.000Z", reason="MailboxFull")],
)


@pytest.fixture
async def queue(cloud: Cloud) -> AsyncIterator[EmailRetryQueue]:
    async with opened("sqs", cloud.endpoint) as client:
        yield EmailRetryQueue(client, cloud.retry_queue)


def received(cloud: Cloud, queue_url: str) -> list[Any]:
    answer = cloud.sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=600)
    return list(answer.get("Messages", []))


async def test_a_deferred_request_comes_back_as_it_was(queue: EmailRetryQueue, cloud: Cloud) -> None:
    await queue.defer('{"detail": {"to": "ädä@example.com"}}', 0)
    assert cloud.messages(cloud.retry_queue) == ['{"detail": {"to": "ädä@example.com"}}']


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\ud800"])
async def test_what_sqs_refuses_is_escaped_and_comes_back_as_it_was(
    queue: EmailRetryQueue, cloud: Cloud, character: str
) -> None:
    await queue.defer(json.dumps({"name": f"a{character}b"}, ensure_ascii=False), 0)
    (body,) = cloud.messages(cloud.retry_queue)
    assert character not in body
    assert json.loads(body) == {"name": f"a{character}b"}


async def test_a_parked_request_lies_in_its_own_queue_as_it_came(cloud: Cloud) -> None:
    async with opened("sqs", cloud.endpoint) as client:
        await ParkedEmailQueue(client, cloud.bulk_queue).park('{"detail": {"to": "ädä@example.com"}}')
        assert cloud.messages(cloud.bulk_queue) == ['{"detail": {"to": "ädä@example.com"}}']
        with pytest.raises(ServiceUnavailable, match="ParkedEmailQueue"):
            await ParkedEmailQueue(client, f"{cloud.bulk_queue}-not-there").park("{}")


async def test_a_deferred_request_waits(queue: EmailRetryQueue, cloud: Cloud) -> None:
    await queue.defer("{}", 60)
    assert cloud.messages(cloud.retry_queue) == []
    assert cloud.delayed(cloud.retry_queue) == 1


async def test_a_retry_has_the_shape_of_the_contract(queue: EmailRetryQueue, cloud: Cloud) -> None:
    await queue.schedule_retry(RETRY, 0)
    (body,) = map(json.loads, cloud.messages(cloud.retry_queue))
    assert set(body) == {"originalEmailData", "retryAttempt", "bounceHistory"}
    assert body["retryAttempt"] == 1
    assert body["bounceHistory"] == [{"timestamp": "2026-11-24T08:00:00.000Z", "reason": "MailboxFull"}]
    data = body["originalEmailData"]
    assert (data["to"], data["templateName"], data["templateData"]) == ("ada@example.com", "welcome", {})
    assert (data["originalEmailId"], data["originalSource"]) == ("e1", "shop")


async def test_a_message_is_held_in_the_queue_that_it_came_from(queue: EmailRetryQueue, cloud: Cloud) -> None:
    """Each of the two queues lies beside the other; a record names only its queue's ARN."""
    cloud.sqs.send_message(QueueUrl=cloud.bulk_queue, MessageBody="bulk")
    (message,) = received(cloud, cloud.bulk_queue)
    assert received(cloud, cloud.bulk_queue) == []
    await queue.extend_visibility(cloud.arn("BulkEmailQueue"), message["ReceiptHandle"], 0)
    (again,) = received(cloud, cloud.bulk_queue)
    assert again["Body"] == "bulk"


async def test_a_deferred_message_stays_hidden(queue: EmailRetryQueue, cloud: Cloud) -> None:
    cloud.sqs.send_message(QueueUrl=cloud.retry_queue, MessageBody="{}")
    answer = cloud.sqs.receive_message(QueueUrl=cloud.retry_queue, VisibilityTimeout=0)
    await queue.extend_visibility(cloud.arn("EmailRetryQueue"), answer["Messages"][0]["ReceiptHandle"], 300)
    assert received(cloud, cloud.retry_queue) == []


class Recorder:
    """Notes requests; refuses where it has a code to refuse with."""

    def __init__(self, code: str | None = None) -> None:
        self._code = code
        self.requests: list[dict[str, Any]] = []

    async def send_message(self, **request: Any) -> None:
        self._take("SendMessage", request)

    async def change_message_visibility(self, **request: Any) -> None:
        self._take("ChangeMessageVisibility", request)

    def _take(self, operation: str, request: dict[str, Any]) -> None:
        if self._code:
            raise ClientError({"Error": {"Code": self._code, "Message": ""}}, operation)
        self.requests.append(request)


URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/Mail-EmailRetryQueue"


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (30, 30), (900, 900), (1800, 900)])
async def test_no_delay_is_longer_than_sqs_takes(asked: int, given: int) -> None:
    client: Any = Recorder()
    await EmailRetryQueue(client, URL).defer("{}", asked)
    assert client.requests == [{"QueueUrl": URL, "MessageBody": "{}", "DelaySeconds": given}]


async def test_the_queue_of_a_deferred_message_is_found_by_its_name() -> None:
    client: Any = Recorder()
    arn = "arn:aws:sqs:eu-west-1:123456789012:Mail-BulkEmailQueue"
    await EmailRetryQueue(client, URL).extend_visibility(arn, "receipt", 43_200)
    assert client.requests == [
        {
            "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/Mail-BulkEmailQueue",
            "ReceiptHandle": "receipt",
            "VisibilityTimeout": 43_200,
        }
    ]


async def test_a_queue_that_says_no_is_an_unavailable_service() -> None:
    client: Any = Recorder("QueueDoesNotExist")
    queue = EmailRetryQueue(client, URL)
    with pytest.raises(ServiceUnavailable, match=r"\(EmailRetryQueue\) SendMessage answered QueueDoesNot"):
        await queue.defer("{}", 0)
    with pytest.raises(ServiceUnavailable, match="SQS ChangeMessageVisibility answered QueueDoesNotExist"):
        await queue.extend_visibility("arn:aws:sqs:eu-west-1:1:q", "receipt", 1)
