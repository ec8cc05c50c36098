"""The sections in their order, and one run of some of them."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from msgspec.structs import replace

from benchmarks import cold, cost, cpu, decoding, growth, latency, rates, sharing
from benchmarks.fake_aws.function import ROOT
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import Report
from benchmarks.run import Measuring, Run, machine

SECTIONS: Final[dict[str, Measuring]] = {
    "decoding": decoding.measure,
    "growth": growth.measure,
    "cold": cold.measure,
    "latency": latency.measure,
    "cpu": cpu.measure,
    "rates": rates.measure,
    "sharing": sharing.measure,
    "cost": cost.measure,
}
# What a section takes its numbers from.
NEEDS: Final = {"rates": ("latency", "cpu"), "cost": ("latency", "cpu")}


def chosen(only: Sequence[str]) -> list[str]:
    """The sections asked for and those they need, in the order of the suite."""
    wanted = {*only, *(need for name in only for need in NEEDS.get(name, ()))}
    return [name for name in SECTIONS if name in wanted]


async def take(
    latencies: Latencies,
    only: Sequence[str],
    tell: Callable[[str, str, float], None],
    *,
    effort: float = 1.0,
    long: bool = False,
) -> Report:
    """Run the sections. `tell`: section, step, and which part of the section is done."""
    load = os.getloadavg()[0]
    current = ""
    run = Run(latencies, lambda step, part: tell(current, step, part), effort, long)
    for current in chosen(only):
        run.take_pace()
        began = time.perf_counter()
        section = await SECTIONS[current](run)
        run.sections[current] = replace(section, seconds=time.perf_counter() - began)
        tell(current, "done", 1.0)
    return Report(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("sesmailengine"),
        commit=_commit(),
        profile=latencies.name,
        machine=machine(run, load),
        sections=list(run.sections.values()),
    )


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - git is where the person has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
