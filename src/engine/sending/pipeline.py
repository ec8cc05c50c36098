"""A batch of emails, from what was asked to what was done. A single email is a batch of one.

It never raises for an email: each ends `Settled`, `Held` (try again later) or `Failed` (a bug, or a status
event that did not go out: the delivery must come again).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.domain.claims import Claim, of_original
from engine.domain.deferral import DeferralReason
from engine.domain.failures import ServiceUnavailable
from engine.domain.intake import Intake
from engine.domain.lifecycle import RANK, Status
from engine.domain.quota import QuotaReading
from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow
from engine.sending.dispatch import Dispatch
from engine.sending.drafts import begin_loading, write_drafts
from engine.sending.finish import Finish
from engine.sending.one_email import OneEmail, Ready, leaves_a_row, row_for
from engine.sending.outcomes import (
    Collaborators,
    Facts,
    Failed,
    Held,
    Outcome,
    Settled,
    UnderWay,
    attempt,
    calls_leave,
    where,
)

# How much longer than its invocation a claim lasts: the clocks of two environments may differ.
LEASE_MARGIN: Final = 5.0


@dataclass(frozen=True)
class SendingPipeline:
    """Asks, decides, acts."""

    with_: Collaborators

    async def process(self, intakes: Sequence[Intake], seconds_left: Callable[[], float]) -> list[Outcome]:
        """One outcome for each intake, in order. `seconds_left`: what remains of the invocation."""
        until = self.with_.clock().timestamp() + seconds_left() + LEASE_MARGIN
        claim = Claim(self.with_.new_claim_id(), until)
        looked = await self._look_before_claims(intakes)
        outcomes: dict[int, Outcome] = {
            i: outcome for i, outcome in enumerate(looked) if not isinstance(outcome, Intake)
        }
        intakes = [
            seen if isinstance(seen, Intake) else intake for seen, intake in zip(looked, intakes, strict=True)
        ]
        twins = _twins(intakes)
        wanted = [i for i in range(len(intakes)) if i not in outcomes and i not in twins]
        settled = await self._work([intakes[i] for i in wanted], claim, seconds_left)
        outcomes |= dict(zip(wanted, settled, strict=True))
        for twin, first in twins.items():
            outcomes[twin] = self._of_a_twin(intakes[twin], intakes[first], outcomes[first])
        return [outcomes[i] for i in range(len(intakes))]

    async def _work(
        self, intakes: Sequence[Intake], claim: Claim, seconds_left: Callable[[], float]
    ) -> list[Outcome]:
        async with UnderWay() as under_way:
            return await self._steps(under_way, intakes, claim, seconds_left)

    async def _steps(
        self,
        under_way: UnderWay,
        intakes: Sequence[Intake],
        claim: Claim,
        seconds_left: Callable[[], float],
    ) -> list[Outcome]:
        # By place: a rehearsal has the id of the email that it rehearses.
        requests = {place: intake.request for place, intake in enumerate(intakes) if intake.request}
        # In this order: rate and S3 take longest, if they have to be asked at all; everything waits for the
        # claim, and nothing but the send for the saving.
        pacing = under_way.begin(self.with_.gate.burst())
        loading = await begin_loading(under_way, self.with_.templates, requests)
        claiming = under_way.begin(self._claim(intakes, claim))
        asking = under_way.begin(self._ask(requests))
        await calls_leave()
        saving = under_way.begin(attempt(self._save(intakes, claim)))
        drafting = under_way.begin(write_drafts(loading, requests))
        claims = await claiming
        dispatch = Dispatch(self.with_, under_way, seconds_left, saving, pacing)
        if claims == [None] and loading.done() and pacing.done():
            dispatch.line_up(intakes[0])
        facts, drafts = await asyncio.gather(asking, drafting)
        emails = [
            OneEmail(self.with_, intake, answer, facts, drafts.get(place), claim)
            for place, (intake, answer) in enumerate(zip(intakes, claims, strict=True))
        ]
        decided = await asyncio.gather(*map(self._decide, emails))
        ready = [outcome for outcome in decided if isinstance(outcome, Ready)]
        sent = iter(await dispatch.send(ready))
        outcomes = [next(sent) if isinstance(outcome, Ready) else outcome for outcome in decided]
        return await Finish(self.with_, under_way).finish(outcomes)

    # -- ask ---------------------------------------------------------------------------------------------

    async def _look_before_claims(self, intakes: Sequence[Intake]) -> list[Intake | Settled | Held]:
        retries = {place: intake for place, intake in enumerate(intakes) if intake.retry_attempt}
        looked = await asyncio.gather(*map(self._before_claim, retries.values()))
        found = dict(zip(retries, looked, strict=True))
        return [found.get(place, intake) for place, intake in enumerate(intakes)]

    async def _before_claim(self, intake: Intake) -> Intake | Settled | Held:
        """A retry is needless when its original has arrived after all: SES's reports come in any order.

        Otherwise it takes over what its message leaves out and its original's row knows.
        """
        original = await attempt(self.with_.ledger.read(intake.original_email_id))
        if isinstance(original, ServiceUnavailable):
            return self.with_.unavailable(original)
        if original is None:
            return intake
        if original.status_rank <= RANK[Status.SOFT_BOUNCED]:
            return of_original(intake, original)
        self.with_.journal.event("retry-needless", email_id=intake.email_id, original_status=original.status)
        return Settled(event=None)

    def _of_a_twin(self, twin: Intake, first: Intake, outcome: Outcome) -> Outcome:
        """The same email again in one batch shares the outcome of the first; another request waits for it."""
        if isinstance(outcome, Settled) and twin.request_hash == first.request_hash:
            return Settled(event=None)
        return self.with_.hold(DeferralReason.CLAIMED_ELSEWHERE, 1)

    async def _claim(
        self, intakes: Sequence[Intake], claim: Claim
    ) -> list[TrackingRow | ServiceUnavailable | None]:
        """The ledger's answer for each; None also for those that leave no row."""
        rows = [row_for(self.with_, intake, claim) for intake in intakes]
        if not any(rows):
            return [None for _ in rows]
        answers = iter(await self.with_.ledger.claim([row for row in rows if row]))
        return [next(answers) if row else None for row in rows]

    async def _ask(self, requests: Mapping[int, EmailRequest]) -> Facts:
        """Each question once for the whole batch."""
        if not requests:
            return Facts({}, QuotaReading(0, 0))
        addresses = {address.lower() for request in requests.values() for address in request.recipients}
        suppressed, quota = await asyncio.gather(
            attempt(self.with_.suppression.find(addresses)),
            attempt(self.with_.quota.read(self.with_.today())),
        )
        return Facts(suppressed, quota)

    async def _save(self, intakes: Sequence[Intake], claim: Claim) -> None:
        """Keep for a soft-bounce retry what is about to be sent."""
        kept = {each.email_id: each.request for each in intakes if each.request and not each.dry_run}
        if kept:
            await self.with_.payloads.save(claim.id, kept)

    async def _decide(self, email: OneEmail) -> Outcome | Ready:
        try:
            return await email.decide()
        except Exception as error:  # noqa: BLE001 - a bug met by one email must not fail the batch's others
            self.with_.journal.event("bug", problem=where(error), email_id=email.intake.email_id)
            return Failed(where(error))


def _twins(intakes: Sequence[Intake]) -> dict[int, int]:
    """Deliveries of an email that came before in the same batch, each with the place of the first."""
    first: dict[str, int] = {}
    twins: dict[int, int] = {}
    for place, intake in enumerate(intakes):
        if not leaves_a_row(intake):
            continue
        if intake.email_id in first:
            twins[place] = first[intake.email_id]
        else:
            first[intake.email_id] = place
    return twins
