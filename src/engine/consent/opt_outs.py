"""What an address has opted out of: read and changed by the page for a person, and by an operator."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from engine.consent.links import Subscription
from engine.requests.addresses import spellings
from engine.schemas.consent import SubscriptionChanged
from engine.schemas.rows import SuppressionRow
from engine.schemas.times import iso
from engine.tracking.consent import EVERY_TOPIC, UNSUBSCRIBE, opt_out_key


class Via(StrEnum):
    """How a subscription was changed: by a mail program for its reader, on the page, or by an operator."""

    ONE_CLICK = "one-click"
    PAGE = "page"
    OPERATOR = "operator"


class Consent(Struct, frozen=True):
    """Whether an address gets mail of each topic. `all_off`: it has opted out of every topic."""

    all_off: bool
    subscribed: Mapping[str, bool]


class ConsentRows(Protocol):
    """Rows of type `unsubscribe`; no other row is changed. Every method may raise ServiceUnavailable."""

    async def read(self, keys: Collection[str]) -> Collection[str]:
        """Those of the keys that have such a row."""
        ...

    async def add(self, row: SuppressionRow) -> None: ...

    async def remove(self, key: str) -> None: ...


class SubscriptionEvents(Protocol):
    async def publish_change(self, change: SubscriptionChanged) -> None:
        """Raises ServiceUnavailable."""
        ...


@dataclass(frozen=True)
class OptOuts:
    """Every method takes address keys, and may raise ServiceUnavailable."""

    rows: ConsentRows
    events: SubscriptionEvents

    async def of(self, address: str, topics: Collection[str]) -> Consent:
        keys = {topic: _keys(Subscription(topic, address)) for topic in (*topics, EVERY_TOPIC)}
        gone = set(await self.rows.read([key for those in keys.values() for key in those]))
        all_off = not gone.isdisjoint(keys[EVERY_TOPIC])
        return Consent(all_off, {topic: not all_off and gone.isdisjoint(keys[topic]) for topic in topics})

    async def end(self, subscription: Subscription, via: Via, by: str, now: datetime) -> None:
        """Write the row, which is what counts, and tell the bus. Again, where that failed, tells again."""
        row = SuppressionRow(
            email=opt_out_key(subscription.address, subscription.topic),
            suppression_type=UNSUBSCRIBE,
            reason=via,
            added_to_suppression_date=iso(now),
            added_by=by,
        )
        await self.rows.add(row)
        await self._tell(subscription, via, now, subscribed=False)

    async def resume(self, subscription: Subscription, via: Via, now: datetime) -> None:
        """Take the row out, and tell the bus."""
        for key in _keys(subscription):
            await self.rows.remove(key)
        await self._tell(subscription, via, now, subscribed=True)

    async def _tell(self, subscription: Subscription, via: Via, now: datetime, *, subscribed: bool) -> None:
        change = SubscriptionChanged(
            address=subscription.address,
            topic=subscription.topic,
            subscribed=subscribed,
            via=via.value,
            timestamp=iso(now),
        )
        await self.events.publish_change(change)


def _keys(subscription: Subscription) -> list[str]:
    """Where its opt-out may lie: by hand also in readable form, and of every topic under a bare address."""
    written = spellings(subscription.address)
    keys = [opt_out_key(address, subscription.topic) for address in written]
    return [*keys, *written] if subscription.topic == EVERY_TOPIC else keys
