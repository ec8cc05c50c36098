"""A batch of emails, from what was asked to what was done. A single email is a batch of one.

It never raises for an email: each ends `Completed`, `Deferred` (try again later) or `Failed` (a bug, or a
status event that did not go out: the delivery must come again).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.errors import ServiceUnavailable
from engine.requests.email_job import EmailJob
from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow
from engine.sending.dispatch import Dispatch
from engine.sending.drafts import begin_loading, write_drafts
from engine.sending.finish import Finish
from engine.sending.one_email import OneEmail, Ready, is_tracked, row_for
from engine.sending.results import (
    Completed,
    DeferralReason,
    Deferred,
    Dependencies,
    Facts,
    Failed,
    Outcome,
    UnderWay,
    attempt,
    calls_leave,
    where,
)
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.claim import Claim, of_original
from engine.tracking.lifecycle import RANK, Status

# How much longer than its invocation a claim lasts: the clocks of two environments may differ.
LEASE_MARGIN: Final = 5.0


@dataclass(frozen=True)
class SendingPipeline:
    """Asks, decides, acts."""

    deps: Dependencies

    async def process(self, jobs: Sequence[EmailJob], seconds_left: Callable[[], float]) -> list[Outcome]:
        """One outcome for each job, in order. `seconds_left`: what remains of the invocation."""
        until = self.deps.clock().timestamp() + seconds_left() + LEASE_MARGIN
        claim = Claim(self.deps.new_claim_id(), until)
        looked = await self._look_before_claims(jobs)
        outcomes: dict[int, Outcome] = {
            i: outcome for i, outcome in enumerate(looked) if not isinstance(outcome, EmailJob)
        }
        jobs = [seen if isinstance(seen, EmailJob) else job for seen, job in zip(looked, jobs, strict=True)]
        twins = _twins(jobs)
        wanted = [i for i in range(len(jobs)) if i not in outcomes and i not in twins]
        settled = await self._work([jobs[i] for i in wanted], claim, seconds_left)
        outcomes |= dict(zip(wanted, settled, strict=True))
        for twin, first in twins.items():
            outcomes[twin] = self._of_a_twin(jobs[twin], jobs[first], outcomes[first])
        return [outcomes[i] for i in range(len(jobs))]

    async def _work(
        self, jobs: Sequence[EmailJob], claim: Claim, seconds_left: Callable[[], float]
    ) -> list[Outcome]:
        async with UnderWay() as under_way:
            return await self._steps(under_way, jobs, claim, seconds_left)

    async def _steps(
        self,
        under_way: UnderWay,
        jobs: Sequence[EmailJob],
        claim: Claim,
        seconds_left: Callable[[], float],
    ) -> list[Outcome]:
        # By place: a rehearsal has the id of the email that it rehearses.
        requests = {place: job.request for place, job in enumerate(jobs) if job.request}
        # In this order: rate and S3 take longest, if they have to be asked at all; everything waits for the
        # claim, and nothing but the send for the saving.
        pacing = under_way.begin(self.deps.gate.burst())
        loading = await begin_loading(under_way, self.deps.templates, requests)
        claiming = under_way.begin(self._claim(jobs, claim))
        asking = under_way.begin(self._ask(requests))
        await calls_leave()
        saving = under_way.begin(attempt(self._save(jobs, claim)))
        drafting = under_way.begin(write_drafts(loading, requests))
        claims = await claiming
        dispatch = Dispatch(self.deps, under_way, seconds_left, saving, pacing)
        if claims == [None] and loading.done() and pacing.done():
            dispatch.line_up(jobs[0])
        facts, drafts = await asyncio.gather(asking, drafting)
        emails = [
            OneEmail(self.deps, job, answer, facts, drafts.get(place), claim)
            for place, (job, answer) in enumerate(zip(jobs, claims, strict=True))
        ]
        decided = await asyncio.gather(*map(self._decide, emails))
        ready = [outcome for outcome in decided if isinstance(outcome, Ready)]
        sent = iter(await dispatch.send(ready))
        outcomes = [next(sent) if isinstance(outcome, Ready) else outcome for outcome in decided]
        return await Finish(self.deps, under_way).finish(outcomes)

    # -- ask ---------------------------------------------------------------------------------------------

    async def _look_before_claims(self, jobs: Sequence[EmailJob]) -> list[EmailJob | Completed | Deferred]:
        retries = {place: job for place, job in enumerate(jobs) if job.retry_attempt}
        looked = await asyncio.gather(*map(self._before_claim, retries.values()))
        found = dict(zip(retries, looked, strict=True))
        return [found.get(place, job) for place, job in enumerate(jobs)]

    async def _before_claim(self, job: EmailJob) -> EmailJob | Completed | Deferred:
        """A retry is needless when its original has arrived after all: SES's reports come in any order.

        Otherwise it takes over what its message leaves out and its original's row knows.
        """
        original = await attempt(self.deps.ledger.read(job.original_email_id))
        if isinstance(original, ServiceUnavailable):
            return self.deps.unavailable(original)
        if original is None:
            return job
        if original.status_rank <= RANK[Status.SOFT_BOUNCED]:
            return of_original(job, original)
        self.deps.telemetry.record("retry-needless", email_id=job.email_id, original_status=original.status)
        return Completed(event=None)

    def _of_a_twin(self, twin: EmailJob, first: EmailJob, outcome: Outcome) -> Outcome:
        """The same email again in one batch shares the outcome of the first; another request waits for it."""
        if isinstance(outcome, Completed) and twin.request_hash == first.request_hash:
            return Completed(event=None)
        return self.deps.hold(DeferralReason.CLAIMED_ELSEWHERE, 1)

    async def _claim(
        self, jobs: Sequence[EmailJob], claim: Claim
    ) -> list[TrackingRow | ServiceUnavailable | None]:
        """The ledger's answer for each; None also for those that leave no row."""
        rows = [row_for(self.deps, job, claim) for job in jobs]
        if not any(rows):
            return [None for _ in rows]
        answers = iter(await self.deps.ledger.claim([row for row in rows if row]))
        return [next(answers) if row else None for row in rows]

    async def _ask(self, requests: Mapping[int, EmailRequest]) -> Facts:
        """Each question once for the whole batch."""
        if not requests:
            return Facts({}, QuotaReading(0, 0))
        addresses = {address.lower() for request in requests.values() for address in request.recipients}
        checks = await attempt(self.deps.pre_send.read(addresses, self.deps.today()))
        if isinstance(checks, ServiceUnavailable):
            return Facts(checks, checks)
        return Facts(checks.suppressed, checks.quota)

    async def _save(self, jobs: Sequence[EmailJob], claim: Claim) -> None:
        """Keep for a soft-bounce retry what is about to be sent."""
        kept = {each.email_id: each.request for each in jobs if each.request and not each.dry_run}
        if kept:
            await self.deps.payloads.save(claim.id, kept)

    async def _decide(self, email: OneEmail) -> Outcome | Ready:
        try:
            return await email.decide()
        except Exception as error:  # noqa: BLE001 - a bug met by one email must not fail the batch's others
            self.deps.telemetry.record("bug", problem=where(error), email_id=email.job.email_id)
            return Failed(where(error))


def _twins(jobs: Sequence[EmailJob]) -> dict[int, int]:
    """Deliveries of an email that came before in the same batch, each with the place of the first."""
    first: dict[str, int] = {}
    twins: dict[int, int] = {}
    for place, job in enumerate(jobs):
        if not is_tracked(job):
            continue
        if job.email_id in first:
            twins[place] = first[job.email_id]
        else:
            first[job.email_id] = place
    return twins
