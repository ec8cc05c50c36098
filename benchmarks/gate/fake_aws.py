"""What surrounds the gate in the simulation: the State table, an SES account, environments with clocks."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from engine.errors import ServiceUnavailable
from engine.local.ses.account import Account, Usage
from engine.rate.gate import SharedRateGate
from engine.rate.gcra import Availability, RateState, SlotRequest, availability
from engine.rate.shared_state import AccountRate, Answer, SharedRateState

# Not a full second, so that nothing lies at a tick by accident.
BEGIN = datetime(2026, 11, 24, 8, 0, 0, 370_000, tzinfo=UTC)
BULK_SHARE = 0.8  # the stack's default


def loop_now() -> datetime:
    return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())


def claimed(state: RateState, request: SlotRequest) -> RateState:
    """The state after a claim that finds it IDLE or OPEN."""
    idle = availability(state, request) is Availability.IDLE
    tat = (request.now if idle else state.tat) + request.length
    bulk_tat = state.bulk_tat if request.bulk_limit is None else request.next_bulk_tat
    return replace(state, tat=tat, bulk_tat=bulk_tat)


class SimulatedTable:
    """Implements `RateTable` for one item: each write in one step, half a latency after it was asked for.

    `outage` (seconds of loop time, from and to) makes it refuse as a table that throttles.
    """

    def __init__(self, random_: random.Random, outage: tuple[float, float] = (0, 0)) -> None:
        self._random = random_
        self._outage = outage
        self.state = RateState()
        self.writes = 0

    async def read(self) -> RateState:
        return (await self.reached(lambda: None)).state

    async def claim(self, request: SlotRequest, available: Availability) -> Answer:
        return await self.reached(
            lambda: claimed(self.state, request) if availability(self.state, request) is available else None
        )

    async def decrease(self, factor: float, now: int, seen: int) -> RateState:
        def decrease() -> RateState | None:
            known = self.state.throttled_at <= seen
            return replace(self.state, rate_factor=factor, throttled_at=now) if known else None

        return (await self.reached(decrease)).state

    async def publish_rate(self, rate: float, rate_at: int) -> RateState:
        def publish() -> RateState | None:
            return replace(self.state, rate=rate, rate_at=rate_at) if self.state.rate_at < rate_at else None

        return (await self.reached(publish)).state

    async def reached(self, write: Callable[[], RateState | None]) -> Answer:
        """`write`: the state after it, None where its condition fails."""
        half = (0.020 if self._random.random() < 0.01 else self._random.uniform(0.003, 0.007)) / 2
        await asyncio.sleep(half)
        begin, end = self._outage
        if begin <= asyncio.get_running_loop().time() < end:
            raise ServiceUnavailable("DynamoDB (State) UpdateItem answered ThrottlingException")
        self.writes += 1
        state = write()
        self.state = state or self.state
        answer = Answer(granted=state is not None, state=self.state)
        await asyncio.sleep(half)
        return answer


class SimulatedSes:
    """An SES account that counts by calendar seconds and by sliding ones; a send must pass both.

    `refused`: the part of the calls that it throttles all the same.
    """

    def __init__(self, rate: float, random_: random.Random, refused: float = 0.0) -> None:
        self._random = random_
        self._refused = refused
        self._rate = rate
        self._calendar, self._sliding = (
            Usage(Account(max_send_rate=rate, daily_quota=-1, window=window), loop_now)
            for window in ("calendar", "sliding")
        )
        self._asked_at = -1.0
        self.throttled: list[float] = []
        self.accepted: list[tuple[float, int]] = []

    async def get_send_rate(self) -> float:
        """Once a second for the whole account, as SES answers GetAccount."""
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        if now < self._asked_at + 1:
            raise ServiceUnavailable("SES GetAccount answered TooManyRequestsException")
        self._asked_at = now
        return self._rate

    async def send(self, recipients: int) -> bool:
        """Whether SES takes it. The way there takes 8 ms, give or take."""
        await asyncio.sleep(self._random.uniform(0.004, 0.012))
        now = asyncio.get_running_loop().time()
        refused = self._refused and self._random.random() < self._refused
        if refused or not self._has_room(recipients):
            self.throttled.append(now)
            return False
        self.accepted.append((now, recipients))
        return True

    def take_for_others(self) -> None:
        """One recipient of another system, if there is room."""
        self._has_room(1)

    def _has_room(self, recipients: int) -> bool:
        """Whether the recipients may go; if so, they are counted."""
        if self._calendar.refusal(recipients) or self._sliding.refusal(recipients):
            return False
        self._calendar.take(recipients, counts_for_day=0)
        self._sliding.take(recipients, counts_for_day=0)
        return True


@dataclass
class Silence:
    """Implements `Telemetry`."""

    names: list[str] = field(default_factory=list)

    def record(self, name: str, **_: str | float) -> None:
        self.names.append(name)


def environment(
    table: SimulatedTable, ses: SimulatedSes, *, configured: float, skew: float, seed: int
) -> SharedRateGate:
    """The gate of one environment, whose clock is `skew` seconds ahead."""

    def clock() -> float:
        return loop_now().timestamp() + skew

    telemetry, vary = Silence(), random.Random(seed).uniform  # noqa: S311 - dice, and the same ones every time
    shared = SharedRateState(table, telemetry, clock)
    account_rate = AccountRate(shared, ses.get_send_rate, telemetry, configured=configured, vary=vary)
    return SharedRateGate(shared, account_rate, bulk_share=BULK_SHARE, vary=vary)
