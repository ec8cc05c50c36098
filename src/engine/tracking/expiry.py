"""Expiry: until when an email is worth sending."""

from datetime import datetime, timedelta

from engine.errors import FailureCode, Refusal
from engine.schemas.times import iso


def expires_at(
    asked_for: datetime | None, requested_at: datetime, valid_for_seconds: int | None
) -> datetime | None:
    """When an email expires: as its request asked for, else so long after it; None for never."""
    if asked_for or valid_for_seconds is None:
        return asked_for
    try:
        return requested_at + timedelta(seconds=valid_for_seconds)
    except OverflowError:
        return None  # beyond the calendar


def refuse_expired(expires: datetime | None, now: datetime) -> Refusal | None:
    if expires is None or now <= expires:
        return None
    late = f"it could not be sent by {iso(expires)}, when it expired (expiresAt of the request, or else"
    return Refusal(FailureCode.EXPIRED, f"{late} validForSeconds of the template)")
