"""One pass over a queue: every message is looked at once, and deleted or given back.

What is not deleted is shown again at the end, also where the pass breaks off; a pass that dies shows it after
`visibility`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable
from engine.operations.dead_letters import DeadLetter, read_letter
from engine.operations.taken import TakenMessages
from engine.types import Clock

Act = Callable[[DeadLetter], Awaitable[bool]]
"""Does something with a message; whether it is to be deleted. ServiceUnavailable ends the pass."""

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

    def __post_init__(self) -> None:
        self._taken = TakenMessages(self.sqs, self.queue_url, "SQS", self.visibility, _WAIT)

    async def run(self) -> None:
        """Ends when the queue is empty, or everything that it holds was seen. Raises nothing of `act`'s."""
        try:
            await concurrently(self._work() for _ in range(self.workers))
        finally:
            await self._taken.show_again()

    async def _work(self) -> None:
        stale = 0
        while self.stopped is None and stale < _STALE and (self.most is None or len(self.seen) < self.most):
            messages = await self._receive()
            if not messages:
                return
            # Others were hidden for too short a time, or are handed out twice.
            fresh = [message for message in messages if message["MessageId"] not in self.seen]
            self.seen.update(message["MessageId"] for message in fresh)
            stale = 0 if fresh else stale + 1
            now = self.clock()
            await concurrently(self._look_at(message, now) for message in fresh)

    async def _receive(self) -> list[dict[str, Any]]:
        try:
            return await self._taken.receive()
        except ServiceUnavailable as error:
            self.stopped = str(error)
            return []

    async def _look_at(self, message: dict[str, Any], now: datetime) -> None:
        try:
            if self.stopped is None and await self.act(read_letter(message, now)):
                await self._taken.delete([message])
                self.deleted.add(message["MessageId"])
        except ServiceUnavailable as error:
            self.stopped = self.stopped or str(error)
