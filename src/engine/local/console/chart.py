"""The day's curve as lines of an SVG."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.operations.curve import SLOT_SECONDS, SLOTS, Curve
from engine.operations.today import midnight

WIDTH: Final = 720
HEIGHT: Final = 160


class Line(Struct, frozen=True):
    """One status: its total, and the points of its line and of the area under it."""

    status: str
    total: int
    points: str
    area: str


class Chart(Struct, frozen=True):
    """`most`: the highest count of a quarter of an hour, at the top."""

    lines: list[Line]
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def chart(curve: Curve, now: datetime) -> Chart:
    """Up to the slot of this moment: what is to come is no line at zero."""
    seconds = (now - midnight(now)).total_seconds()
    slots = min(int(seconds // SLOT_SECONDS) + 1, SLOTS)
    most = max((max(counts) for counts in curve.slots.values()), default=0)
    step = WIDTH / SLOTS
    lines = []
    for status, counts in curve.slots.items():
        places = [
            (step * (slot + 0.5), HEIGHT - HEIGHT * counts[slot] / max(most, 1)) for slot in range(slots)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        area = f"{places[0][0]:.1f},{HEIGHT} {points} {places[-1][0]:.1f},{HEIGHT}"
        lines.append(Line(status, sum(counts), points, area))
    return Chart(lines, most)
