"""What the fakes of ports are made of: time that tests pass, and a process that can be killed at every await.

Each effect awaits `on_await("<port>.<method>:before")` and `...:after"`. A hook that raises `Killed` there is
a process that dies at that very point: what was done stays done, what comes after never happens.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.errors import ServiceUnavailable

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Hook = Callable[[str], Awaitable[None]]


class Killed(BaseException):
    """The process ends here; not an Exception, so that no handler may swallow it."""


@dataclass
class KillSwitch:
    """A hook that ends the process at the n-th await point (counted from 0), and lists the points it saw.

    Dead is dead: whatever else the process had under way reaches no further point either.
    """

    at: int | None = None
    seen: list[str] = field(default_factory=list)

    async def __call__(self, point: str) -> None:
        self.seen.append(point)
        if self.at is not None and len(self.seen) > self.at:
            raise Killed(point)
        await asyncio.sleep(0)  # as at a real await, others that are under way have their turn


@dataclass
class FakeClock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeSleep:
    """Passes the time without waiting, where it is given the clock."""

    clock: FakeClock | None = None
    naps: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.clock:
            self.clock.advance(seconds)


@dataclass(kw_only=True)
class Port:
    """What all fakes share. `fail_next` names methods whose next call finds the service away."""

    on_await: Hook | None = None
    fail_next: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def effect(self, name: str) -> AsyncIterator[None]:
        await self._reach(f"{name}:before")
        method = name.partition(".")[2]
        if method in self.fail_next:
            self.fail_next.remove(method)
            raise ServiceUnavailable(f"{name} is down")
        yield
        await self._reach(f"{name}:after")

    async def _reach(self, point: str) -> None:
        if self.on_await:
            await self.on_await(point)
