"""Queues in which deferred mail waits."""

import re
from typing import TYPE_CHECKING, Final

import msgspec

from engine.aws.error_codes import service_errors
from engine.schemas.retry import RetryMessage

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
SQS_LONGEST_DELAY: Final = 900

# Characters that SQS refuses; JSON has an escape for each.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html#API_SendMessage_RequestSyntax
_REFUSED: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")

_encoder = msgspec.json.Encoder()


async def _send(client: "SQSClient", queue: str, url: str, body: str, seconds: int = 0) -> None:
    body = _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", body)
    with service_errors(f"SQS ({queue})"):
        await client.send_message(
            QueueUrl=url, MessageBody=body, DelaySeconds=min(seconds, SQS_LONGEST_DELAY)
        )


class ParkedEmailQueue:
    """Implements `ParkedMail`. Nothing receives from it until an operator's `go` does."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    async def park(self, body: str) -> None:
        await _send(self._client, "ParkedEmailQueue", self._url, body)


class EmailRetryQueue:
    """Implements `DeferralQueues` and `RetryScheduler`."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    async def defer(self, body: str, seconds: int) -> None:
        await _send(self._client, "EmailRetryQueue", self._url, body, seconds)

    async def schedule_retry(self, message: RetryMessage, seconds: int) -> None:
        await self.defer(_encoder.encode(message).decode(), seconds)

    async def extend_visibility(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for longer. Receives are counted on, so waits must grow."""
        # All queues of the stack lie beside the retry queue; a record names only its queue's ARN.
        url = f"{self._url.rpartition('/')[0]}/{queue_arn.rpartition(':')[2]}"
        with service_errors("SQS"):
            await self._client.change_message_visibility(
                QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
