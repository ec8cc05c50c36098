"""Requests from an iterator to the bus: a few calls at a time, and never read ahead of them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from engine.aws.put_events import BYTES, ENTRIES, entry_size
from engine.client.bus import NOT_TRIED, RetryingPublisher
from engine.client.report import NAMED, Accepted, NotAccepted, Progress, Report
from engine.schemas.request import EmailRequest

if TYPE_CHECKING:
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

Requests = AsyncIterable[EmailRequest] | Iterable[EmailRequest]
OnProgress = Callable[[Progress], None]


class PendingEvent(Struct, frozen=True):
    """A request, ready for the bus."""

    email_id: str
    entry: "PutEventsRequestEntryTypeDef"


class _Item(Struct, frozen=True):
    index: int
    letter: PendingEvent
    size: int


class Stream:
    """One run of `send_many`. Workers take turns at the iterator; each carries what it took to the bus."""

    def __init__(
        self,
        requests: Requests,
        bus: RetryingPublisher,
        letter_of: Callable[[EmailRequest], PendingEvent],
        on_progress: OnProgress | None,
    ) -> None:
        self._requests = _read(requests)
        self._bus = bus
        self._letter_of = letter_of
        self._on_progress = on_progress
        self._turn = asyncio.Lock()
        self._next_index = 0
        self._kept: _Item | None = None  # did not fit into the batch before
        self._ended = False
        self._stopped: str | None = None
        self._accepted = self._not_accepted = 0
        self._named: list[NotAccepted] = []

    async def run(self, concurrency: int) -> Report:
        """Raises what the iterator or `on_progress` raises, once the calls under way have ended."""
        workers = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        try:
            await asyncio.wait(workers)
        finally:
            for worker in workers:  # done by now, unless this run was cancelled
                worker.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return Report(
            accepted=self._accepted,
            not_accepted=self._not_accepted,
            first_not_accepted=tuple(self._named),
            stopped=self._stopped,
        )

    async def _work(self) -> None:
        try:
            while batch := await self._next_batch():
                await self._publish(batch)
        finally:
            self._ended = True  # the iterator has ended, or there is no use in reading on

    # -- in ----------------------------------------------------------------------------------------------

    async def _next_batch(self) -> dict[int, _Item]:
        """What one call carries; empty at the end."""
        async with self._turn:
            batch: dict[int, _Item] = {}
            size = 0
            while len(batch) < ENTRIES and (item := self._kept or await self._next_item()):
                self._kept = item if batch and size + item.size > BYTES else None
                if self._kept:
                    break
                batch[item.index] = item
                size += item.size
            return batch

    async def _next_item(self) -> _Item | None:
        request = None if self._ended else await anext(self._requests, None)
        if request is None:
            self._ended = True
            return None
        letter = self._letter_of(request)
        self._next_index += 1
        return _Item(self._next_index - 1, letter, entry_size(letter.entry))

    # -- out ---------------------------------------------------------------------------------------------

    async def _publish(self, batch: dict[int, _Item]) -> None:
        if self._stopped is not None:
            left = [NotAccepted(index, NOT_TRIED, self._stopped) for index in batch]
        else:
            outcome = await self._bus.put({index: item.letter.entry for index, item in batch.items()})
            left = sorted(outcome.left, key=lambda entry: entry.index)
            if outcome.stop is not None:
                self._stopped, self._ended = outcome.stop, True
        self._count(batch, left)

    def _count(self, batch: dict[int, _Item], left: list[NotAccepted]) -> None:
        taken = batch.keys() - {entry.index for entry in left}
        self._accepted += len(taken)
        self._not_accepted += len(left)
        self._named += left[: NAMED - len(self._named)]
        if self._on_progress is None:
            return
        self._on_progress(
            Progress(
                accepted=self._accepted,
                not_accepted=self._not_accepted,
                newly_accepted=[Accepted(index, batch[index].letter.email_id) for index in sorted(taken)],
                newly_not_accepted=left,
            )
        )


async def _read(requests: Requests) -> AsyncIterator[EmailRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
