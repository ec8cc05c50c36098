"""SQS and Lambda as an operator's commands see them: what was received is hidden, and comes back."""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from tests.support.ports import FakeClock

from engine.schemas.rows import TrackingRow

RETRY_QUEUE = "https://sqs.example/retry"
DLQ = "https://sqs.example/dlq"


def unavailable(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "no"}}, operation)


@dataclass
class FakeSqs:
    """`refuses`: which SendMessage, counted from 1, is refused."""

    clock: FakeClock
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    refuses: int = 0
    loses_deletes: bool = False
    _hidden: dict[str, Any] = field(default_factory=dict)
    _receipts: int = 0

    def put(self, *bodies: object, **attributes: str) -> None:
        for body in bodies:
            key = f"m{len(self.messages) + 1}"
            self.messages[key] = {
                "MessageId": key,
                "Body": body if isinstance(body, str) else json.dumps(body),
                "Attributes": {"SentTimestamp": str(round(1000 * self.clock().timestamp()))},
                "MessageAttributes": {name: {"StringValue": text} for name, text in attributes.items()},
            }

    @property
    def visible(self) -> list[str]:
        return [key for key in self.messages if self._hidden.get(key, self.clock()) <= self.clock()]

    async def receive_message(self, *, VisibilityTimeout: int, **_: Any) -> Any:
        handed_out = []
        for key in self.visible[:10]:
            self._receipts += 1
            self._hidden[key] = self.clock() + timedelta(seconds=VisibilityTimeout)
            handed_out.append(self.messages[key] | {"ReceiptHandle": f"{key}/{self._receipts}"})
        return {"Messages": handed_out} if handed_out else {}

    async def delete_message_batch(self, *, Entries: list[Any], **_: Any) -> Any:
        if self.loses_deletes:
            raise unavailable("DeleteMessageBatch")
        for entry in Entries:
            del self.messages[entry["ReceiptHandle"].partition("/")[0]]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    async def change_message_visibility_batch(self, *, Entries: list[Any], **_: Any) -> None:
        for entry in Entries:
            key = entry["ReceiptHandle"].partition("/")[0]
            self._hidden[key] = self.clock() + timedelta(seconds=entry["VisibilityTimeout"])

    async def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:
        assert QueueUrl == RETRY_QUEUE
        if self.refuses and len(self.sent) + 1 == self.refuses:
            raise unavailable("SendMessage")
        self.sent.append(MessageBody)


class Payload(io.BytesIO):
    async def read(self) -> bytes:  # type: ignore[override] # aiobotocore's is awaited
        return super().read()


@dataclass
class FakeFunctions:
    """FeedbackProcessor: `fails` says what it raises on a message, if anything."""

    fails: Callable[[str], str | None] = lambda _message: None
    messages: list[str] = field(default_factory=list)

    async def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        assert FunctionName == "shop-FeedbackProcessor:live"
        for record in json.loads(Payload)["Records"]:
            message = record["Sns"]["Message"]
            if problem := self.fails(message):
                said = {"errorType": "FeedbackFailed", "errorMessage": problem}
                return {"FunctionError": "Unhandled", "Payload": _payload(said)}
            self.messages.append(message)
        return {"StatusCode": 200}


def _payload(said: object) -> Payload:
    return Payload(json.dumps(said).encode())


@dataclass
class FakeRows:
    rows: dict[str, TrackingRow] = field(default_factory=dict)

    async def read(self, email_ids: Iterable[str]) -> dict[str, TrackingRow]:
        return {email_id: self.rows[email_id] for email_id in email_ids if email_id in self.rows}
