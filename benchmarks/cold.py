"""Cold starts, split into their parts; the first invocation of a restored snapshot; imports by module.

And what of a cold start is not the engine's to change: the imports of the libraries that the project is built
on, which any handler of aioboto3 has, and the answers of AWS that wait for one another.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import psutil

from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import Cloud, running_cloud
from benchmarks.fake_aws.cores import on_any_core
from benchmarks.fake_aws.function import ROOT, FunctionError, running
from benchmarks.fake_aws.phases import KINDS
from benchmarks.latency import ENGINE, HANDLERS, cold_floor
from benchmarks.report import Measure, Section, Table, Target, noise
from benchmarks.run import Run

NAIVE: Final = "naive aioboto3"
PHASES: Final = ("interpreter", "imports", "clients", "first")
# The pinned libraries in the order in which they need each other, and the module whose import brings them.
LIBRARIES: Final = {
    "asyncio, and what else of Python": "asyncio",
    "aiohttp": "aiohttp",
    "aiobotocore, botocore, urllib3": "aiobotocore.session",
    "aioboto3, boto3": "aioboto3",
    "Jinja": "jinja2.sandbox",
    "msgspec": "msgspec",
    "Powertools": "aws_lambda_powertools",
}
_STARTS: Final = 9
_RESTORES: Final = 6
_WARM: Final = 20
_IMPORT_RUNS: Final = 5
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)")
_SHOWN: Final = 15

Spans = dict[str, list[float]]


async def measure(run: Run) -> Section:
    async with running_cloud(run.latencies) as cloud:
        starts, libraries = await _starts(run, cloud)
        run.tell("restored snapshots", 0.6)
        restored, warm = await _restores(run, cloud)
    run.tell("imports by module", 0.9)
    modules = await _imports(run.times(_IMPORT_RUNS, 1))
    run.take_pace()
    waits = cold_floor(run.latencies)
    return section(starts, libraries, waits=waits, restored=restored, warm=warm, modules=modules)


async def _starts(run: Run, cloud: Cloud) -> tuple[dict[str, Spans], Spans]:
    """In turns: starts of each kind, and imports of the libraries alone."""
    libraries: Spans = {name: [] for name in LIBRARIES}
    found: dict[str, Spans] = {kind: {phase: [] for phase in PHASES} for kind in KINDS}
    turns = run.times(_STARTS)
    for turn in range(-1, turns):  # the first only fills the disk's cache
        run.tell("cold starts", 0.6 * (turn + 1) / (turns + 1))
        for kind in KINDS:
            spans = await _start(kind, cloud.variables)
            if turn >= 0:
                for phase in PHASES:
                    found[kind][phase].append(spans[phase])
        if turn >= 0:
            for name, took in zip(LIBRARIES, await _libraries(cloud.variables), strict=True):
                libraries[name].append(took)
    return found, libraries


async def _libraries(variables: Mapping[str, str]) -> list[float]:
    said = await _said("benchmarks.fake_aws.imports", *LIBRARIES.values(), variables=variables)
    return msgspec.json.decode(said, type=list[float])


async def _start(kind: str, variables: Mapping[str, str]) -> dict[str, float]:
    asked = msgspec.json.encode(events.request())
    said = await _said(
        "benchmarks.fake_aws.phases", kind, str(time.time_ns()), variables=variables, asked=asked
    )
    return msgspec.json.decode(said, type=dict[str, float])


async def _said(module: str, *arguments: str, variables: Mapping[str, str], asked: bytes = b"") -> bytes:
    """The last line that a module says as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=ROOT,
        env=dict(variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    on_any_core(psutil.Process(process.pid))  # it is the same for all kinds, and none calls much
    said, complaint = await process.communicate(asked)
    if process.returncode:
        raise FunctionError(f"{module} did not start\n{complaint.decode(errors='replace')[-4000:]}")
    return said.strip().rpartition(b"\n")[2]


async def _restores(run: Run, cloud: Cloud) -> tuple[list[float], list[float]]:
    """First and later invocations, with everything imported and made before, and no socket open."""
    variables = {**cloud.variables, "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    first: list[float] = []
    warm: list[float] = []
    for _ in range(run.times(_RESTORES)):
        async with running(HANDLERS[ENGINE], variables) as function:
            function.restored.set()
            first.append((await function.invoke(events.request())).seconds)
            for _ in range(2):
                await function.invoke(events.request())
            warm += [(await function.invoke(events.request())).seconds for _ in range(_WARM)]
    return first, warm


async def _imports(runs: int) -> Counter[str]:
    """Microseconds of each module alone, the least of some runs: noise only ever adds."""
    best: dict[str, int] = {}
    for _ in range(runs):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "importtime", "-c", "import engine.handlers.email_sender",
            cwd=ROOT,
            env={"PYTHONPATH": "src", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "PATH": "/usr/bin:/bin"},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        for took, module in _LINE.findall(said.decode()):
            best[module] = min(best.get(module, 1 << 60), int(took))
    return Counter(best)


def by_package(modules: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for module, took in modules.items():
        found[module.partition(".")[0]] += took
    return found


def section(
    starts: dict[str, Spans],
    libraries: Spans,
    *,
    waits: float,
    restored: list[float],
    warm: list[float],
    modules: Counter[str],
) -> Section:
    """`waits`: seconds of the answers in a first invocation that wait for one another."""
    parts = {
        kind: {phase: float(np.median(took)) for phase, took in spans.items()}
        for kind, spans in starts.items()
    }
    totals = {kind: sum(spans[phase] for phase in PHASES[1:]) for kind, spans in parts.items()}
    wander = {
        kind: noise([sum(one) for one in zip(*(spans[phase] for phase in PHASES[1:]), strict=True)])
        for kind, spans in starts.items()
    }
    after, usual = float(np.median(restored)), float(np.median(warm))
    packages = by_package(modules)
    brought = {name: float(np.median(took)) for name, took in libraries.items()}
    given = (sum(brought.values()) + waits) / totals[NAIVE]
    measures = [
        Measure(
            section="cold",
            name=f"{kind}, {phase}",
            value=took * 1000,
            unit="ms",
            noise=max(0.1, wander[kind]),
            scales=True,
        )
        for kind, spans in parts.items()
        for phase, took in spans.items()
    ]
    measures += [
        Measure(
            section="cold",
            name="first invocation after a restore / warm",
            value=after / usual,
            unit="x",
            noise=0.15,
        ),
        *(
            Measure(
                section="cold", name=f"import {package}", value=took / 1000, unit="ms", noise=0.2, scales=True
            )
            for package, took in packages.most_common(_SHOWN)
        ),
    ]
    return Section(
        name="cold",
        measures=measures,
        targets=[
            Target(
                name="imports to first answer, by the naive aioboto3 handler's",
                value=totals[ENGINE] / totals[NAIVE],
                unit="x",
                at_most=0.5,
                note=f"libraries and AWS alone: {given:.2f} x; a snapshot (SnapStart) takes all but the first"
                " invocation away",
            ),
            Target(
                name="first invocation after a restore / warm", value=after / usual, unit="x", at_most=2.0
            ),
        ],
        tables=[
            _split(parts, totals, wander),
            _whose(parts[ENGINE], brought, waits, totals[NAIVE]),
            _restore(after, usual, len(restored)),
            *_by_module(packages, modules),
        ],
    )


def _split(
    parts: Mapping[str, Mapping[str, float]], totals: Mapping[str, float], wander: Mapping[str, float]
) -> Table:
    rows = [
        [
            kind,
            *(f"{spans[phase] * 1000:.0f}" for phase in PHASES),
            f"{totals[kind] * 1000:.0f}",
            f"±{wander[kind]:.0%}",
        ]
        for kind, spans in parts.items()
    ]
    columns = ["", "interpreter", "imports", "clients", "first invocation", "imports to answer", "noise"]
    return Table(title="Cold start, milliseconds (medians)", columns=columns, rows=rows)


def _whose(engine: Mapping[str, float], libraries: Mapping[str, float], waits: float, naive: float) -> Table:
    """The engine's cold start once more, by who could make it shorter."""
    brought = sum(libraries.values())
    parts = {
        **{f"import {name}": took for name, took in libraries.items()},
        "answers of AWS that wait for one another": waits,
        "= not the engine's": brought + waits,
        "import the engine's own modules": engine["imports"] - brought,
        "make the clients": engine["clients"],
        "first invocation without its waits": engine["first"] - waits,
        "= the engine's": engine["imports"] + engine["clients"] + engine["first"] - brought - waits,
    }
    return Table(
        title="Whose time an engine's cold start is, milliseconds (medians)",
        columns=["", "ms", "of the naive handler's"],
        rows=[[name, f"{took * 1000:.0f}", f"{took / naive:.2f}"] for name, took in parts.items()],
        note="Each library with what it brings along, imported as the engine does: without searches for"
        " garbage and without certificates that nobody reads.",
    )


def _restore(after: float, usual: float, count: int) -> Table:
    row = ["engine", f"{after * 1000:.1f}", f"{usual * 1000:.1f}", f"{after / usual:.2f}", str(count)]
    return Table(
        title="After a restored snapshot, milliseconds (medians)",
        columns=["", "first invocation", "warm", "factor", "restores"],
        rows=[row],
        note="Everything imported and made, no socket open; what Lambda takes to restore comes on top.",
    )


def _by_module(packages: Counter[str], modules: Counter[str]) -> list[Table]:
    def table(title: str, counted: Counter[str]) -> Table:
        rows: Any = [[name, f"{took / 1000:.1f}"] for name, took in counted.most_common(_SHOWN)]
        return Table(title=title, columns=["", "ms"], rows=rows)

    return [
        table("Imports by package (each without what it imports)", packages),
        table("Imports by module", modules),
    ]
