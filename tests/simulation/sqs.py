"""SQS: visibility, delays, receive counts, redrive, retention, duplicates; and the pollers of Lambda."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.connection import Connection, client_error
from tests.simulation.world import World

from engine.delivery.retry_delay import RECEIVES

RETENTION: Final = 14 * 86_400  # seconds
LONGEST_VISIBILITY: Final = 12 * 3600  # seconds from the receive on
ACCOUNT: Final = "https://sqs.eu-west-1.amazonaws.com/123456789012"
ARN: Final = "arn:aws:sqs:eu-west-1:123456789012"


@dataclass
class Message:
    body: str
    sent_at: float
    visible_at: float
    received_at: float = 0.0
    receives: int = 0


@dataclass
class Queue:
    """`dead`: where a message goes after `RECEIVES` times; a dead-letter queue has none, and no consumer."""

    world: World
    name: str
    dead: "Queue | None" = None
    visibility: float = 180.0
    messages: dict[str, Message] = field(default_factory=dict)
    expired: list[Message] = field(default_factory=list)
    _visible: list[tuple[float, str]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, body: str, delay: float = 0) -> None:
        now = self.world.time()
        key = f"{self.name}-{self.world.number()}"
        self.messages[key] = Message(body, now, now + delay)
        self.world.usage["sqs.requests"] += 1
        if self.dead is not None:
            self.world.begin()
        self._show(key, now + delay)

    def hide(self, key: str, seconds: float) -> None:
        """ChangeMessageVisibility of a message that was received."""
        message = self.messages.get(key)
        if message is None:
            return
        until = self.world.time() + seconds
        if until - message.received_at > LONGEST_VISIBILITY:
            raise client_error("InvalidParameterValue", "ChangeMessageVisibility", message="too long")
        self._show(key, until)

    def delete(self, key: str) -> None:
        if self.messages.pop(key, None) and self.dead is not None:
            self.world.end()

    async def receive(self, most: int, window: float) -> list[dict[str, Any]]:
        """Records for a function, waiting for the first, and for others no longer than `window` seconds."""
        while not self._due():
            self._changed.clear()
            wait = self._visible[0][0] - self.world.time() if self._visible else None
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
        if window and len(self._visible) < most:
            await asyncio.sleep(window)
        return self.take(most, self.visibility)

    def take(self, most: int, visibility: float) -> list[dict[str, Any]]:
        """What is there now, as records for a function; hidden for so many seconds."""
        records: list[dict[str, Any]] = []
        while len(records) < most and self._due():
            _, key = heapq.heappop(self._visible)
            if record := self._hand_out(key, visibility):
                records.append(record)
        return records

    def _due(self) -> bool:
        """Whether the next in line is there to be received; what is stale in the line is dropped."""
        while self._visible:
            at, key = self._visible[0]
            message = self.messages.get(key)
            if message is None or message.visible_at != at:
                heapq.heappop(self._visible)
                continue
            return at <= self.world.time()
        return False

    def _hand_out(self, key: str, visibility: float) -> dict[str, Any] | None:
        now, message = self.world.time(), self.messages[key]
        if now - message.sent_at > RETENTION and self.dead is not None:
            self.expired.append(message)
            self.delete(key)
            return None
        if message.receives >= RECEIVES and self.dead is not None:
            self.dead.send(message.body)
            self.delete(key)
            return None
        message.receives += 1
        message.received_at = now
        twice = self.world.chance(self.world.plan.faults.duplicated / 3)
        self._show(key, now + (self.world.dice.uniform(0, 1) if twice else visibility))
        return {
            "messageId": key,
            "receiptHandle": key,
            "body": message.body,
            "attributes": {"ApproximateReceiveCount": str(message.receives)},
            "eventSourceARN": f"{ARN}:{self.name}",
        }

    def _show(self, key: str, at: float) -> None:
        self.messages[key].visible_at = at
        heapq.heappush(self._visible, (at, key))
        self._changed.set()


async def poll(
    queue: Queue, invoke: Callable[[Any], Awaitable[Any]], *, batch: int, concurrency: int, window: float
) -> None:
    """Lambda's trigger: what the answer names as failed stays, and all of a batch that brought no answer."""
    slots = asyncio.Semaphore(concurrency)

    async def deliver(records: list[dict[str, Any]]) -> None:
        try:
            answer = await invoke({"Records": records})
        except Exception as error:  # noqa: BLE001 - the function failed, died or had no room: all come again
            queue.world.log("", f"{queue.name}: {len(records)} messages without an answer: {error}")
            return
        finally:
            slots.release()
        left = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in left:
                queue.delete(record["messageId"])

    async with asyncio.TaskGroup() as group:
        for _ in itertools.count():
            await slots.acquire()
            records = await queue.receive(batch, window)
            if records:
                queue.world.usage["sqs.requests"] += 2 * -(-len(records) // 10)
                group.create_task(deliver(records))
            else:
                slots.release()


class SqsClient:
    """One environment's client."""

    def __init__(
        self, queues: dict[str, Queue], connection: Connection, watch: Callable[[str, str], None]
    ) -> None:
        self._queues = queues
        self._connection = connection
        self._watch = watch

    async def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> Any:
        def do() -> dict[str, Any]:
            self._watch(QueueUrl, MessageBody)
            self._queues[QueueUrl].send(MessageBody, DelaySeconds)
            return {"MessageId": "1"}

        return await self._connection.call("SendMessage", do)

    async def change_message_visibility(
        self, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> Any:
        def do() -> dict[str, Any]:
            self._queues[QueueUrl].hide(ReceiptHandle, VisibilityTimeout)
            return {}

        return await self._connection.call("ChangeMessageVisibility", do)

    # -- what only operators call ------------------------------------------------------------------------

    async def get_queue_url(self, QueueName: str) -> Any:
        return await self._connection.call("GetQueueUrl", lambda: {"QueueUrl": f"{ACCOUNT}/{QueueName}"})

    async def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> Any:
        def do() -> dict[str, Any]:
            return {
                "Attributes": {name: str(len(self._queues[QueueUrl].messages)) for name in AttributeNames}
            }

        return await self._connection.call("GetQueueAttributes", do)

    async def receive_message(
        self,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        VisibilityTimeout: int,
        WaitTimeSeconds: int,
        **attributes: Any,
    ) -> Any:
        del attributes

        def do() -> list[dict[str, Any]]:
            return self._queues[QueueUrl].take(MaxNumberOfMessages, VisibilityTimeout)

        records = await self._connection.call("ReceiveMessage", do)
        if not records:
            await asyncio.sleep(WaitTimeSeconds)
            records = await self._connection.call("ReceiveMessage", do)
        return {
            "Messages": [
                {
                    "MessageId": record["messageId"],
                    "ReceiptHandle": record["receiptHandle"],
                    "Body": record["body"],
                }
                for record in records
            ]
        }

    async def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> Any:
        return await self._connection.call(
            "DeleteMessage", lambda: self._queues[QueueUrl].delete(ReceiptHandle)
        )

    async def send_message_batch(self, QueueUrl: str, Entries: Any) -> Any:
        return await self._each(
            "SendMessageBatch", Entries, lambda entry: self._queues[QueueUrl].send(entry["MessageBody"])
        )

    async def delete_message_batch(self, QueueUrl: str, Entries: Any) -> Any:
        return await self._each(
            "DeleteMessageBatch", Entries, lambda entry: self._queues[QueueUrl].delete(entry["ReceiptHandle"])
        )

    async def change_message_visibility_batch(self, QueueUrl: str, Entries: Any) -> Any:
        def hide(entry: Any) -> None:
            self._queues[QueueUrl].hide(entry["ReceiptHandle"], entry["VisibilityTimeout"])

        return await self._each("ChangeMessageVisibilityBatch", Entries, hide)

    async def _each(self, operation: str, entries: Any, do: Callable[[Any], None]) -> Any:
        """A batch of which some entries may be left undone."""

        def do_all() -> dict[str, Any]:
            answer: dict[str, Any] = {"Successful": [], "Failed": []}
            for entry in entries:
                if self._connection.leaves_undone():
                    answer["Failed"].append(
                        {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                    )
                else:
                    do(entry)
                    answer["Successful"].append({"Id": entry["Id"]})
            return answer

        return await self._connection.call(operation, do_all)
