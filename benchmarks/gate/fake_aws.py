"""What surrounds the gate in the simulation: the State table, an SES account, environments with clocks."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from engine.aws.rate_item import Answer
from engine.aws.send_rate import SendRate
from engine.errors import ServiceUnavailable
from engine.local.ses.account import Account, Usage
from engine.rate.gate import SharedRateGate
from engine.rate.gcra import SECOND, Claim, Line, Standing, handed_out, standing
from engine.rate.line import SharedLine

# Not a full second, so that nothing lies at a tick by accident.
BEGIN = datetime(2026, 11, 24, 8, 0, 0, 370_000, tzinfo=UTC)


_Window = Literal["calendar", "sliding"]
_WINDOWS: tuple[_Window, ...] = ("calendar", "sliding")


class SimulatedTable:
    """Implements `RateTable` for one item: each write in one step, half a latency after it was asked for.

    `outage` (seconds of loop time, from and to) makes it refuse as a table that throttles.
    """

    def __init__(self, random_: random.Random, outage: tuple[float, float] | None = None) -> None:
        self._random = random_
        self._outage = outage
        self.line = Line()
        self.writes = 0

    async def read(self) -> Answer:
        return await self._reached(lambda: Answer(done=True, line=self.line))

    async def append(self, claim: Claim) -> Answer:
        return await self._write(claim, Standing.OPEN)

    async def restart(self, claim: Claim) -> Answer:
        return await self._write(claim, Standing.BEHIND)

    async def close(self, openness: float, now: int) -> Answer:
        def write() -> Answer:
            self.writes += 1
            done = self.line.throttled_at <= now - SECOND
            if done:
                self.line = msgspec.structs.replace(self.line, openness=openness, throttled_at=now)
            return Answer(done=done, line=self.line)

        return await self._reached(write)

    async def _write(self, claim: Claim, wanted: Standing) -> Answer:
        def write() -> Answer:
            self.writes += 1
            done = standing(self.line, claim) is wanted
            if done:
                start = claim.earliest if wanted is Standing.BEHIND else self.line.until
                self.line = handed_out(self.line, claim, start)
            return Answer(done=done, line=self.line)

        return await self._reached(write)

    async def _reached(self, act: Callable[[], Answer]) -> Answer:
        half = self._latency() / 2
        await asyncio.sleep(half)
        now = asyncio.get_running_loop().time()
        if self._outage and self._outage[0] <= now < self._outage[1]:
            raise ServiceUnavailable("DynamoDB (State) UpdateItem answered ThrottlingException")
        answer = act()
        date = int(BEGIN.timestamp() + now)
        await asyncio.sleep(half)
        return msgspec.structs.replace(answer, date=date)

    def _latency(self) -> float:
        """Seconds there and back: 5 ms mostly, four times as much for one in a hundred."""
        return 0.020 if self._random.random() < 0.01 else self._random.uniform(0.003, 0.007)


class SimulatedSes:
    """An SES account that counts by calendar seconds and by sliding ones; a send must pass both.

    The calendar's seconds begin at SES's own tick, which is nobody else's.
    """

    def __init__(self, rate: float, random_: random.Random) -> None:
        self._random = random_
        self._windows: dict[_Window, Usage] = {
            window: Usage(Account(max_send_rate=rate, daily_quota=-1, window=window), self._now)
            for window in _WINDOWS
        }
        self.throttles: dict[_Window, int] = dict.fromkeys(_WINDOWS, 0)
        self._asked_at = -1.0
        self.throttled_at: list[float] = []
        self.accepted: list[tuple[float, int]] = []

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())

    def set_rate(self, rate: float) -> None:
        for usage in self._windows.values():
            usage.account = msgspec.structs.replace(usage.account, max_send_rate=rate)

    async def get_account(self) -> dict[str, dict[str, float]]:
        """Once a second for the whole account, as SES does."""
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        if now < self._asked_at + 1:
            raise ConnectionError("SES answered TooManyRequestsException to GetAccount")
        self._asked_at = now
        return {"SendQuota": {"MaxSendRate": self._windows["sliding"].account.max_send_rate}}

    async def send(self, recipients: int) -> bool:
        """Whether SES takes it. The way there takes 8 ms, give or take."""
        await asyncio.sleep(self._random.uniform(0.004, 0.012))
        refusing = [name for name, usage in self._windows.items() if usage.refusal(recipients)]
        for name in refusing:
            self.throttles[name] += 1
        now = asyncio.get_running_loop().time()
        if refusing:
            self.throttled_at.append(now)
            return False
        for usage in self._windows.values():
            usage.take(recipients, counts_for_day=0)
        self.accepted.append((now, recipients))
        return True


@dataclass
class Silence:
    """Implements `Telemetry`."""

    names: list[str] = field(default_factory=list)

    def record(self, name: str, **_: str | float) -> None:
        self.names.append(name)


def environment(
    table: SimulatedTable, ses: SimulatedSes, *, configured: float, skew: float, share: float, seed: int
) -> SharedRateGate:
    """The gate of one environment, whose clock is `skew` seconds ahead."""

    def clock() -> float:
        return BEGIN.timestamp() + asyncio.get_running_loop().time() + skew

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    account: object = ses  # it answers GetAccount, which is all that SendRate asks
    return SharedRateGate(
        SharedLine(table, clock),
        SendRate(account, configured, clock),  # type: ignore[arg-type]  # the one call of the client that it makes
        Silence(),
        bulk_share=share,
        sleep=sleep,
        vary=random.Random(seed).uniform,  # noqa: S311 - dice, and the same ones every time
    )
