"""Times as the tables and events hold them: ISO 8601, UTC, milliseconds, so that text sorts as time does."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Such as `2026-11-24T08:15:30.250Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime | None:
    """An aware UTC time; None where the text is no time. A time without a zone counts as UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
