"""The claim: exactly one invocation may send an email, and what it means when the row is already there."""

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from engine.requests.email_job import EmailJob
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.sending.results import DeferralReason
from engine.tracking.lifecycle import RANK, Status


class Duplicate(Struct, frozen=True):
    """The email is settled, or past the sender's hands: answer from the row, send nothing."""

    row: TrackingRow


class Conflict(Struct, frozen=True):
    """The id belongs to another request with the same idempotency key."""


class Busy(Struct, frozen=True):
    """Not now: someone holds the claim, or SES's Send event may still settle the outcome."""

    reason: DeferralReason
    seconds: float


class Claimable(Struct, frozen=True):
    """Nobody holds the claim (any more): it may be taken over, if the lease is still the one seen."""

    seen_lease: float | None


class Claim(Struct, frozen=True):
    """One invocation's hold on the emails it works on, until `lease_until` (epoch seconds)."""

    id: str
    lease_until: float


def claim_row(job: EmailJob, claim: Claim, *, now: datetime, retention_days: int) -> TrackingRow:
    """The row to insert: a claim, or the finished row of a request that was refused as it came."""
    requested = iso(job.requested_at)
    refused = job.refusal
    status = Status.FAILED if refused else Status.SENDING
    return TrackingRow(
        email_id=job.email_id,
        to_email=job.to,
        status=status,
        status_rank=RANK[status],
        timestamp=requested,
        date_partition=requested[:10],
        retry_attempt=job.retry_attempt,
        original_email_id=job.original_email_id,
        original_source=job.source,
        template_name=job.template_name,
        ttl=int((now + timedelta(days=retention_days)).timestamp()),
        claim_id=claim.id,
        lease_until=None if refused else claim.lease_until,
        request_hash=job.request_hash,
        metadata=job.metadata,
        tags=job.tags,
        recipients=len(job.request.recipients) if job.request else 1,
        failure_code=refused.code if refused else None,
        failure_reason=refused.message if refused else None,
        failed_at=iso(now) if refused else None,
    )


def of_original(retry: EmailJob, original: TrackingRow) -> EmailJob:
    """The retry, with its original's source, metadata and tags where its message has none."""
    return replace(
        retry,
        source=retry.source or original.original_source,
        metadata=retry.metadata or original.metadata,
        tags=retry.tags or original.tags,
    )


def judge_claim(
    row: TrackingRow, request_hash: str, *, now: datetime, reconcile_seconds: float
) -> Duplicate | Conflict | Busy | Claimable:
    """What to do about a row that is already there. `now` decides; nothing is read or written."""
    if row.request_hash is not None and row.request_hash != request_hash:
        return Conflict()
    if row.status != Status.SENDING:
        return Duplicate(row)
    if row.lease_until is None:
        return Claimable(None)
    moment = now.timestamp()
    if moment < row.lease_until:
        return Busy(DeferralReason.CLAIMED_ELSEWHERE, row.lease_until - moment)
    settled_by = row.lease_until + reconcile_seconds
    if moment < settled_by:
        return Busy(DeferralReason.OUTCOME_UNKNOWN, settled_by - moment)
    return Claimable(row.lease_until)
