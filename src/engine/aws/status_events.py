"""Email Status Changed events, to the bus."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from engine.aws.errors import service_errors
from engine.domain.failures import ServiceUnavailable
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE, EmailStatusChanged

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
_ENTRIES: Final = 10
_BYTES: Final = 250_000
_ROUNDS: Final = 3

_encoder = msgspec.json.Encoder()


class StatusBus:
    """Implements `StatusEvents`."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        self._client = client
        self._bus = bus

    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        batches = batch_entries([self._entry(event) for event in events])
        await asyncio.gather(*(self._put(entries) for entries in batches))

    def _entry(self, event: EmailStatusChanged) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._bus,
            "Source": STATUS_EVENT_SOURCE,
            "DetailType": STATUS_EVENT_DETAIL_TYPE,
            "Detail": _encoder.encode(event).decode(),
        }

    async def _put(self, entries: "Sequence[PutEventsRequestEntryTypeDef]") -> None:
        """PutEvents answers 200 even when it took only some entries: send the others again."""
        left = list(entries)
        for _ in range(_ROUNDS):
            with service_errors("EventBridge"):
                answer = await self._client.put_events(Entries=left)
            if not answer["FailedEntryCount"]:
                return
            left = [
                entry
                for entry, result in zip(left, answer["Entries"], strict=True)
                if result.get("ErrorCode")
            ]
        raise ServiceUnavailable(f"EventBridge PutEvents left {len(left)} entries {_ROUNDS} times")


def batch_entries(
    entries: "Sequence[PutEventsRequestEntryTypeDef]",
) -> "Iterator[list[PutEventsRequestEntryTypeDef]]":
    """At most ten entries a call, and no more bytes than one call may have."""
    batch: list[PutEventsRequestEntryTypeDef] = []
    size = 0
    for entry in entries:
        weight = entry_size(entry)
        if batch and (len(batch) == _ENTRIES or size + weight > _BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += weight
    if batch:
        yield batch


def entry_size(entry: "PutEventsRequestEntryTypeDef") -> int:
    """Bytes that EventBridge counts: source, detail-type and detail.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
    """
    return sum(len(str(entry.get(part, "")).encode()) for part in ("Source", "DetailType", "Detail"))
