"""Spans and moments as a person types them: `30m`, `2h`, `3d`, or a date and time."""

import re
from datetime import datetime, timedelta
from typing import Final

import typer

from engine.schemas.times import parse_iso

_SPAN: Final = re.compile(r"(?P<number>\d{1,5})(?P<unit>[smhd])")
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def span(text: str, option: str) -> timedelta:
    """Raises BadParameter."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{option}: expected a span such as 90s, 30m, 2h or 3d, not {text!r}")
    return int(match["number"]) * _UNITS[match["unit"]]


def moment(text: str, now: datetime, option: str) -> datetime:
    """A moment in the past: a span before `now`, or ISO 8601. Raises BadParameter."""
    if _SPAN.fullmatch(text):
        return now - span(text, option)
    at = parse_iso(text)
    if at is None:
        raise typer.BadParameter(
            f"{option}: {text!r} is neither a span like 30m, 2h or 3d nor an ISO 8601 time"
        )
    return at
