"""EventBridge: full batches, another try for the entries that it left, and the engine's status events.

PutEvents answers 200 even when EventBridge took only some of the entries.
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable
from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE, SubscriptionChanged
from engine.schemas.operator_action import OPERATOR_ACTION_DETAIL_TYPE, OperatorAction
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE, EmailStatusChanged

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef


# EventBridge takes 10 entries and 256 KB a call, more in some regions; this fits in all.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
ENTRIES: Final = 10
BYTES: Final = 250_000
UNAVAILABLE: Final = "ServiceUnavailable"
_ROUNDS: Final = 3


class LeftEntry(Struct, frozen=True):
    """An entry that EventBridge did not confirm: its place among those given, and why.

    Where the whole call failed the code is `UNAVAILABLE`, and the entry may have been taken all the same.
    """

    index: int
    code: str
    message: str


async def put_events(
    client: "EventBridgeClient", entries: "Sequence[PutEventsRequestEntryTypeDef]"
) -> list[LeftEntry]:
    """Those that were not taken after all tries, in order: a call that fails tells nothing of the others."""
    batches = batched_by_size([entry_size(entry) for entry in entries])
    left = await asyncio.gather(
        *(_put(client, {index: entries[index] for index in batch}) for batch in batches)
    )
    return sorted((entry for batch in left for entry in batch), key=lambda entry: entry.index)


async def _put(
    client: "EventBridgeClient", entries: "dict[int, PutEventsRequestEntryTypeDef]"
) -> list[LeftEntry]:
    left: list[LeftEntry] = []
    for _ in range(_ROUNDS):
        try:
            with service_errors("EventBridge"):
                answer = await client.put_events(Entries=list(entries.values()))
        except ServiceUnavailable as error:
            return [LeftEntry(index, UNAVAILABLE, str(error)) for index in entries]
        if not answer["FailedEntryCount"]:
            return []
        left = [
            LeftEntry(index, result["ErrorCode"], result.get("ErrorMessage", ""))
            for index, result in zip(entries, answer["Entries"], strict=True)
            if result.get("ErrorCode")
        ]
        entries = {entry.index: entries[entry.index] for entry in left}
    return left


def batched_by_size(sizes: Sequence[int], most: int = BYTES) -> Iterator[list[int]]:
    """Indexes, in batches that one call may carry, ten of them and `most` bytes.

    An entry too large for any call goes alone.
    """
    batch: list[int] = []
    for index, size in enumerate(sizes):
        if batch and (len(batch) == ENTRIES or sum(sizes[i] for i in batch) + size > most):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def entry_size(entry: "PutEventsRequestEntryTypeDef") -> int:
    """Bytes that EventBridge counts.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
    """
    return sum(len(str(entry.get(part, "")).encode()) for part in ("Source", "DetailType", "Detail"))


_encoder = msgspec.json.Encoder()


class StatusBus:
    """Implements `StatusEvents`, `OperatorActions` and `SubscriptionEvents`."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        self._client = client
        self._bus = bus

    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        await self._publish(STATUS_EVENT_DETAIL_TYPE, events)

    async def publish_change(self, change: SubscriptionChanged) -> None:
        await self._publish(SUBSCRIPTION_DETAIL_TYPE, [change])

    async def tell(self, action: OperatorAction) -> None:
        await self._publish(OPERATOR_ACTION_DETAIL_TYPE, [action])

    async def _publish(self, detail_type: str, events: Sequence[Struct]) -> None:
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "EventBusName": self._bus,
                "Source": STATUS_EVENT_SOURCE,
                "DetailType": detail_type,
                "Detail": _encoder.encode(event).decode(),
            }
            for event in events
        ]
        left = await put_events(self._client, entries)
        if left:
            # EventBridge's own message may quote what it did not take, and this one goes into the log.
            first = left[0]
            why = first.message if first.code == UNAVAILABLE else first.code
            raise ServiceUnavailable(f"EventBridge left {len(left)} of {len(events)} events ({why})")
