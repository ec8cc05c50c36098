"""SQS as a run over ParkedEmailQueue sees it: receives hide, batches answer for each entry."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

PARKED, BULK, RETRY = "parked", "bulk", "retry"


@dataclass
class FakeSqs:
    """The three queues by URL. `refuses`: bodies that a lane does not take. `breaks`: a call that fails.

    `keeps`: bodies that SQS leaves undeleted.

    `parks_again`: what a lane does before it parks all that it takes again, as under a brake.
    """

    parked: dict[str, str] = field(default_factory=dict)  # by message id
    lanes: dict[str, list[str]] = field(default_factory=lambda: {BULK: [], RETRY: []})
    hidden: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    keeps: set[str] = field(default_factory=set)
    breaks: str = ""
    parks_again: Callable[[], None] | None = None
    _handles: Any = field(default_factory=itertools.count)
    _received: dict[str, str] = field(default_factory=dict)

    def park(self, *bodies: str) -> None:
        for body in bodies:
            self.parked[f"m{len(self.parked)}"] = body

    @property
    def left(self) -> list[str]:
        """Bodies that can be received."""
        return [body for key, body in self.parked.items() if key not in self.hidden]

    async def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> Any:
        assert QueueUrl == PARKED
        self._break("ReceiveMessage")
        keys = [key for key in self.parked if key not in self.hidden][:MaxNumberOfMessages]
        self.hidden.update(keys)
        return {"Messages": [self._message(key) for key in keys]} if keys else {}

    def _message(self, key: str) -> dict[str, str]:
        handle = f"handle-{next(self._handles)}"
        self._received[handle] = key
        return {"MessageId": key, "ReceiptHandle": handle, "Body": self.parked[key]}

    async def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        assert len(Entries) <= 10
        assert sum(len(entry["MessageBody"].encode()) for entry in Entries) <= 1_048_576
        self._break("SendMessageBatch")
        taken = [entry for entry in Entries if entry["MessageBody"] not in self.refuses]
        self.lanes[QueueUrl] += [entry["MessageBody"] for entry in taken]
        if self.parks_again:
            self.parks_again()
            self.parked |= {f"again-{next(self._handles)}": entry["MessageBody"] for entry in taken}
        left = [{"Id": entry["Id"], "Code": "InternalError"} for entry in Entries if entry not in taken]
        return {"Successful": [{"Id": entry["Id"]} for entry in taken], **({"Failed": left} if left else {})}

    async def delete_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        assert QueueUrl == PARKED
        self._break("DeleteMessageBatch")
        kept = [
            entry for entry in Entries if self.parked[self._received[entry["ReceiptHandle"]]] in self.keeps
        ]
        deleted = [entry for entry in Entries if entry not in kept]
        for entry in deleted:
            del self.parked[self._received[entry["ReceiptHandle"]]]
        failed = [{"Id": entry["Id"], "Code": "InternalError"} for entry in kept]
        return {"Successful": [{"Id": entry["Id"]} for entry in deleted], "Failed": failed}

    async def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        assert QueueUrl == PARKED
        assert len(Entries) <= 10
        for entry in Entries:
            if entry["VisibilityTimeout"] == 0:
                self.hidden.discard(self._received[entry["ReceiptHandle"]])
        return {}

    def _break(self, call: str) -> None:
        if self.breaks == call:
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, call)
