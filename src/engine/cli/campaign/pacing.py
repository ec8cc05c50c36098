"""A campaign at a pace: the first emails alone and the rest if they fare well; only so many a day."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final

from msgspec import Struct

from engine.cli.campaign.campaign import Campaign
from engine.client import EmailClient, PublishProgress, PublishReport
from engine.operations.campaign import Counts
from engine.operations.campaign_report import in_words, over_limits
from engine.operations.ses_account import MOST_BOUNCES, MOST_COMPLAINTS
from engine.types import Sleep

_DAY: Final = timedelta(days=1)


class Pace(Struct, frozen=True, kw_only=True):
    """How fast a campaign is asked for.

    `first`: how many go alone. The rest goes after `then_wait`, unless too many percent of them bounced or
    complained. `per_day`: how many a day (UTC), after which the run ends or, with `wait`, waits.
    """

    first: int | None = None
    then_wait: timedelta = timedelta(minutes=30)
    most_bounces: float = MOST_BOUNCES
    most_complaints: float = MOST_COMPLAINTS
    per_day: int | None = None
    wait: bool = False

    def allowance(self, done: int, asked_today: int) -> int | None:
        """How many may be asked for now; None for all."""
        limits = [self.first - done] if self.first and done < self.first else []
        if self.per_day:
            limits.append(max(self.per_day - asked_today, 0))
        return min(limits, default=None)


def judge_first(counts: Counts, pace: Pace) -> str | None:
    """Why the rest may not go; None where it may."""
    if problem := over_limits(counts, pace.most_bounces, pace.most_complaints):
        return problem
    if counts.left * 2 < counts.emails:
        return f"Only {counts.left:,} of {counts.emails:,} have left, too few to tell."
    return None


@dataclass(kw_only=True)
class PacedRun:
    """One run of a campaign. `first_counts` asks how the first emails stand; `say` tells a person.

    `halted`: why the run ended before its file did. `failed`: whether that is a failure.
    """

    campaign: Campaign
    emails: EmailClient
    pace: Pace
    first_counts: Callable[[], Awaitable[Counts]]
    say: Callable[[str], None]
    now: Callable[[], datetime]
    sleep: Sleep
    halted: str | None = None
    failed: bool = False
    waiting: bool = False
    _judged: bool = field(default=False, init=False)

    async def run(self, on_progress: Callable[[PublishProgress], None]) -> PublishReport:
        """Publish until the file ends, the bus takes no more, or the pace says so."""
        total = PublishReport(accepted=0, not_accepted=0)
        while True:
            if self._first_are_out() and not await self._first_are_good():
                return total
            most = self.pace.allowance(self.campaign.done, self.campaign.asked_today)
            if most == 0:
                if not self.pace.wait:
                    self._halt_for_the_day()
                    return total
                await self._wait(self._tomorrow() - self.now(), "the next day (UTC)")
                continue
            report = await self.campaign.run(self.emails, on_progress, most)
            total = PublishReport(
                accepted=total.accepted + report.accepted,
                not_accepted=report.not_accepted,
                first_not_accepted=report.first_not_accepted,
                stopped=report.stopped,
            )
            if not report.complete or self.campaign.stopping or self.campaign.whole:
                return total

    def _first_are_out(self) -> bool:
        return bool(self.pace.first and not self._judged and self.campaign.done >= self.pace.first)

    async def _first_are_good(self) -> bool:
        """Wait for what becomes of the first emails. An earlier run's waiting counts."""
        since = self.campaign.first_done_at or self.campaign.first_done()
        await self._wait(since + self.pace.then_wait - self.now(), "what becomes of the first emails")
        counts = await self.first_counts()
        problem = judge_first(counts, self.pace)
        self.say(f"The first {counts.emails:,}: {in_words(counts)}.")
        self._judged = True
        if problem:
            self.failed = True
            self.halted = (
                f"{problem} The rest was not asked for. Run the same command again to look once more, or"
                " without --first to go on all the same."
            )
        return not problem

    def _halt_for_the_day(self) -> None:
        self.halted = (
            f"{self.campaign.asked_today:,} were asked for today, which is the day's share. Run the same"
            f" command again from {self._tomorrow():%Y-%m-%d %H:%M} UTC on."
        )

    def _tomorrow(self) -> datetime:
        return datetime.combine(self.now().date() + _DAY, time(), UTC)

    async def _wait(self, span: timedelta, for_what: str) -> None:
        if span <= timedelta(0):
            return
        self.say(f"Waiting for {for_what}, until {self.now() + span:%Y-%m-%d %H:%M} UTC.")
        self.waiting = True
        await self.sleep(span.total_seconds())
        self.waiting = False
