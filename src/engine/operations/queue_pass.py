"""One pass over a queue: every message is looked at once, and deleted or given back.

SQS has no way to look without taking: a message that was received is hidden for a while. What is not deleted
is shown again at the end, also where the pass breaks off; a pass that dies shows it after `visibility`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from engine.aws.error_codes import service_errors
from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable
from engine.operations.dead_letters import DeadLetter, read_letter
from engine.types import Clock

Act = Callable[[DeadLetter], Awaitable[bool]]
"""Does something with a message; whether it is to be deleted. ServiceUnavailable ends the pass."""

_SERVICE: Final = "SQS"
_BATCH: Final = 10  # messages that SQS hands out at a time
# Long polling asks all of SQS's servers, and without it an answer may be empty though messages are there.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
_WAIT: Final = 1  # seconds
# Receives in a row that bring nothing new. What was given back by another may come between.
_STALE: Final = 3


@dataclass
class QueuePass:
    """`most`: no more messages than about so many. `workers`: receives under way at once.

    `visibility`: seconds for which a message is hidden, which must do for `act` with ten of them.
    """

    sqs: Any
    queue_url: str
    act: Act
    clock: Clock
    visibility: int = 300
    most: int | None = None
    workers: int = 1
    seen: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    stopped: str | None = None
    """Why the pass ended early; None where it saw all."""
    _kept: dict[str, str] = field(default_factory=dict)  # receipt handles of what is given back, by message

    async def run(self) -> None:
        """Ends when the queue is empty, or everything that it holds was seen. Raises nothing of `act`'s."""
        try:
            await concurrently(self._work() for _ in range(self.workers))
        finally:
            await self._give_back()

    async def _work(self) -> None:
        stale = 0
        while self.stopped is None and stale < _STALE and (self.most is None or len(self.seen) < self.most):
            messages = await self._receive()
            if not messages:
                return
            fresh = []
            for message in messages:
                if message["MessageId"] not in self.seen:
                    self.seen.add(message["MessageId"])
                    fresh.append(message)
                elif (
                    message["MessageId"] not in self.deleted
                ):  # hidden for too short a time, or handed out twice
                    self._kept[message["MessageId"]] = message["ReceiptHandle"]
            stale = 0 if fresh else stale + 1
            now = self.clock()
            await concurrently(self._look_at(message, now) for message in fresh)

    async def _receive(self) -> list[dict[str, Any]]:
        try:
            with service_errors(_SERVICE):
                answer = await self.sqs.receive_message(
                    QueueUrl=self.queue_url,
                    MaxNumberOfMessages=_BATCH,
                    WaitTimeSeconds=_WAIT,
                    VisibilityTimeout=self.visibility,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
        except ServiceUnavailable as error:
            self.stopped = str(error)
            return []
        return list(answer.get("Messages", []))

    async def _look_at(self, message: dict[str, Any], now: datetime) -> None:
        letter = read_letter(message, now)
        self._kept[letter.message_id] = letter.receipt_handle
        try:
            if self.stopped is None and await self.act(letter):
                with service_errors(_SERVICE):
                    await self.sqs.delete_message(
                        QueueUrl=self.queue_url, ReceiptHandle=self._kept[letter.message_id]
                    )
                self.deleted.add(letter.message_id)
                del self._kept[letter.message_id]
        except ServiceUnavailable as error:
            self.stopped = self.stopped or str(error)

    async def _give_back(self) -> None:
        at_once = asyncio.Semaphore(20)

        async def show(handle: str) -> None:
            async with at_once:
                try:
                    with service_errors(_SERVICE):
                        await self.sqs.change_message_visibility(
                            QueueUrl=self.queue_url, ReceiptHandle=handle, VisibilityTimeout=0
                        )
                except ServiceUnavailable:
                    return  # it shows itself when its time is over

        await concurrently(show(handle) for handle in self._kept.values())
