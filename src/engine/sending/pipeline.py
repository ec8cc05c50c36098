"""A batch of emails, from what was asked to what was done. A single email is a batch of one.

It never raises for an email: each ends `Settled`, `Held` (try again later) or `Failed` (a bug, or a status
event that did not go out: the delivery must come again).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.domain.failures import ServiceUnavailable
from engine.domain.intake import Intake
from engine.domain.lifecycle import RANK, Status
from engine.domain.quota import QuotaReading
from engine.schemas.rows import TrackingRow
from engine.sending.one_email import OneEmail, row_for
from engine.sending.outcomes import (
    Collaborators,
    Facts,
    Failed,
    Held,
    Outcome,
    Settled,
    attempt,
    attempt_or_refuse,
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
        lease = self.with_.clock().timestamp() + seconds_left() + LEASE_MARGIN
        early = await asyncio.gather(*map(self._before_claim, intakes))
        wanted = [intake for intake, outcome in zip(intakes, early, strict=True) if outcome is None]
        claims, facts = await asyncio.gather(self._claim(wanted, lease), self._ask(wanted))
        emails = [
            OneEmail(self.with_, intake, claim, facts, lease, seconds_left)
            for intake, claim in zip(wanted, claims, strict=True)
        ]
        decided = iter(await self._finish(await asyncio.gather(*map(self._settle, emails))))
        return [next(decided) if outcome is None else outcome for outcome in early]

    async def _before_claim(self, intake: Intake) -> Settled | Held | None:
        """A retry is needless when its original has arrived after all: SES's reports come in any order."""
        if not intake.retry_attempt:
            return None
        original = await attempt(self.with_.ledger.read(intake.original_email_id))
        if isinstance(original, ServiceUnavailable):
            return self.with_.unavailable(original)
        if original is None or original.status_rank <= RANK[Status.SOFT_BOUNCED]:
            return None
        self.with_.journal.event("retry-needless", email_id=intake.email_id, original_status=original.status)
        return Settled(event=None)

    async def _claim(
        self, intakes: Sequence[Intake], lease: float
    ) -> list[TrackingRow | ServiceUnavailable | None]:
        """The ledger's answer for each; None also for those that leave no row."""
        rows = [row_for(self.with_, intake, lease) for intake in intakes]
        answers = iter(await self.with_.ledger.claim([row for row in rows if row]))
        return [next(answers) if row else None for row in rows]

    async def _ask(self, intakes: Sequence[Intake]) -> Facts:
        """Each question once for the whole batch."""
        requests = [intake.request for intake in intakes if intake.request]
        if not requests:
            return Facts({}, QuotaReading(0, 0), {})
        addresses = {address.lower() for request in requests for address in request.recipients}
        names = sorted({request.template_name for request in requests})
        suppressed, quota, templates = await asyncio.gather(
            attempt(self.with_.suppression.find(addresses)),
            attempt(self.with_.quota.read(self.with_.today())),
            asyncio.gather(*(attempt_or_refuse(self.with_.templates.load(name)) for name in names)),
        )
        return Facts(suppressed, quota, dict(zip(names, templates, strict=True)))

    async def _settle(self, email: OneEmail) -> Outcome:
        try:
            return await email.settle()
        except Exception as error:  # noqa: BLE001 - a bug met by one email must not fail the batch's others
            self.with_.journal.event("bug", problem=where(error), email_id=email.intake.email_id)
            return Failed(where(error))

    async def _finish(self, decided: Sequence[Outcome]) -> list[Outcome]:
        sent = [outcome for outcome in decided if isinstance(outcome, Settled) and outcome.was_sent]
        others = [outcome for outcome in decided if isinstance(outcome, Settled) and not outcome.was_sent]
        of_sent, of_others = await asyncio.gather(self._finish_sent(sent), self._finish_others(others))
        problems = {True: of_sent, False: of_others}
        return [
            (problems[outcome.was_sent] or outcome) if isinstance(outcome, Settled) else outcome
            for outcome in decided
        ]

    async def _finish_sent(self, sent: Sequence[Settled]) -> Failed | None:
        """Record ‖ publish ‖ count. A lost record is harmless: SES's Send event moves the row as well."""
        if not sent:
            return None
        recorded, told, _ = await asyncio.gather(
            attempt(self.with_.ledger.record([outcome.move for outcome in sent if outcome.move])),
            self._tell(sent),
            self._count(sum(outcome.counted for outcome in sent)),
        )
        if isinstance(recorded, ServiceUnavailable):
            self.with_.journal.event("record-lost", problem=str(recorded))
        return told

    async def _count(self, sends: int) -> None:
        """A lost count makes the quota a little stricter and is no reason to hold mail."""
        if not sends:
            return
        counted = await attempt(self.with_.quota.count_sends(self.with_.today(), sends))
        if isinstance(counted, ServiceUnavailable):
            self.with_.journal.event("count-lost", problem=str(counted))

    async def _finish_others(self, others: Sequence[Settled]) -> Held | Failed | None:
        """Record, then publish: a refusal that was told must not turn into a send at the redelivery."""
        moves = [outcome.move for outcome in others if outcome.move]
        recorded = await attempt(self.with_.ledger.record(moves)) if moves else None
        if isinstance(recorded, ServiceUnavailable):
            return self.with_.unavailable(recorded)
        return await self._tell(others)

    async def _tell(self, outcomes: Sequence[Settled]) -> Failed | None:
        events = [outcome.event for outcome in outcomes if outcome.event]
        if not events:
            return None
        told = await attempt(self.with_.status_events.publish(events))
        if isinstance(told, ServiceUnavailable):
            self.with_.journal.event("publish-failed", problem=str(told))
            return Failed("the status event could not be published")
        for event in events:
            code = event.reason.code if event.reason else ""
            self.with_.journal.event("email-settled", email_id=event.email_id, status=event.status, code=code)
        return None
