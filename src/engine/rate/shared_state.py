"""What environments share about the rate, as one of them sees it: the rate state, and what SES allows.

The state is what the State table said last, behind a circuit breaker. SES answers GetAccount once a second at
most, for the whole account, so one environment asks and tells the others through the state.
Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import ServiceUnavailable
from engine.rate.gcra import SECOND, Availability, RateState, SlotRequest, availability, decreased
from engine.types import Telemetry

# Of the table and of SES: mail waits meanwhile, and a late answer finds its slots gone by.
PATIENCE: Final = 1.0  # seconds
# The circuit is open after a failure, twice as long after every further one: the table's throttle would only
# last longer, and each question costs mail a second.
_FIRST_BREAK: Final = SECOND
_LONGEST_BREAK: Final = 10 * SECOND

REMEMBERED: Final = 300 * SECOND  # at least; SES raises a rate by itself from time to time
ASKED_AGAIN: Final = 30 * SECOND  # after a question that found no answer
# What every account out of the sandbox has had; kept to while neither SES nor another environment says more.
CAUTIOUS_RATE: Final = 14.0

# The system's dice: environments restored from one snapshot would all throw the same with Python's own.
uniform: Final[Callable[[float, float], float]] = random.SystemRandom().uniform

# The account's rate as SES says, in recipients a second; 0 where its answer doesn't say.
AskSendRate = Callable[[], Awaitable[float]]


class Answer(Struct, frozen=True):
    """`granted`: whether the stretch was handed out. `state`: after that, or as it stands in the way."""

    granted: bool
    state: RateState


class RateTable(Protocol):
    """The one item that all environments share, with its conditional writes."""

    async def read(self) -> RateState: ...

    async def claim(self, request: SlotRequest, available: Availability) -> Answer:
        """Hand out the stretch if the state is to the request what was thought: IDLE or OPEN."""
        ...

    async def decrease(self, factor: float, now: int, seen: int) -> RateState:
        """Keep the rate factor after a throttle, unless there was one since the last that was `seen`."""
        ...

    async def publish_rate(self, rate: float, rate_at: int) -> RateState:
        """Tell the other environments what SES said."""
        ...


@dataclass
class SharedRateState:
    """`state`: as last seen. `circuit_open_until`: when a table that failed is asked again.

    `clock` is in epoch seconds. The clocks of Lambda agree to about a millisecond; nothing corrects them.
    """

    table: RateTable
    telemetry: Telemetry
    clock: Callable[[], float]
    state: RateState = field(default=RateState(), init=False)
    circuit_open_until: int = field(default=0, init=False)
    _seen: bool = field(default=False, init=False)
    _break: int = field(default=_FIRST_BREAK, init=False)

    def now(self) -> int:
        return int(self.clock() * SECOND)

    async def refresh(self) -> None:
        """Read the state before the first claim; every answer renews it. Raises ServiceUnavailable."""
        if not self._seen:
            async with self._circuit():
                self._learn(await self.table.read())
            self._seen = True

    async def claim(self, request: SlotRequest) -> int | None:
        """Where the claimed stretch begins; None where it was not granted, and `state` is newer now.

        Raises ServiceUnavailable.
        """
        available = availability(self.state, request)
        if available is Availability.FULL:
            return None
        async with self._circuit():
            answer = await self.table.claim(request, available)
        self._learn(answer.state)
        return answer.state.tat - request.length if answer.granted else None

    async def throttled(self) -> None:
        """Decrease the rate factor, here at once and for all others if the table can be reached."""
        now, seen = self.now(), self.state.throttled_at
        factor = decreased(self.state, now)
        if factor is None:
            return
        self.state = replace(self.state, rate_factor=factor, throttled_at=now)
        with suppress(ServiceUnavailable):
            async with self._circuit():
                self._learn(await self.table.decrease(factor, now, seen))

    async def publish_rate(self, rate: float) -> None:
        """Keep what SES said just now, here at once and for all others if the table can be reached."""
        rate_at = self.now() // SECOND
        self.state = replace(self.state, rate=rate, rate_at=rate_at)
        with suppress(ServiceUnavailable):
            async with self._circuit():
                self._learn(await self.table.publish_rate(rate, rate_at))

    def _learn(self, state: RateState) -> None:
        """Take over the table's state, but for what is news to it."""
        mine = self.state
        if mine.throttled_at > state.throttled_at:
            state = replace(state, rate_factor=mine.rate_factor, throttled_at=mine.throttled_at)
        if mine.rate_at > state.rate_at:
            state = replace(state, rate=mine.rate, rate_at=mine.rate_at)
        self.state = state

    @asynccontextmanager
    async def _circuit(self) -> AsyncIterator[None]:
        if self.circuit_open_until > self.now():
            raise ServiceUnavailable("DynamoDB (State) failed a moment ago and is left alone")
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except (ServiceUnavailable, TimeoutError) as error:
            self.circuit_open_until = self.now() + self._break
            self._break = min(2 * self._break, _LONGEST_BREAK)
            problem = str(error) or f"DynamoDB (State) gave no answer in {PATIENCE} s"
            self.telemetry.record("service-unavailable", problem=problem)
            raise ServiceUnavailable(problem) from error
        self._break = _FIRST_BREAK


@dataclass
class AccountRate:
    """Recipients a second: the configured one, or what SES says (GetAccount), remembered for five minutes.

    SES answers GetAccount once a second at most, for the whole account
    (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html). So one environment asks and
    tells the others through the shared state; `vary` (a number between two others, at random) keeps them from
    forgetting all at once. `configured` is 0 for asking SES.
    """

    shared: SharedRateState
    ask: AskSendRate
    telemetry: Telemetry
    configured: float
    vary: Callable[[float, float], float] = uniform
    _ask_after: int = field(default=0, init=False)

    async def current(self) -> float:
        """Never raises: what SES said last holds on while SES does not answer."""
        if self.configured:
            return self.configured
        now, told_at = self.shared.now(), self.shared.state.rate_at * SECOND
        if now >= max(self._ask_after, told_at + REMEMBERED * self.vary(1.0, 1.2)):
            self._ask_after = now + ASKED_AGAIN  # at once, so that only one of many asks
            with suppress(ServiceUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    rate = await self.ask()
                if rate:
                    self.telemetry.record("send-rate-told", rate=rate)
                    await self.shared.publish_rate(rate)
        return self.shared.state.rate or CAUTIOUS_RATE
