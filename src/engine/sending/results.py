"""One email of a batch, on its way through the pipeline and as it leaves it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf

from msgspec import Struct

from engine.errors import Refusal
from engine.requests.email_job import EmailJob
from engine.schemas.request import EmailRequest, Lane
from engine.schemas.rows import TrackingRow
from engine.schemas.status import EmailStatusChanged, Reason
from engine.schemas.times import iso
from engine.sending.compose import OutgoingMessage
from engine.templating.template import Template
from engine.tracking.claim import Lease
from engine.tracking.ledger import Move
from engine.tracking.lifecycle import RANK, Status
from engine.tracking.status_event import log_labels, status_event


class DeferralReason(StrEnum):
    """Why an email waits; also the part of its metric's name."""

    THROTTLED = "throttled"
    PAUSED = "paused"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"
    OUTCOME_UNKNOWN = "outcome-unknown"
    SERVICE_UNAVAILABLE = "service-unavailable"
    OUT_OF_TIME = "out-of-time"
    BATCH_TOO_LARGE = "batch-too-large"
    STOPPED = "stopped"


class Completed(Struct, frozen=True):
    """The email has its answer: the events to publish, the last of which says what became of it.

    There are none where nobody needs an answer (a retry whose original arrived after all). `move`: what is
    still to be recorded. `counted`: how many of its recipients count against the bounce quota. `labels`: what
    the log calls it by.
    """

    events: tuple[EmailStatusChanged, ...] = ()
    move: Move | None = None
    counted: int = 0
    labels: Mapping[str, str] = {}

    @property
    def was_sent(self) -> bool:
        return self.move is not None and self.move.to is Status.SENT


class Deferred(Struct, frozen=True):
    """Nothing was sent, or nobody knows yet: the same delivery must come again, after `seconds` at least.

    And after `at_most`, where the email expires then.
    """

    reason: DeferralReason
    seconds: float = 0
    at_most: float = inf


class Failed(Struct, frozen=True):
    """Something broke that only a redelivery can mend; `problem` holds no personal data."""

    problem: str


Outcome = Completed | Deferred | Failed


@dataclass(frozen=True)
class Email:
    """`place` in the batch. `row`: the claim, or the finished row of a request refused as it came."""

    place: int
    job: EmailJob
    row: TrackingRow

    @property
    def is_tracked(self) -> bool:
        """A dry run is not: it must not take the id of the real email. Nor is an email to nobody."""
        return bool(self.job.to) and not self.job.dry_run

    def completed(
        self, status: str, now: datetime, *, reason: Reason | None = None, move: Move | None = None
    ) -> Completed:
        """What the sender did with a claimed email: the event to publish, and the move still to record."""
        event = status_event(
            self.row,
            at=iso(now),
            status="dry_run" if self.job.dry_run else status,
            previous=Status.SENDING if move and not self.job.dry_run else None,
            reason=reason,
            ses_message_id=move.ses_message_id if move else None,
        )
        move = None if self.job.dry_run else move
        return Completed(events=(event,), move=move, labels=log_labels(self.row))

    def refused(self, refusal: Refusal, now: datetime, topic: str | None = None) -> Completed:
        """A final no to a claimed email. `topic`: as its template says, where that is known."""
        refusal = refusal.shortened()
        reason = Reason(code=refusal.code.value, message=refusal.message)
        move = Move(email_id=self.row.email_id, to=Status.FAILED, at=now, refusal=refusal, topic=topic)
        return self.completed(Status.FAILED, now, reason=reason, move=move)

    def refused_as_it_came(self, now: datetime) -> Completed:
        """The row says all, and is written already."""
        return self.completed(Status.FAILED, now)


@dataclass(frozen=True)
class Ready:
    """An email that may go out, until it `expires`."""

    email: Email
    request: EmailRequest
    message: OutgoingMessage
    template: Template
    expires: datetime | None = None

    @property
    def lane(self) -> Lane:
        return Lane(self.request.priority)


def new_row(
    job: EmailJob, lease: Lease, *, now: datetime, retention_days: int, topic: str | None = None
) -> TrackingRow:
    """`topic`: the request's own, or that of its template where it is known already."""
    requested = iso(job.requested_at)
    refusal = job.refusal
    status = Status.FAILED if refusal else Status.SENDING
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
        campaign=job.campaign,
        topic=topic,
        lane=job.request.priority if job.request else None,
        idempotency_key=job.idempotency_key,
        ttl=int((now + timedelta(days=retention_days)).timestamp()),
        claim_id=lease.claim_id,
        lease_until=None if refusal else lease.until,
        request_hash=job.request_hash,
        metadata=job.metadata,
        tags=job.tags,
        recipients=len(job.request.recipients) if job.request else 1,
        failure_code=refusal.code if refusal else None,
        failure_reason=refusal.message if refusal else None,
        failed_at=iso(now) if refusal else None,
    )
