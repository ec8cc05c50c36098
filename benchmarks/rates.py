"""Concurrency, batch size and memory for a rate: by Little's law, confirmed by simulating the gate."""

import asyncio
import math
from typing import Final

import msgspec

from benchmarks.cpu import BATCH, BULK
from benchmarks.gate.simulate import Cell, CellResult, play
from benchmarks.latency import ENGINE
from benchmarks.report import Measure, Plot, Section, Table, Target
from benchmarks.run import Run

TIERS: Final = (14, 50, 200, 500, 1_000)
SIZES: Final = (1, 10, 100)
MEMORIES: Final = (256, 512, 1024, 1769)
LEAST_USED: Final = 0.97
# A function has one full core at 1,769 MB, and a part of it below:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEMORY_OF_A_CORE: Final = 1769
_HEADROOM: Final = 1.25  # of the memory measured; an environment that runs out of it loses its invocation
_LEAST_CONCURRENCY: Final = 2  # SQS triggers have no smaller MaximumConcurrency
_SIMULATED: Final = 20.0  # seconds of virtual time
_SLOW: Final = 60.0  # at small rates, where a second holds few emails


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation of `batch` emails: seconds in all, and of CPU (a full core of this machine)."""

    batch: int
    wall: float
    cpu: float

    def seconds(self, memory: int) -> float:
        """What it takes with this memory (MB): waiting stays, CPU stretches with the part of a core."""
        return self.wall - self.cpu + self.cpu * max(1.0, MEMORY_OF_A_CORE / memory)

    def rate(self, memory: int) -> float:
        """Emails a second of one environment."""
        return self.batch / self.seconds(memory)

    def concurrency(self, rate: float, memory: int) -> int:
        """Environments that keep a rate: by Little's law as many as invocations are under way at a time."""
        return max(_LEAST_CONCURRENCY, math.ceil(rate / self.batch * self.seconds(memory)))


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to set for a rate. `headroom`: what the environments could send, by the rate."""

    rate: float
    batch: int
    memory: int
    concurrency: int
    headroom: float


def advise(rate: float, loads: list[Load], resident: float) -> Advice:
    """The cheapest setting, by memory times concurrency; `resident`: megabytes that an environment uses."""
    memories = [memory for memory in MEMORIES if memory >= resident * _HEADROOM] or [MEMORIES[-1]]
    choices = []
    for load in loads:
        for memory in memories:
            concurrency = load.concurrency(rate, memory)
            choices.append((memory * concurrency, -load.batch, load, memory, concurrency))
    _, _, load, memory, concurrency = min(choices, key=lambda choice: choice[:2])
    return Advice(
        rate=rate,
        batch=load.batch,
        memory=memory,
        concurrency=concurrency,
        headroom=concurrency * load.rate(memory) / rate,
    )


def loads(run: Run) -> tuple[list[Load], float]:
    """From what the other sections measured: the bulk lane at each size, and the memory of an environment."""
    latency = {one.name: one.value for one in run.sections["latency"].measures}
    cpu = {one.name: one.value for one in run.sections["cpu"].measures}
    per_email = cpu[f"{BULK}, CPU per email"] / 1000
    # Of a small batch each email takes more: the calls that a batch shares. Taken from the direct lane's.
    single = cpu["one email, CPU"] / 1000
    found = [
        Load(
            batch=size,
            wall=latency[f"bulk, batch of {size} · {ENGINE} p50"] / 1000,
            cpu=single + (size - 1) * per_email,
        )
        for size in SIZES
    ]
    return found, cpu["memory at the end"]


async def measure(run: Run) -> Section:
    found, resident = loads(run)
    rows, measures, targets = [], [], []
    for number, rate in enumerate(TIERS):
        run.tell(f"{rate}/s in virtual time", number / len(TIERS))
        advice = advise(rate, found, resident)
        # In a thread of its own: virtual time needs a loop of its own.
        result = await asyncio.to_thread(
            play,
            Cell(
                name=f"{rate}/s",
                rate=rate,
                environments=advice.concurrency,
                seconds=_SIMULATED if rate >= 100 else _SLOW,
            ),
        )
        passed = (
            result.used >= LEAST_USED
            and not result.steady_throttles
            and not result.lost
            and advice.headroom >= 1
        )
        rows.append(_row(advice, result, passed=passed))
        measures.append(
            Measure(
                section="rates", name=f"{rate}/s, concurrency", value=advice.concurrency, unit="x", noise=0.2
            )
        )
        targets.append(
            Target(
                name=f"{rate}/s: part of the rate used",
                value=result.used * 100,
                unit="%",
                at_least=LEAST_USED * 100,
                note=f"{result.steady_throttles} throttles, {result.lost} lost in virtual time",
            )
        )
    return Section(
        name="rates",
        measures=measures,
        targets=targets,
        tables=[_capacity(found), _advice(rows)],
        plots=[_plot(found)],
    )


def _row(advice: Advice, result: CellResult, *, passed: bool) -> list[str]:
    return [
        f"{advice.rate:g}/s",
        str(advice.concurrency),
        str(advice.batch),
        f"{advice.memory} MB",
        f"{advice.headroom:.1f}",
        f"{result.used:.1%}",
        f"{result.transactional_p99 * 1000:.0f} ms",
        str(result.steady_throttles),
        "pass" if passed else "FAIL",
    ]


def _advice(rows: list[list[str]]) -> Table:
    columns = [
        "SES rate",
        "concurrency",
        "batch",
        "memory",
        "headroom",
        "rate used",
        "wait p99",
        "throttles",
        "",
    ]
    return Table(
        title="What to set for a rate",
        columns=columns,
        rows=rows,
        note="bulkConcurrency, bulkBatchSize and senderMemory of the stack. Headroom: what they could send,"
        " by the rate. Wait: of transactional mail at the gate, beside a campaign that never ends.",
    )


def _capacity(found: list[Load]) -> Table:
    rows = [
        [f"batch of {load.batch}", *(f"{load.rate(memory):.0f}" for memory in MEMORIES)] for load in found
    ]
    columns = ["", *(f"{memory} MB" for memory in MEMORIES)]
    return Table(title="Emails a second of one environment", columns=columns, rows=rows)


def _plot(found: list[Load]) -> Plot:
    most = 20
    series = {
        f"batch of {load.batch}, 512 MB": [
            (float(number), number * load.rate(512)) for number in range(1, most + 1)
        ]
        for load in found
    }
    return Plot(
        title="Throughput against concurrency (before the gate holds it to the account's rate)",
        kind="lines",
        x_title="environments",
        y_title="emails a second",
        series=series,
    )


assert BATCH in SIZES  # noqa: S101 - the CPU of a batch is measured at the largest of these
