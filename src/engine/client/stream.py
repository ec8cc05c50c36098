"""Any number of requests from an iterator to the bus, a few calls at a time, with flat memory."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Final

from msgspec import MsgspecError, Struct

from engine.aws.event_bus import BYTES, ENTRIES, entry_size
from engine.client.publisher import NOT_TRIED, RetryingPublisher
from engine.client.report import NAMED, Accepted, NotAccepted, PublishProgress, PublishReport
from engine.schemas.request import EmailRequest

if TYPE_CHECKING:
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

EmailRequests = AsyncIterable[EmailRequest] | Iterable[EmailRequest]
OnProgress = Callable[[PublishProgress], None]

NOT_ENCODABLE: Final = "NotEncodable"
# Raised for a value that JSON can't carry: an object, a lone surrogate, a cycle.
_ENCODING_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError, MsgspecError)


class PendingEvent(Struct, frozen=True):
    """A request as an entry for the bus, with the id that its email will have."""

    email_id: str
    entry: "PutEventsRequestEntryTypeDef"


class Stream:
    """One run of `send_many`: workers take turns at reading a batch, and publish what they read."""

    def __init__(
        self,
        requests: EmailRequests,
        publisher: RetryingPublisher,
        encode: Callable[[EmailRequest], PendingEvent],
        on_progress: OnProgress | None,
    ) -> None:
        self._requests = _iterate(requests)
        self._publisher = publisher
        self._encode = encode
        self._on_progress = on_progress
        self._reading = asyncio.Lock()
        self._next_index = 0
        self._carried_over: tuple[int, PendingEvent] | None = None  # did not fit into the batch before
        self._ended = False
        self._stopped: str | None = None
        self._accepted = self._not_accepted = 0
        self._named: list[NotAccepted] = []

    async def run(self, concurrency: int) -> PublishReport:
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
        return PublishReport(
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
            self._ended = True  # the iterator has ended, or reading on is of no use

    async def _next_batch(self) -> dict[int, PendingEvent]:
        """What one call carries, by the requests' places; empty at the end."""
        async with self._reading:
            batch: dict[int, PendingEvent] = {}
            size = 0
            while len(batch) < ENTRIES and (pending := self._carried_over or await self._next_event()):
                index, event = pending
                size += entry_size(event.entry)
                if batch and size > BYTES:
                    self._carried_over = pending
                    break
                self._carried_over = None
                batch[index] = event
            return batch

    async def _next_event(self) -> tuple[int, PendingEvent] | None:
        """The next request that can be encoded; reports those before it that can't."""
        while not self._ended:
            request = await anext(self._requests, None)
            if request is None:
                self._ended = True
                break
            index = self._next_index
            self._next_index += 1
            try:
                return index, self._encode(request)
            except _ENCODING_ERRORS as error:
                self._count({}, [NotAccepted(index, NOT_ENCODABLE, f"{type(error).__name__}: {error}")])
        return None

    async def _publish(self, batch: dict[int, PendingEvent]) -> None:
        if self._stopped is not None:
            left = [NotAccepted(index, NOT_TRIED, self._stopped) for index in batch]
        else:
            result = await self._publisher.put({index: event.entry for index, event in batch.items()})
            left = sorted(result.left, key=lambda entry: entry.index)
            if result.stop is not None:
                self._stopped, self._ended = result.stop, True
        self._count(batch, left)

    def _count(self, batch: dict[int, PendingEvent], left: list[NotAccepted]) -> None:
        taken = batch.keys() - {entry.index for entry in left}
        self._accepted += len(taken)
        self._not_accepted += len(left)
        self._named += left[: NAMED - len(self._named)]
        if self._on_progress is None:
            return
        self._on_progress(
            PublishProgress(
                accepted=self._accepted,
                not_accepted=self._not_accepted,
                newly_accepted=[Accepted(index, batch[index].email_id) for index in sorted(taken)],
                newly_not_accepted=left,
            )
        )


async def _iterate(requests: EmailRequests) -> AsyncIterator[EmailRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
