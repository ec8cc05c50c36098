"""Messages of a queue that are in hand, and are shown again unless they were deleted.

SQS has no way to look without taking: a message that was received is hidden for a while. One whose reader
died shows itself when that is over.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from engine.aws.dynamodb import chunks
from engine.aws.error_codes import service_errors
from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MOST_MESSAGES: Final = 10  # of a call
_AT_ONCE: Final = 20  # calls


@dataclass
class TakenMessages:
    """`sqs`: an aiobotocore client. `visibility`: seconds for which what is received is hidden.

    `wait`: seconds that a receive waits. A long poll asks all of a queue's servers, so that an empty answer
    means an empty queue, which without it may be wrong:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
    """

    sqs: Any
    queue_url: str
    service: str
    visibility: int
    wait: int
    _receipts: dict[str, str] = field(default_factory=dict)  # handles by message id; the newest counts

    async def receive(self) -> list[Any]:
        """Ten messages at most, with all that SQS tells of them. Raises ServiceUnavailable."""
        with service_errors(self.service):
            answer = await self.sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=MOST_MESSAGES,
                WaitTimeSeconds=self.wait,
                VisibilityTimeout=self.visibility,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        messages: list[Any] = answer.get("Messages", [])
        self._receipts |= {each["MessageId"]: each["ReceiptHandle"] for each in messages}
        return messages

    async def delete(self, messages: Sequence[Any]) -> None:
        """Ten at most. Raises ServiceUnavailable, also where SQS left one undone; that is shown again."""
        ids = [each["MessageId"] for each in messages]
        # SQS may hand a message out twice, and then another receiver may have deleted it.
        handles = [self._receipts.get(each["MessageId"], each["ReceiptHandle"]) for each in messages]
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        with service_errors(self.service):
            answer = await self.sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
        for each in answer.get("Successful", []):
            self._receipts.pop(ids[int(each["Id"])], None)
        if answer.get("Failed"):
            code = answer["Failed"][0]["Code"]
            raise ServiceUnavailable(f"{self.service} DeleteMessageBatch answered {code}")

    async def show_again(self) -> None:
        """Let what is left be received at once; what SQS does not show now shows itself later."""
        parts = chunks(list(self._receipts.values()), MOST_MESSAGES)

        async def show() -> None:
            for part in parts:
                entries = [
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(part)
                ]
                with suppress(ServiceUnavailable), service_errors(self.service):
                    await self.sqs.change_message_visibility_batch(QueueUrl=self.queue_url, Entries=entries)

        await concurrently(show() for _ in range(_AT_ONCE))
