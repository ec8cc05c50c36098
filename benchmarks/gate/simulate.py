"""How much of the SES rate the gate uses, and what mail waits for it: many environments in virtual time.

`play()` answers the same for the same cell, as its seed decides.
"""

import asyncio
import itertools
import math
import random
import statistics
from typing import Final

from msgspec import Struct

from benchmarks.gate.fake_aws import SimulatedSes, SimulatedTable, environment
from benchmarks.gate.virtual_time import run_virtually
from engine.errors import ServiceUnavailable
from engine.rate.gate import SharedRateGate
from engine.schemas.request import Lane

RATES: Final = (14, 50, 200, 500, 1000)
ENVIRONMENTS: Final = (1, 4, 14, 50)
INVOCATION: Final = 25.0  # seconds that an email may wait for its slot
LAST_CHANCE: Final = 120.0  # seconds after the end; what was not sent by then is lost
SKEW: Final = 0.002  # clocks are off by up to so much, either way


class Cell(Struct, frozen=True, kw_only=True):
    """One simulated account. Seconds unless said otherwise; rates in recipients a second."""

    name: str
    rate: float
    environments: int
    seconds: float = 20.0  # of a backlog that never ends; ignored where `bulk` says how many emails there are
    warm_up: float = 3.0  # not counted as steady state
    bulk: int | None = None
    transactional: float = 0.05  # part of the rate, arriving at random
    copies: float = 0.0  # part of the emails that go to three recipients
    configured: float | None = None  # SES_MAX_SEND_RATE; the true rate if not given, 0 for asking SES
    refused: float = 0.0  # part of the calls that SES throttles for reasons of its own
    others: float = 0.0  # part of the rate that another system takes
    outage: tuple[float, float] = (0, 0)  # the State table throttles, from and to
    seed: int = 1


class CellResult(Struct, frozen=True, kw_only=True):
    """`used`: part of the rate in steady state; `bulk_used`: by bulk mail.

    Waits are in seconds, from asking the gate to the send.
    """

    cell: Cell
    used: float
    bulk_used: float
    throttles: int
    steady_throttles: int
    sent: int
    lost: int
    held: int
    transactional_p50: float
    transactional_p99: float
    bulk_max: float
    writes_per_email: float
    writes_per_environment_second: float
    seconds: float


