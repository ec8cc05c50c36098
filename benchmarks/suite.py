"""The sections in their order, and one run of some of them."""

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks import cold, cost, cpu, decoding, growth, latency, rates
from benchmarks.bundle import ROOT, link_runtime_client, unpack_bundle
from benchmarks.fake_aws.latencies import IN_REGION, Latencies
from benchmarks.report import BenchmarkReport
from benchmarks.run import ENGINE, MeasureSection, Run

SECTIONS: Final[Mapping[str, MeasureSection]] = {
    "latency": latency.measure,
    "cpu": cpu.measure,
    "cold": cold.measure,
    "growth": growth.measure,
    "decoding": decoding.measure,
    "rates": rates.measure,
    "cost": cost.measure,
}
# Those that take their numbers from the latency section's invocations.
_NEED_LATENCY: Final = {"cpu", "rates", "cost"}
_NEED_NO_FUNCTION: Final = {"decoding"}


def chosen(only: Sequence[str]) -> list[str]:
    """The sections asked for and what they need, in the order of the suite."""
    wanted = {*only, *({"latency"} if _NEED_LATENCY & {*only} else ())}
    return [name for name in SECTIONS if name in wanted]


async def run_suite(
    only: Sequence[str],
    show: Callable[[str, str, float], None],
    *,
    latencies: Latencies = IN_REGION,
    beside: Sequence[Path] = (),
    effort: float = 1.0,
) -> BenchmarkReport:
    """Measure this checkout, and the engines of others `beside` it.

    `show`: tells a person the section, its step, and which part of it is done. Raises BundleError when a
    checkout's zip can't be built, FunctionError when a function fails.
    """
    load = os.getloadavg()[0]
    sections = chosen(only)
    found = []
    current = sections[0]
    with tempfile.TemporaryDirectory() as scratch:
        engines = {}
        if {*sections} - _NEED_NO_FUNCTION:
            show(current, "building the zips", 0)
            engines = _engines(beside, Path(scratch))
        run = Run(latencies, engines, lambda step, done: show(current, step, done), effort)
        for current in sections:
            began = time.perf_counter()
            section = await SECTIONS[current](run)
            found.append(replace(section, seconds=time.perf_counter() - began))
            show(current, "done", 1.0)
    return BenchmarkReport(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("sesmailengine"),
        commit=_commit(),
        profile=latencies.name,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, load {load:.1f} before and {os.getloadavg()[0]:.1f} after",
        sections=found,
    )


def _engines(beside: Sequence[Path], scratch: Path) -> dict[str, tuple[Path, ...]]:
    runtime = link_runtime_client(scratch / "runtime")
    checkouts = {ENGINE: ROOT} | {f"{ENGINE} of {path.resolve().name}": path.resolve() for path in beside}
    return {
        name: (unpack_bundle(checkout, scratch / f"bundle-{number}"), runtime)
        for number, (name, checkout) in enumerate(checkouts.items())
    }


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - git is where the person has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"
