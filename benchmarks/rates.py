"""How much of the SES rate is used, and which concurrency, batch size and memory a rate needs.

The first by the engine's own gate in virtual time (`benchmarks.gate`), the second by Little's law from the
invocations of the latency section.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.gate.simulate import CellResult, matrix, play
from benchmarks.latency import SIZES, bulk
from benchmarks.report import Measure, Plot, ResultTable, Section
from benchmarks.run import ENGINE, Run, Samples
from engine.operations.capacity import environments

RATES: Final = (14, 50, 200, 500, 1_000)
MEMORIES: Final = (256, 512, 1024, 1769)
STEADY, CAMPAIGN = "steady", "campaign"
_HEADROOM: Final = 1.25  # of the memory measured; an environment that runs out of it loses its invocation


class Advice(NamedTuple):
    """What to set for a rate: the stack's bulkConcurrency, bulkBatchSize and senderMemory (MB)."""

    concurrency: int
    batch: int
    memory: int
    emails_a_second: float  # that these environments could send


def advise(rate: float, batches: Mapping[int, Samples]) -> Advice:
    """The cheapest setting, by memory times concurrency, and of these the largest batch."""
    choices = []
    for batch, samples in batches.items():
        for memory in [one for one in MEMORIES if one >= samples.resident * _HEADROOM] or MEMORIES[-1:]:
            seconds = samples.seconds_at(memory)
            busy = environments(rate, batch, seconds)
            choices.append(Advice(busy, batch, memory, busy * batch / seconds))
    return min(choices, key=lambda choice: (choice.memory * choice.concurrency, -choice.batch))


async def measure(run: Run) -> Section:
    cells = [cell for cell in matrix() if cell.name in {STEADY, CAMPAIGN}]
    if run.effort < 1:  # a glance: the two ends of the steady ones, and no campaign
        cells = [cells[0], cells[-2]]
    results = []
    for number, cell in enumerate(cells):
        run.show(f"{cell.rate:g}/s, {cell.environments} environments", number / len(cells))
        # In a thread of its own: virtual time needs a loop of its own.
        results.append(await asyncio.to_thread(play, cell))
    return section(results, {size: run.samples[bulk(size)][ENGINE] for size in SIZES})


def section(results: Sequence[CellResult], batches: Mapping[int, Samples]) -> Section:
    """`batches`: invocations by their size."""
    used = [result.used for result in results if result.cell.name == STEADY]
    wait = max(result.transactional_p99 for result in results) * 1000
    throttles, lost = (
        sum(getattr(result, what) for result in results) for what in ("steady_throttles", "lost")
    )
    accounts = f"{len(used)} simulated accounts of {RATES[0]} to {RATES[-1]:,}/s, 1 to 50 environments"
    return Section(
        name="rates",
        measures=[
            Measure(name="least share of the rate", value=min(used) * 100, unit="%", more_is_better=True),
            Measure(name="transactional wait, worst p99", value=wait, unit="ms", noise=0.2),
        ],
        summary=[
            ("share of the SES rate used", f"{min(used):.1%} to {max(used):.1%}", accounts),
            ("throttles in steady state, emails lost", f"{throttles}, {lost}", "as above"),
            ("wait of transactional mail beside bulk mail, worst p99", f"{wait:.0f} ms", "as above"),
        ],
        tables=[_gate(results), _advice(batches)],
        plots=[
            Plot(
                title="Throughput against concurrency, 512 MB (before the gate holds it to the rate)",
                kind="lines",
                x_title="environments",
                y_title="emails a second",
                series={
                    f"batch of {size}": [(float(n), n * size / one.seconds_at(512)) for n in range(1, 21)]
                    for size, one in batches.items()
                },
            )
        ],
    )


def _gate(results: Sequence[CellResult]) -> ResultTable:
    return ResultTable(
        title="One rate, many environments (the engine's own gate in virtual time)",
        columns=["", "SES rate", "environments", "rate used", "wait p99", "throttles", "lost"],
        rows=[
            [
                result.cell.name,
                f"{result.cell.rate:g}/s",
                str(result.cell.environments),
                f"{result.used:.1%}",
                f"{result.transactional_p99 * 1000:.0f} ms",
                str(result.steady_throttles),
                str(result.lost),
            ]
            for result in results
        ],
        note="Wait: of transactional mail at the gate, beside bulk mail.",
    )


def _advice(batches: Mapping[int, Samples]) -> ResultTable:
    rows = []
    for rate in RATES:
        one = advise(rate, batches)
        batch, memory = str(one.batch), f"{one.memory} MB"
        rows.append([f"{rate}/s", str(one.concurrency), batch, memory, f"{one.emails_a_second:.0f}/s"])
    return ResultTable(
        title="What to set for a rate",
        columns=["SES rate", "bulkConcurrency", "bulkBatchSize", "senderMemory", "could send"],
        rows=rows,
    )
