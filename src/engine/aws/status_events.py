"""Email Status Changed events, to the bus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.aws.put_events import UNAVAILABLE, put_events
from engine.errors import ServiceUnavailable
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE, EmailStatusChanged

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

_encoder = msgspec.json.Encoder()


class StatusBus:
    """Implements `StatusEvents`."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        self._client = client
        self._bus = bus

    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "EventBusName": self._bus,
                "Source": STATUS_EVENT_SOURCE,
                "DetailType": STATUS_EVENT_DETAIL_TYPE,
                "Detail": _encoder.encode(event).decode(),
            }
            for event in events
        ]
        left = await put_events(self._client, entries)
        if left:
            # EventBridge's own message may quote what it did not take, and this one goes into the log.
            first = left[0]
            why = first.message if first.code == UNAVAILABLE else first.code
            raise ServiceUnavailable(f"EventBridge left {len(left)} of {len(events)} status events ({why})")
