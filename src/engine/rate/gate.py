"""The rate gate: send slots from a line that all environments share, for two lanes.

Emails that wait at the same time share one write to the State table. Transactional mail stands in line at
once; bulk mail claims about once a second, and never so far ahead that a password reset would feel it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from engine.aws.send_rate import SendRate, spread
from engine.errors import ServiceUnavailable
from engine.rate.gcra import (
    LOOK_AHEAD,
    SECOND,
    Claim,
    Pace,
    beginning,
    bulk_claim,
    bulk_round,
    closed_further,
    fair_stretch,
    transactional_claim,
)
from engine.rate.line import SharedLine
from engine.schemas.request import Lane
from engine.types import Sleep, Telemetry

# A process that can't reach the line sends transactional mail at this part of the rate: fifty of them
# together keep to it.
BLIND_SHARE: Final = 0.02
_GATHERING: Final = 0.01  # seconds in which the emails of a bulk batch come together
_LONGEST_PATIENCE: Final = 60 * SECOND  # nobody stands in line longer, however much time there is
_LEAST_USED: Final = 0.3  # of a round that passes after a claim, however small
_SLOWEST: Final = 2.0  # rounds that an environment without luck leaves out


@dataclass(slots=True)
class _Ticket:
    """An email that waits for its slot since `began`, until `deadline` at the latest (microseconds)."""

    recipients: int
    began: int
    deadline: int
    moment: asyncio.Future[int]

    def urgency(self, now: int) -> float:
        """Which part of its time it has waited."""
        return min(max((now - self.began) / max(self.deadline - self.began, 1), 0.0), 1.0)

    def grant(self, moment: int) -> None:
        if not self.moment.done():  # whoever asked may be gone
            self.moment.set_result(moment)

    def deny(self, estimate: int) -> None:
        """No slot in time: the answer lies after the deadline."""
        self.grant(max(estimate, self.deadline + SECOND))

    def fail(self, error: Exception) -> None:
        if not self.moment.done():
            self.moment.set_exception(error)


class SharedRateGate:
    """Implements `RateGate`. `vary` spreads environments: a number between two others."""

    def __init__(
        self,
        line: SharedLine,
        rate: SendRate,
        telemetry: Telemetry,
        *,
        bulk_share: float,
        sleep: Sleep = asyncio.sleep,
        vary: Callable[[float, float], float] = spread,
    ) -> None:
        self._line = line
        self._rate = rate
        self._telemetry = telemetry
        self._share = bulk_share
        self._sleep = sleep
        self._vary = vary
        self._waiting: dict[Lane, deque[_Ticket]] = {lane: deque() for lane in Lane}
        self._serving: dict[Lane, asyncio.Task[None]] = {}
        self._next_bulk = 0
        self._slowness = 1.0
        self._blind_until = 0

    async def reserve(self, recipients: int, lane: Lane, within: float) -> float:
        now = self._line.now()
        moment: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        patience = min(int(within * SECOND), _LONGEST_PATIENCE)
        self._waiting[lane].append(_Ticket(recipients, now, now + patience, moment))
        if lane not in self._serving:
            self._serving[lane] = asyncio.create_task(self._serve(lane))
        granted = await moment
        return max(0, granted - self._line.now()) / SECOND

    async def burst(self) -> int:
        try:
            return (await self._pace()).burst
        except ServiceUnavailable:
            return 1

    async def throttled(self) -> None:
        factor = closed_further(self._line.line, self._line.now())
        if factor is None:
            return
        try:
            await self._line.close(factor)
        except ServiceUnavailable as error:
            self._telemetry.record("service-unavailable", problem=str(error))

    async def _serve(self, lane: Lane) -> None:
        """Round after round while anyone waits."""
        serve = self._transactional_round if lane is Lane.TRANSACTIONAL else self._bulk_round
        waiting = self._waiting[lane]
        try:
            while waiting:
                await serve(waiting)
        except Exception as error:  # noqa: BLE001 - a bug must reach those who wait, not leave them waiting
            while waiting:
                waiting.popleft().fail(error)
        finally:
            del self._serving[lane]

    async def _pace(self) -> Pace:
        """Raises ServiceUnavailable where the line was never seen."""
        await self._line.look()
        self._rate.learn(self._line.line.rate, self._line.line.rate_at)
        known_since = self._rate.told_at
        rate = await self._rate()
        if self._rate.told_at != known_since:  # this environment asked; the others learn it from the line
            self._telemetry.record("send-rate-told", rate=rate)
        return Pace(rate, self._line.openness)

    # -- transactional ---------------------------------------------------------------------------------------

    async def _transactional_round(self, waiting: deque[_Ticket]) -> None:
        try:
            pace = await self._pace()
            await self._claim(waiting, self._choose(waiting, pace, _LONGEST_PATIENCE), pace)
        except ServiceUnavailable as error:
            self._telemetry.record("service-unavailable", problem=str(error))
            await self._send_blindly(waiting, error)

    async def _send_blindly(self, waiting: deque[_Ticket], error: ServiceUnavailable) -> None:
        """Without the table transactional mail goes on, slowly: mail that nobody can wait for is not held."""
        rate = await self._rate()
        while waiting:
            ticket = waiting.popleft()
            moment = max(self._blind_until, self._line.now())
            if moment > ticket.deadline:
                ticket.fail(error)
                continue
            slot = Pace(rate * BLIND_SHARE, self._line.openness).slot
            self._blind_until = moment + ticket.recipients * slot
            ticket.grant(moment)

    # -- bulk ------------------------------------------------------------------------------------------------

    async def _bulk_round(self, waiting: deque[_Ticket]) -> None:
        await self._sleep(self._pause(waiting))
        self._give_up(waiting)
        if not waiting or self._line.resting or self._line.now() < self._next_bulk:
            return
        stretch = fair_stretch(self._line.others)
        try:
            pace = await self._pace()
            chosen = self._choose(waiting, pace, stretch)
            granted = await self._claim(waiting, chosen, pace, bulk=True)
        except ServiceUnavailable as error:
            self._telemetry.record("service-unavailable", problem=str(error))
            return
        used = sum(pace.length(ticket.recipients) for ticket in chosen) / stretch
        wait = self._wait_for_next(granted=granted, used=min(max(used, _LEAST_USED), 1.0))
        self._next_bulk = self._line.now() + int(wait * SECOND)

    def _pause(self, waiting: deque[_Ticket]) -> float:
        """Until the next claim is due, or the first one has waited long enough."""
        now = self._line.now()
        due = max(self._next_bulk - now, self._line.resting)
        first = min(ticket.deadline for ticket in waiting) - now
        return max(min(due, first) / SECOND, _GATHERING)

    def _give_up(self, waiting: deque[_Ticket]) -> None:
        """Let go of those whose time is over; they come again with their message."""
        now = self._line.now()
        for _ in range(len(waiting)):
            ticket = waiting.popleft()
            if ticket.deadline > now:
                waiting.append(ticket)
            elif self._line.resting:
                ticket.fail(ServiceUnavailable("DynamoDB (State) does not answer; bulk mail waits for it"))
            else:
                ticket.deny(now + SECOND)

    def _wait_for_next(self, *, granted: bool, used: float) -> float:
        """Seconds to the next claim: a round; longer without luck, and shorter when little was claimed."""
        self._slowness = max(1.0, self._slowness / 2) if granted else min(self._slowness * 1.25, _SLOWEST)
        wait = bulk_round(self._line.others) * (used if granted else 1.0)
        if not granted and self._line.others < 1:
            # Transactional mail alone fills the line, so it is known when there will be room.
            room = self._line.line.until - int(self._share * LOOK_AHEAD) - self._line.now()
            return min(max(room / SECOND, _GATHERING), wait * self._slowness)
        shortest, longest = 0.85 * wait * self._slowness, 1.15 * wait * self._slowness
        return self._line.telling_pause(shortest, longest) or self._vary(shortest, longest)

    # -- both ------------------------------------------------------------------------------------------------

    def _choose(self, waiting: deque[_Ticket], pace: Pace, stretch: int) -> list[_Ticket]:
        """The first who fit into the stretch, one at least; who has not the time is told so and leaves."""
        begin = end = beginning(self._line.line, self._line.now(), self._line.lead)
        chosen: list[_Ticket] = []
        while waiting:
            ticket = waiting[0]
            length = pace.length(ticket.recipients)
            if chosen and end + length - begin > stretch:
                break
            waiting.popleft()
            if end + length > ticket.deadline:
                ticket.deny(end + length)
                continue
            end += length
            chosen.append(ticket)
        waiting.extendleft(reversed(chosen))
        return chosen

    async def _claim(
        self, waiting: deque[_Ticket], chosen: list[_Ticket], pace: Pace, *, bulk: bool = False
    ) -> bool:
        """One stretch of the line for all the chosen, who wait in front; False where the line is full."""
        if not chosen:
            return False
        offsets: list[int] = []
        end = 0
        last = chosen[0].deadline
        for ticket in chosen:
            offsets.append(end + pace.moment(ticket.recipients))
            end += pace.length(ticket.recipients)
            last = min(last, ticket.deadline - end)
        urgency = chosen[0].urgency(self._line.now()) if bulk else None
        start = await self._line.claim(self._form(end, last, urgency))
        if start is None:
            return False
        for offset in offsets:
            waiting.popleft().grant(start + offset)
        return True

    def _form(self, length: int, last: int, urgency: float | None) -> Claim:
        """The claim, and with it what SES told this environment, where the others don't know yet."""
        now = self._line.now()
        earliest = now + self._line.lead
        news = self._rate.told_at > self._line.line.rate_at
        claim = (
            transactional_claim(now, length, earliest, last)
            if urgency is None
            else bulk_claim(now, length, earliest, last, self._share, urgency)
        )
        return replace(claim, told=self._rate.told, told_at=self._rate.told_at) if news else claim
