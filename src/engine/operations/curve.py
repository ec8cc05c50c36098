"""Today's curve: how many emails were sent, delivered and bounced in each quarter of an hour."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from engine.operations.asking import Unknown, ask
from engine.operations.ledger_reader import open_ledger
from engine.operations.metrics import metric_values
from engine.operations.stack import DeployedStack
from engine.operations.today import ROWS_COUNTED, midnight, status_metrics
from engine.schemas.rows import TrackingRow
from engine.schemas.times import parse_iso

SHOWN: Final = ("sent", "delivered", "bounced")
SLOT_SECONDS: Final = 900
SLOTS: Final = 96


class Curve(Struct, frozen=True, kw_only=True, rename="camel"):
    """Emails by status and quarter of an hour since midnight UTC. `source` as in `StatusCounts`."""

    source: Literal["cloudwatch", "rows"]
    slots: dict[str, list[int]]

    @property
    def totals(self) -> dict[str, int]:
        return {status: sum(counts) for status, counts in self.slots.items()}


async def today_curve(stack: DeployedStack, now: datetime, stage: str | None) -> Curve:
    """From CloudWatch, or where it has nothing, from the newest rows of the day. `stage`: as in `today`."""
    names = status_metrics(stack, stage) if stage else {}
    metrics = [metric for metric, status in names.items() if status in SHOWN]
    start = midnight(now)
    found = await ask(metric_values(stack, metrics, start, now, period=SLOT_SECONDS))
    values = {} if isinstance(found, Unknown) else found
    if any(by_time for by_time in values.values()):
        slots = _empty()
        for metric, by_time in values.items():
            for at, count in by_time.items():
                _add(slots[names[metric]], start, at, int(count))
        return Curve(source="cloudwatch", slots=slots)
    ledger = await open_ledger(stack)
    page: list[TrackingRow] = await anext(ledger.by_day(start.date().isoformat(), page=ROWS_COUNTED), [])
    return Curve(source="rows", slots=slots_of(page, start))


def slots_of(rows: Iterable[TrackingRow], start: datetime) -> dict[str, list[int]]:
    """Each email in the slot of each status that it reached."""
    slots = _empty()
    for row in rows:
        reached: Mapping[str, str | None] = {
            "sent": row.sent_at,
            "delivered": row.delivered_at,
            "bounced": row.bounced_at,
        }
        for status, text in reached.items():
            if at := parse_iso(text or ""):
                _add(slots[status], start, at, 1)
    return slots


def _empty() -> dict[str, list[int]]:
    return {status: [0] * SLOTS for status in SHOWN}


def _add(counts: list[int], start: datetime, at: datetime, count: int) -> None:
    slot = int((at - start).total_seconds() // SLOT_SECONDS)
    if 0 <= slot < SLOTS:
        counts[slot] += count
