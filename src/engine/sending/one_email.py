"""One email of a batch: from its claim and the batch's facts to an outcome."""

import asyncio
from dataclasses import dataclass

from msgspec.structs import replace

from engine.errors import (
    FailureCode,
    Refusal,
    Refused,
    ServiceUnavailable,
)
from engine.requests.email_job import EmailJob
from engine.requests.identity import conflict_id
from engine.schemas.request import Attachment, EmailRequest, Lane
from engine.schemas.rows import TrackingRow
from engine.schemas.status import Reason
from engine.sending.compose import attached_file, compose, refuse_oversized
from engine.sending.decide import decide
from engine.sending.drafts import Draft
from engine.sending.message import AttachedFile, OutgoingMessage
from engine.sending.results import Completed, DeferralReason, Deferred, Dependencies, Facts, attempt, known
from engine.sending.sender import resolve_sender
from engine.tracking.bounce_quota import counts
from engine.tracking.claim import Busy, Claim, Claimable, Conflict, Duplicate, claim_row, judge_claim
from engine.tracking.ledger import Move
from engine.tracking.lifecycle import Status
from engine.tracking.status_event import announce, as_reason, reached_at, status_event


def is_tracked(job: EmailJob) -> bool:
    """Whether an email is tracked.

    A rehearsal is not, for it must not take the id of the real email; nor is a request without an address,
    for there is nobody to track.
    """
    return bool(job.to) and not job.dry_run


def row_for(dependencies: Dependencies, job: EmailJob, claim: Claim) -> TrackingRow | None:
    """The row that claims the email, or keeps its refusal."""
    if not is_tracked(job):
        return None
    days = dependencies.policy.retention_days
    return claim_row(job, claim, now=dependencies.clock(), retention_days=days)


@dataclass(frozen=True)
class Ready:
    """An email that may go out."""

    email: "OneEmail"
    request: EmailRequest
    message: OutgoingMessage

    @property
    def lane(self) -> Lane:
        return Lane(self.request.priority)


