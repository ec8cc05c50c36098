"""The end of a batch: what was decided and done is recorded, told and counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import ServiceUnavailable
from engine.sending.results import (
    Completed,
    Deferred,
    Dependencies,
    Failed,
    Outcome,
    UnderWay,
    attempt,
    calls_leave,
)


@dataclass(frozen=True)
class Finish:
    """Answers each outcome as it is once the world knows of it."""

    deps: Dependencies
    under_way: UnderWay

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        settled = [outcome for outcome in outcomes if isinstance(outcome, Completed)]
        sent = self.under_way.begin(self._finish_sent([each for each in settled if each.was_sent]))
        others = self.under_way.begin(self._finish_others([each for each in settled if not each.was_sent]))
        problems = {True: await sent, False: await others}
        return [
            (problems[outcome.was_sent] or outcome) if isinstance(outcome, Completed) else outcome
            for outcome in outcomes
        ]

    async def _finish_sent(self, sent: Sequence[Completed]) -> Failed | None:
        """Publish ‖ record ‖ count. A lost record is harmless: SES's Send event moves the row as well.

        The bus takes longest to answer, so it is asked first.
        """
        if not sent:
            return None
        publishing = self.under_way.begin(self._publish(sent))
        await calls_leave()
        moves = [outcome.move for outcome in sent if outcome.move]
        recording = self.under_way.begin(attempt(self.deps.ledger.record(moves)))
        counting = self.under_way.begin(self._count(sum(outcome.counted for outcome in sent)))
        await calls_leave()
        self._note(sent)
        recorded = await recording
        await counting
        if isinstance(recorded, ServiceUnavailable):
            self.deps.telemetry.record("record-lost", problem=str(recorded))
        return await publishing

    async def _count(self, recipients: int) -> None:
        """A lost count makes the quota a little stricter and is no reason to hold mail."""
        if not recipients:
            return
        counted = await attempt(self.deps.quota.count_sends(self.deps.today(), recipients))
        if isinstance(counted, ServiceUnavailable):
            self.deps.telemetry.record("count-lost", problem=str(counted))

    async def _finish_others(self, others: Sequence[Completed]) -> Deferred | Failed | None:
        """Record, then publish: a refusal that was told must not turn into a send at the redelivery."""
        moves = [outcome.move for outcome in others if outcome.move]
        recorded = await attempt(self.deps.ledger.record(moves)) if moves else None
        if isinstance(recorded, ServiceUnavailable):
            return self.deps.unavailable(recorded, emails=len(others))
        publishing = self.under_way.begin(self._publish(others))
        await calls_leave()
        self._note(others)
        return await publishing

    async def _publish(self, outcomes: Sequence[Completed]) -> Failed | None:
        events = [outcome.event for outcome in outcomes if outcome.event]
        told = await attempt(self.deps.status_events.publish(events)) if events else None
        if isinstance(told, ServiceUnavailable):
            self.deps.telemetry.record("publish-failed", problem=str(told))
            return Failed("the status event could not be published")
        return None

    def _note(self, outcomes: Sequence[Completed]) -> None:
        """Log what was done, while the bus hears of it: true either way, and counted once, now."""
        for outcome in outcomes:
            event = outcome.event
            if event is None:
                continue
            self.deps.telemetry.record(
                "email-settled",
                email_id=event.email_id,
                status=event.status,
                previous=event.previous_status or "",
                code=event.reason.code if event.reason else "",
            )