class _Play:
    """One cell at work."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.chance = chance = random.Random(cell.seed)  # noqa: S311 - dice, and the same ones every time
        self.table = SimulatedTable(chance, cell.outage)
        self.ses = SimulatedSes(cell.rate, chance, cell.refused)
        self.gates = [
            environment(
                self.table,
                self.ses,
                configured=cell.rate if cell.configured is None else cell.configured,
                skew=chance.uniform(-SKEW, SKEW),
                seed=chance.randrange(1 << 30),
            )
            for _ in range(cell.environments)
        ]
        self.backlog = math.inf if cell.bulk is None else cell.bulk
        self.asked = self.sent = self.held = 0
        self.waits: dict[Lane, list[float]] = {lane: [] for lane in Lane}
        self.bulk_sent: list[tuple[float, int]] = []
        self.over = False
        self.ended = math.inf

    async def run(self) -> CellResult:
        # As many emails at work as two seconds of the rate: the gate is measured, not a lack of mail.
        at_work = max(2, math.ceil(2 * self.cell.rate / self.cell.environments))
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(self._bulk_worker(gate)) for gate in self.gates for _ in range(at_work)
            ]
            arrivals = group.create_task(self._transactional_arrivals(group))
            others = group.create_task(self._others())
            if not self.cell.bulk:
                await asyncio.sleep(self.cell.seconds)
                self.over = True
            await asyncio.wait(workers)
            self.over = True
            self.ended = asyncio.get_running_loop().time()
            await asyncio.wait((arrivals, others))
        return self._result(asyncio.get_running_loop().time())

    async def _bulk_worker(self, gate: SharedRateGate) -> None:
        while self.backlog > 0 and not self.over:
            self.backlog -= 1
            await self._deliver(gate, Lane.BULK)

    async def _transactional_arrivals(self, group: asyncio.TaskGroup) -> None:
        a_second = self.cell.rate * self.cell.transactional
        while a_second and not self.over:
            await asyncio.sleep(self.chance.expovariate(a_second))
            group.create_task(self._deliver(self.chance.choice(self.gates), Lane.TRANSACTIONAL))

    async def _others(self) -> None:
        while self.cell.others and not self.over:
            await asyncio.sleep(1 / (self.cell.others * self.cell.rate))
            self.ses.take_for_others()

    async def _deliver(self, gate: SharedRateGate, lane: Lane) -> None:
        """One email until SES has it; what is deferred or throttled comes again, as from its queue."""
        self.asked += 1
        recipients = 3 if self.chance.random() < self.cell.copies else 1
        while not await self._try(gate, lane, recipients):
            await asyncio.sleep(self.chance.uniform(1, 3))
            if asyncio.get_running_loop().time() > self.ended + LAST_CHANCE:
                return
        self.sent += 1

    async def _try(self, gate: SharedRateGate, lane: Lane, recipients: int) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            wait = await gate.reserve(recipients, lane, INVOCATION)
        except ServiceUnavailable:
            wait = INVOCATION
        if wait > INVOCATION - (loop.time() - began):
            self.held += 1
            return False
        await asyncio.sleep(wait)
        self.waits[lane].append(loop.time() - began)
        if not await self.ses.send(recipients):
            await gate.throttled()
            return False
        if lane is Lane.BULK:
            self.bulk_sent.append((loop.time(), recipients))
        return True

    def _result(self, end: float) -> CellResult:
        cell = self.cell
        # What was under way at the end is sent as well, but that is no steady state any more.
        until = min(cell.seconds if not cell.bulk else math.inf, self.ended, end) - 1.0
        rate = (until - cell.warm_up) * cell.rate

        def part(sends: list[tuple[float, int]]) -> float:
            return sum(n for at, n in sends if cell.warm_up <= at < until) / rate

        waits = self.waits[Lane.TRANSACTIONAL]
        percentiles = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
        return CellResult(
            cell=cell,
            used=part(self.ses.accepted),
            bulk_used=part(self.bulk_sent),
            throttles=len(self.ses.throttled),
            steady_throttles=sum(at >= cell.warm_up for at in self.ses.throttled),
            sent=self.sent,
            lost=self.asked - self.sent,
            held=self.held,
            transactional_p50=percentiles[49],
            transactional_p99=percentiles[98],
            bulk_max=max(self.waits[Lane.BULK], default=0.0),
            writes_per_email=self.table.writes / max(1, self.sent),
            writes_per_environment_second=self.table.writes / cell.environments / end,
            seconds=end,
        )


def matrix() -> tuple[Cell, ...]:
    """Every rate by every number of environments, and the troubles beside it."""
    steady = (
        Cell(name="steady", rate=rate, environments=environments, seconds=60 if rate < 100 else 20)
        for rate, environments in itertools.product(RATES, ENVIRONMENTS)
    )
    return (
        *steady,
        Cell(name="copies", rate=50, environments=4, copies=0.1, seconds=60),
        Cell(name="GetAccount", rate=200, environments=14, configured=0),
        Cell(name="twice too high", rate=50, environments=14, configured=100, seconds=90, warm_up=30),
        Cell(name="1 % refused", rate=50, environments=14, refused=0.01, seconds=300, warm_up=100),
        Cell(name="5 % refused", rate=50, environments=14, refused=0.05, seconds=300, warm_up=100),
        Cell(name="half is taken", rate=50, environments=14, others=0.5, seconds=300, warm_up=100),
        Cell(name="busy", rate=50, environments=14, transactional=0.5, seconds=60),
        Cell(name="flood", rate=50, environments=14, transactional=1.2, seconds=60),
        Cell(name="no bulk", rate=50, environments=14, transactional=0.9, bulk=0, seconds=60),
        Cell(name="outage", rate=50, environments=14, outage=(20, 30), seconds=60),
        Cell(name="campaign", rate=1000, environments=14, bulk=100_000, transactional=0.1),
    )


def play(cell: Cell) -> CellResult:
    return run_virtually(_Play(cell).run())
