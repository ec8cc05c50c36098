"""The gate's own promises: one account's rate shared by 1 to 50 environments, in virtual time."""

import asyncio
from collections.abc import Sequence
from typing import Final

from benchmarks.gate.simulate import CellResult, matrix, play
from benchmarks.rates import LEAST_USED
from benchmarks.report import Measure, Section, Table, Target
from benchmarks.run import Run

STEADY: Final = "steady"
CAMPAIGN: Final = "campaign"
_LONGEST_WAIT: Final = 1000.0  # milliseconds of transactional mail beside a campaign


async def measure(run: Run) -> Section:
    cells = [cell for cell in matrix() if cell.name in {STEADY, CAMPAIGN}]
    if run.effort < 1:  # a glance: the two ends of the steady ones, and no campaign
        cells = [cells[0], cells[-2]]
    results = []
    for number, cell in enumerate(cells):
        run.tell(f"{cell.rate:g}/s, {cell.environments} environments", number / len(cells))
        # In a thread of its own: virtual time needs a loop of its own.
        results.append(await asyncio.to_thread(play, cell))
    return section(results)


def section(results: Sequence[CellResult]) -> Section:
    """The least and the worst of all cells as targets, and every cell as a row."""
    steady = [result for result in results if result.cell.name == STEADY]
    used = min(result.used for result in steady) * 100
    wait = max(result.transactional_p99 for result in results) * 1000
    of = f"of {len(steady)} simulated accounts, 1 to 50 environments"
    targets = [
        Target(
            name="gate: least part of the rate used", value=used, unit="%", at_least=LEAST_USED * 100, note=of
        ),
        Target(
            name="gate: throttles in steady state",
            value=sum(result.steady_throttles for result in results),
            unit="sends",
            at_most=0,
        ),
        Target(
            name="gate: emails lost", value=sum(result.lost for result in results), unit="emails", at_most=0
        ),
        Target(
            name="gate: transactional wait, worst p99",
            value=wait,
            unit="ms",
            at_most=_LONGEST_WAIT,
            note="also while a campaign of 100,000 drains" if len(results) > len(steady) else "",
        ),
    ]
    measures = [
        Measure(
            section="sharing",
            name="least part of the rate used",
            value=used,
            unit="%",
            noise=0.01,
            more_is_better=True,
        ),
        Measure(section="sharing", name="transactional wait, worst p99", value=wait, unit="ms", noise=0.2),
    ]
    table = Table(
        title="One rate, many environments (virtual time, the engine's own gate)",
        columns=["", "SES rate", "environments", "rate used", "wait p99", "throttles", "lost"],
        rows=[_row(result) for result in results],
        note="python -m benchmarks.gate plays troubles as well: clocks that differ, outages, floods.",
    )
    return Section(name="sharing", measures=measures, targets=targets, tables=[table])


def _row(result: CellResult) -> list[str]:
    return [
        result.cell.name,
        f"{result.cell.rate:g}/s",
        str(result.cell.environments),
        f"{result.used:.1%}",
        f"{result.transactional_p99 * 1000:.0f} ms",
        str(result.steady_throttles),
        str(result.lost),
    ]
