"""One email of a batch: from its claim and the batch's facts to an outcome."""

import asyncio
from dataclasses import dataclass

from msgspec.structs import replace

from engine.domain.announcement import announce, announce_row, as_reason, reached_at
from engine.domain.claims import Busy, Claim, Claimable, Conflict, Duplicate, claim_row, judge_claim
from engine.domain.compose import attached_file, compose, refuse_oversized
from engine.domain.decision import decide
from engine.domain.deferral import DeferralReason, Lane
from engine.domain.failures import (
    FailureCode,
    Refusal,
    Refused,
    ServiceUnavailable,
)
from engine.domain.identity import conflict_id
from engine.domain.intake import Intake
from engine.domain.lifecycle import Status
from engine.domain.message import AttachedFile, OutgoingMessage
from engine.domain.quota import counts
from engine.domain.sender import resolve_sender
from engine.ports import Move
from engine.schemas.request import Attachment, EmailRequest
from engine.schemas.rows import TrackingRow
from engine.schemas.status import Reason
from engine.sending.drafts import Draft
from engine.sending.outcomes import Collaborators, Facts, Held, Settled, attempt, known


def leaves_a_row(intake: Intake) -> bool:
    """Whether an email is tracked.

    A rehearsal is not, for it must not take the id of the real email; nor is a request without an address,
    for there is nobody to track.
    """
    return bool(intake.to) and not intake.dry_run


def row_for(collaborators: Collaborators, intake: Intake, claim: Claim) -> TrackingRow | None:
    """The row that claims the email, or keeps its refusal."""
    if not leaves_a_row(intake):
        return None
    days = collaborators.policy.retention_days
    return claim_row(intake, claim, now=collaborators.clock(), retention_days=days)


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

    with_: Collaborators
    intake: Intake
    answer: TrackingRow | ServiceUnavailable | None
    facts: Facts
    draft: Draft | None
    own: Claim

    async def decide(self) -> Settled | Held | Ready:
        try:
            return await self._meet_claim() or await self._compose()
        except ServiceUnavailable as error:
            return await self.give_back(self.with_.unavailable(error))

    # -- the claim ---------------------------------------------------------------------------------------

    async def _meet_claim(self) -> Settled | Held | None:
        """What follows from a row that is there already; None where this invocation may go on."""
        if self.answer is None:
            return None
        if isinstance(self.answer, ServiceUnavailable):
            return self.with_.unavailable(self.answer)
        verdict = judge_claim(
            self.answer,
            self.intake.request_hash,
            now=self.with_.clock(),
            reconcile_seconds=self.with_.policy.reconcile_seconds,
        )
        match verdict:
            case Duplicate(row):
                return self._tell_again(row)
            case Conflict():
                return await self._refuse_conflict()
            case Busy(reason, seconds):
                return self.with_.hold(reason, seconds)
            case Claimable(seen_lease):
                return await self._take_over(self.answer, seen_lease)

    def _tell_again(self, row: TrackingRow) -> Settled:
        """A redelivery tells again: the invocation before may have died between record and publish."""
        self.with_.journal.event("duplicate", email_id=row.email_id, status=row.status)
        event = announce_row(row, at=reached_at(row), previous=Status(row.status))
        return Settled(event=event)

    async def _refuse_conflict(self) -> Settled | Held:
        """Same key, other request: refused under an id of its own, the first email stays untouched."""
        refusal = Refusal(
            FailureCode.IDEMPOTENCY_CONFLICT,
            f"idempotencyKey: was used before for another request (email {self.intake.email_id}); a new"
            " email needs a new key, and a repeated one must ask for the same",
        )
        own = replace(
            self.intake,
            email_id=conflict_id(self.intake.email_id, self.intake.request_hash),
            request=None,
            refusal=refusal,
        )
        row = row_for(self.with_, own, self.own)
        answers = await self.with_.ledger.claim([row]) if row else []
        for answer in answers:
            if isinstance(answer, ServiceUnavailable):
                return self.with_.unavailable(answer)
            if answer:
                return self._tell_again(answer)
        event = announce(own, "failed", at=self.with_.clock(), previous=None, reason=as_reason(refusal))
        return Settled(event=event)

    async def _take_over(self, row: TrackingRow, seen_lease: float | None) -> Held | None:
        mine = replace(row, claim_id=self.own.id, lease_until=self.own.lease_until)
        taken = await attempt(self.with_.ledger.reclaim(mine, seen_lease))
        if taken is True:
            return None
        return self.with_.hold(DeferralReason.CLAIMED_ELSEWHERE, 1)

    async def give_back(self, held: Held) -> Held:
        """Nothing was sent: the next delivery may claim at once. Failing this, the lease just runs out."""
        if not self.intake.dry_run:
            await attempt(self.with_.ledger.release(self.intake.email_id, self.own.lease_until))
        return held

    # -- the decision ------------------------------------------------------------------------------------

    async def _compose(self) -> Settled | Ready:
        request = self.intake.request
        if request is None or self.draft is None:
            return self.refuse(self.intake.refusal, claimed=False)
        message = self._compose_from(request, self.draft)
        if isinstance(message, OutgoingMessage):
            message = await self._attach(request, message)
        if isinstance(message, Refusal):
            return self.refuse(message)
        if self.intake.dry_run:
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
            policy=self.with_.policy.quota,
            rendered=draft,
        )
        if isinstance(go, Refusal):
            return go
        sender = resolve_sender(request.sender_override, go.rendered, self.with_.policy.sender)
        if isinstance(sender, Refusal):
            return sender
        return compose(request, go.rendered, sender, self.intake.email_id, without=go.without)

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
        return attached_file(attachment, await self.with_.templates.load_attachment(attachment.s3_key))

    def refuse(self, refusal: Refusal | None, *, claimed: bool = True) -> Settled:
        """Refused for good: a claimed row moves to `failed`, one that came refused is there already."""
        at, reason = self.with_.clock(), as_reason(refusal)
        if self.intake.dry_run:
            return Settled(event=announce(self.intake, "dry_run", at=at, previous=None, reason=reason))
        previous = Status.SENDING if claimed else None
        move = Move(email_id=self.intake.email_id, to=Status.FAILED, at=at, refusal=refusal)
        return Settled(
            event=announce(self.intake, "failed", at=at, previous=previous, reason=reason),
            move=move if claimed else None,
        )

    def _rehearse(self, message: OutgoingMessage) -> Settled:
        reason = Reason(
            code="would-send",
            message=f"would go to {message.recipients} recipient(s), from {message.sender},"
            f" with the subject {message.subject!r}",
        )
        at = self.with_.clock()
        return Settled(event=announce(self.intake, "dry_run", at=at, previous=None, reason=reason))

    # -- what SES answered -------------------------------------------------------------------------------

    def sent(self, request: EmailRequest, message: OutgoingMessage, message_id: str) -> Settled:
        at = self.with_.clock()
        left_out = len(request.recipients) - message.recipients
        dropped = Reason(
            code="recipients-suppressed", message=f"{left_out} of cc and bcc left out: they are suppressed"
        )
        event = announce(
            self.intake,
            "sent",
            at=at,
            previous=Status.SENDING,
            reason=dropped if left_out else None,
            ses_message_id=message_id,
        )
        move = Move(email_id=self.intake.email_id, to=Status.SENT, at=at, ses_message_id=message_id)
        return Settled(event=event, move=move, counted=counts(message.to))
