"""The shared line of send slots as one environment sees it: the time, the latency, how busy others are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from engine.aws.rate_item import Answer, RateTable
from engine.errors import ServiceUnavailable
from engine.rate.gcra import SECOND, Claim, Line, Standing, openness, standing
from engine.rate.shared_clock import ClockBounds, observed, telling_moment

# An answer that takes longer than this finds its slots gone by.
PATIENCE: Final = 1.0  # seconds
# After a failure the table is left alone for so long, doubling with every further one: its throttle would
# only last longer, and each question costs mail a second.
_FIRST_REST: Final = SECOND
_LONGEST_REST: Final = 10 * SECOND
_TRIES: Final = 3  # at one claim, where others move the line between two of them
_DOUBT: Final = 20_000  # microseconds of a clock's doubt that are not worth a question
_GLANCE: Final = 200_000  # two looks closer than this tell nothing of the others' pace


class SharedLine:
    """`line`: as last seen. `others`: bulk claims a second of all other environments.

    `clock` is in epoch seconds; `now()` is that clock, corrected by the table's, in microseconds.
    """

    def __init__(self, table: RateTable, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        self._bounds: ClockBounds | None = None
        self._seen = False
        self._latency = 5_000.0
        self._failures = 0
        self._rest_until = 0
        self._activity = Activity()
        self.line = Line()

    def now(self) -> int:
        return self._local() + (self._bounds.correction if self._bounds else 0)

    @property
    def others(self) -> float:
        return self._activity.others

    @property
    def resting(self) -> int:
        """For how long the table is left alone after failures, in microseconds; 0 where it is not."""
        return max(0, self._rest_until - self._local())

    @property
    def lead(self) -> int:
        """How far ahead a slot must lie to be known in time.

        An answer that takes longer than most finds its slot just gone by, which the rate's reserve forgives
        (`domain.rate.USED`); a margin here would be a wait for every email instead.
        """
        return int(self._latency)

    @property
    def openness(self) -> float:
        return openness(self.line, self.now())

    async def look(self) -> None:
        """See the line before the first claim, and with it what the table's clock says.

        Raises ServiceUnavailable.
        """
        if not self._seen:
            await self._ask(self._table.read)
            self._seen = True

    async def claim(self, claim: Claim) -> int | None:
        """Where the claimed stretch begins; None where the line is full. Raises ServiceUnavailable."""
        appends = standing(self.line, claim) is not Standing.BEHIND or self.others > 1
        for _ in range(_TRIES):
            answer = await self._ask(self._write(claim, appends=appends))
            if answer.done:
                return answer.line.until - claim.length
            stands = standing(answer.line, claim)
            if stands is Standing.FULL:
                return None
            appends = stands is Standing.OPEN
        return None

    async def close(self, factor: float) -> None:
        """Close the gate to this part, here at once and for all others through the table.

        Raises ServiceUnavailable.
        """
        now = self.now()
        self.line = replace(self.line, openness=factor, throttled_at=now)
        await self._ask(lambda: self._table.close(factor, now))

    def telling_pause(self, shortest: float, longest: float) -> float | None:
        """A pause, in seconds between these, after which a question tells most about the clock."""
        if self._bounds is None or self._bounds.doubt <= _DOUBT:
            return None
        now = self._local()
        moment = telling_moment(self._bounds, now + int(shortest * SECOND), now + int(longest * SECOND))
        return None if moment is None else (moment - now) / SECOND

    def _local(self) -> int:
        return int(self._clock() * SECOND)

    def _write(self, claim: Claim, *, appends: bool) -> Callable[[], Awaitable[Answer]]:
        async def write() -> Answer:
            answer = await (self._table.append(claim) if appends else self._table.restart(claim))
            if answer.done and claim.bulk_due is not None:
                self._activity.own += 1
            return answer

        return write

    async def _ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        if self.resting:
            raise ServiceUnavailable("DynamoDB (State) failed a moment ago and is left alone")
        sent = self._local()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await question()
        except (ServiceUnavailable, TimeoutError) as error:
            self._rest_until = self._local() + min(_FIRST_REST << min(self._failures, 8), _LONGEST_REST)
            self._failures += 1
            problem = str(error) or f"DynamoDB (State) gave no answer in {PATIENCE} s"
            raise ServiceUnavailable(problem) from error
        self._failures = 0
        self._learn(answer, sent, self._local())
        return answer

    def _learn(self, answer: Answer, sent: int, received: int) -> None:
        self._latency += (max(0, received - sent) - self._latency) / 8
        if answer.date is not None:
            self._bounds = observed(self._bounds, sent, received, answer.date)
        mine, self.line = self.line, answer.line
        if mine.throttled_at > self.line.throttled_at:  # not told yet, or the table could not be told
            self.line = replace(self.line, openness=mine.openness, throttled_at=mine.throttled_at)
        self._activity.count(answer.line.bulk_claims, received)


class Activity:
    """How many bulk claims a second all others make, from the line's count of all and `own`."""

    def __init__(self) -> None:
        self.own = 0
        self.others = 0.0
        self._at: int | None = None
        self._before = 0

    def count(self, claims: int, now: int) -> None:
        """Note the line's count. What an earlier look told counts half."""
        foreign = claims - self.own
        since = now - self._at if self._at is not None else 0
        if self._at is None:
            self._at, self._before = now, foreign
        elif since >= _GLANCE:
            pace = max(0, foreign - self._before) * SECOND / since
            self.others = (self.others + pace) / 2
            self._at, self._before = now, foreign
