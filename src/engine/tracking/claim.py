"""The claim: exactly one invocation may send an email, and what a row that is already there means."""

from datetime import datetime

from msgspec import Struct

from engine.schemas.rows import TrackingRow
from engine.tracking.lifecycle import Status


class Lease(Struct, frozen=True):
    """One invocation's hold on the emails that it works on, `until` a moment in epoch seconds."""

    claim_id: str
    until: float


class Duplicate(Struct, frozen=True):
    """The email has its status: answer from the row, send nothing."""


class Conflict(Struct, frozen=True):
    """The id belongs to another request with the same idempotency key."""


class Leased(Struct, frozen=True):
    """Another invocation holds the claim, for so many seconds more."""

    seconds: float


class Unsettled(Struct, frozen=True):
    """The lease ran out with the outcome unknown; SES's Send event may settle it for so many seconds more."""

    seconds: float


class Claimable(Struct, frozen=True):
    """Nobody holds the claim (any more): it may be taken over, if the lease is still the one seen."""

    seen_lease: float | None


def judge_existing_row(
    row: TrackingRow, request_hash: str, *, now: datetime, reconcile_seconds: float
) -> Duplicate | Conflict | Leased | Unsettled | Claimable:
    """What the row that stands in the way of a claim means. `reconcile_seconds`: how long Send may take."""
    if row.request_hash is not None and row.request_hash != request_hash:
        return Conflict()
    if row.status != Status.SENDING:
        return Duplicate()
    if row.lease_until is None:
        return Claimable(None)
    left = row.lease_until - now.timestamp()
    if left > 0:
        return Leased(left)
    if left + reconcile_seconds > 0:
        return Unsettled(left + reconcile_seconds)
    return Claimable(row.lease_until)