@dataclass(frozen=True)
class OneEmail:
    """`answer`: what the ledger said to the claim, None where it was won. `own`: our claim.

    `draft` is None where there is no request to write one for.
    """

    deps: Dependencies
    job: EmailJob
    answer: TrackingRow | ServiceUnavailable | None
    facts: Facts
    draft: Draft | None
    own: Claim

    async def decide(self) -> Completed | Deferred | Ready:
        try:
            return await self._meet_claim() or await self._compose()
        except ServiceUnavailable as error:
            return await self.give_back(self.deps.unavailable(error))

    # -- the claim ---------------------------------------------------------------------------------------

    async def _meet_claim(self) -> Completed | Deferred | None:
        """What follows from a row that is there already; None where this invocation may go on."""
        if self.answer is None:
            return None
        if isinstance(self.answer, ServiceUnavailable):
            return self.deps.unavailable(self.answer)
        verdict = judge_claim(
            self.answer,
            self.job.request_hash,
            now=self.deps.clock(),
            reconcile_seconds=self.deps.policy.reconcile_seconds,
        )
        match verdict:
            case Duplicate(row):
                return self._tell_again(row)
            case Conflict():
                return await self._refuse_conflict()
            case Busy(reason, seconds):
                return self.deps.hold(reason, seconds)
            case Claimable(seen_lease):
                return await self._take_over(self.answer, seen_lease)

    def _tell_again(self, row: TrackingRow) -> Completed:
        """A redelivery tells again: the invocation before may have died between record and publish."""
        self.deps.telemetry.record("duplicate", email_id=row.email_id, status=row.status)
        event = status_event(row, at=reached_at(row), previous=Status(row.status))
        return Completed(event=event)

    async def _refuse_conflict(self) -> Completed | Deferred:
        """Same key, other request: refused under an id of its own, the first email stays untouched."""
        refusal = Refusal(
            FailureCode.IDEMPOTENCY_CONFLICT,
            f"idempotencyKey: was used before for another request (email {self.job.email_id}); a new"
            " email needs a new key, and a repeated one must ask for the same",
        )
        own = replace(
            self.job,
            email_id=conflict_id(self.job.email_id, self.job.request_hash),
            request=None,
            refusal=refusal,
        )
        row = row_for(self.deps, own, self.own)
        answers = await self.deps.ledger.claim([row]) if row else []
        for answer in answers:
            if isinstance(answer, ServiceUnavailable):
                return self.deps.unavailable(answer)
            if answer:
                return self._tell_again(answer)
        event = announce(own, "failed", at=self.deps.clock(), previous=None, reason=as_reason(refusal))
        return Completed(event=event)

    async def _take_over(self, row: TrackingRow, seen_lease: float | None) -> Deferred | None:
        mine = replace(row, claim_id=self.own.id, lease_until=self.own.lease_until)
        taken = await attempt(self.deps.ledger.reclaim(mine, seen_lease))
        if taken is True:
            return None
        return self.deps.hold(DeferralReason.CLAIMED_ELSEWHERE, 1)

    async def give_back(self, held: Deferred) -> Deferred:
        """Nothing was sent: the next delivery may claim at once. Failing this, the lease just runs out."""
        if not self.job.dry_run:
            await attempt(self.deps.ledger.release(self.job.email_id, self.own.lease_until))
        return held

    # -- the decision ------------------------------------------------------------------------------------

    async def _compose(self) -> Completed | Ready:
        request = self.job.request
        if request is None or self.draft is None:
            return self.refuse(self.job.refusal, claimed=False)
        message = self._compose_from(request, self.draft)
        if isinstance(message, OutgoingMessage):
            message = await self._attach(request, message)
        if isinstance(message, Refusal):
            return self.refuse(message)
        if self.job.dry_run:
            return self._rehearse(message)
        return Ready(self, request, message)

    def _compose_from(self, request: EmailRequest, draft: Draft) -> OutgoingMessage | Refusal:
        """The email but for its attachments. Raises ServiceUnavailable for a fact that is missing."""
        if isinstance(draft, Exception):
            raise draft
        go = decide(
            request,
            suppressed=known(self.facts.suppressed),
            quota=known(self.facts.quota),
            policy=self.deps.policy.quota,
            rendered=draft,
        )
        if isinstance(go, Refusal):
            return go
        sender = resolve_sender(request.sender_override, go.rendered, self.deps.policy.sender)
        if isinstance(sender, Refusal):
            return sender
        return compose(request, go.rendered, sender, self.job.email_id, without=go.without)

    async def _attach(self, request: EmailRequest, message: OutgoingMessage) -> OutgoingMessage | Refusal:
        try:
            files = await asyncio.gather(*map(self._file, request.attachments))
        except Refused as refused:
            return refused.refusal
        complete = replace(message, attachments=tuple(files))
        return refuse_oversized(complete) or complete

    async def _file(self, attachment: Attachment) -> AttachedFile:
        if attachment.s3_key is None:
            return attached_file(attachment)
        return attached_file(attachment, await self.deps.templates.load_attachment(attachment.s3_key))

    def refuse(self, refusal: Refusal | None, *, claimed: bool = True) -> Completed:
        """Refused for good: a claimed row moves to `failed`, one that came refused is there already."""
        at, reason = self.deps.clock(), as_reason(refusal)
        if self.job.dry_run:
            return Completed(event=announce(self.job, "dry_run", at=at, previous=None, reason=reason))
        previous = Status.SENDING if claimed else None
        move = Move(email_id=self.job.email_id, to=Status.FAILED, at=at, refusal=refusal)
        return Completed(
            event=announce(self.job, "failed", at=at, previous=previous, reason=reason),
            move=move if claimed else None,
        )

    def _rehearse(self, message: OutgoingMessage) -> Completed:
        reason = Reason(
            code="would-send",
            message=f"would go to {message.recipients} recipient(s), from {message.sender},"
            f" with the subject {message.subject!r}",
        )
        at = self.deps.clock()
        return Completed(event=announce(self.job, "dry_run", at=at, previous=None, reason=reason))

    # -- what SES answered -------------------------------------------------------------------------------

    def sent(self, request: EmailRequest, message: OutgoingMessage, message_id: str) -> Completed:
        at = self.deps.clock()
        left_out = len(request.recipients) - message.recipients
        dropped = Reason(
            code="recipients-suppressed", message=f"{left_out} of cc and bcc left out: they are suppressed"
        )
        event = announce(
            self.job,
            "sent",
            at=at,
            previous=Status.SENDING,
            reason=dropped if left_out else None,
            ses_message_id=message_id,
        )
        move = Move(email_id=self.job.email_id, to=Status.SENT, at=at, ses_message_id=message_id)
        return Completed(
            event=event, move=move, counted=sum(map(counts, (message.to, *message.cc, *message.bcc)))
        )
