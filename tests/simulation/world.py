"""What everything in one history shares: virtual time, dice, work under way, and what was seen."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from tests.simulation.plan import Plan
from tests.simulation.stalls import OUTSIDE

TOPICS: Final = ("news", "offers")
BEGIN: Final = datetime(2026, 11, 24, 8, 0, 0, 370_000, tzinfo=UTC)


class Fact(NamedTuple):
    """Something that happened, at a loop time, to an email (its id) or to none."""

    at: float
    email_id: str
    what: str


class Violation(NamedTuple):
    """An invariant that did not hold, where it was seen first."""

    invariant: str
    email_id: str
    what: str


@dataclass
class World:
    """`pending` counts what is still under way anywhere; at zero the history is over.

    `group` holds all that runs by itself; what breaks in it breaks the history.
    """

    plan: Plan
    dice: random.Random
    group: asyncio.TaskGroup
    facts: list[Fact] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    usage: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: int = 0
    remembers: bool = True  # facts; a long history keeps none
    outages: list[tuple[str, float, float]] = field(init=False)  # service, and from when to when

    def __post_init__(self) -> None:
        self.outages = []
        services = (
            "dynamodb",
            "events",
            "s3",
            "sqs",
            "sesv2",
            *(["scheduler"] if self.plan.scheduled else []),
        )
        for _ in range(self.plan.outages):
            begin = self.dice.uniform(0, self.plan.seconds)
            service = self.dice.choice(services)
            self.outages.append((service, begin, begin + self.dice.uniform(1, 600)))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def time(self) -> float:
        """Loop time, in seconds since the history began."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.time())

    def number(self) -> int:
        """Another one every time."""
        self._numbers += 1
        return self._numbers

    def is_out(self, service: str) -> bool:
        """Whether the service throttles everything just now."""
        return any(name == service and begin < self.time() < end for name, begin, end in self.outages)

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.dice.random() < probability

    def log(self, email_id: str, what: str) -> None:
        if self.remembers:
            self.facts.append(Fact(self.time(), email_id, what))

    def violate(self, invariant: str, email_id: str, what: str) -> None:
        self.log(email_id, f"VIOLATION of {invariant!r}: {what}")
        self.violations.append(Violation(invariant, email_id, what))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.group.create_task(work, context=OUTSIDE.copy())

    def begin(self) -> None:
        self.pending += 1
        self._quiet.clear()

    def end(self) -> None:
        self.pending -= 1
        if not self.pending:
            self._quiet.set()

    def later(self, seconds: float, do: Callable[..., None], *arguments: Any) -> None:
        """Do it after so long; until then it is under way."""
        self.begin()

        def run() -> None:
            do(*arguments)
            self.end()

        self.loop.call_later(seconds, run, context=OUTSIDE)

    async def quiet(self) -> None:
        """Wait until nothing is under way any more."""
        if self.pending:
            await self._quiet.wait()
