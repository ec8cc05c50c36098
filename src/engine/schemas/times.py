"""Times as the tables and events hold them: ISO 8601, UTC, milliseconds, so that text sorts as time does."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Such as `2026-11-24T08:15:30.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime | None:
    """An aware UTC time, from `Z` or `+0000` (AWS writes both); None where the text is no time.

    A time without a zone counts as UTC. The first and the last day of the calendar don't exist in every zone.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
