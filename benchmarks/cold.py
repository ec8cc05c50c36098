"""Cold starts of what is deployed, and the first invocation of a restored snapshot.

A start is a new process: Python, Lambda's runtime client, the handler's module, one email.
"""

from typing import Final

from benchmarks.bundle import MeasuredHandler, peer
from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import FakeCloud, running_cloud
from benchmarks.fake_aws.function import running
from benchmarks.report import Measure, ResultTable, Section, median, noise
from benchmarks.run import ENGINE, SENDER, Run

NAIVE: Final = "naive aioboto3"
EMPTY: Final = "empty handler"
_STARTS: Final = 10
_RESTORES: Final = 5
_WARM: Final = 10

Starts = dict[str, list[tuple[float, float, float]]]  # by handler: seconds of init, first invocation, CPU


async def measure(run: Run) -> Section:
    handlers = [*run.measured(SENDER), peer(NAIVE, "naive_aioboto3.handler"), peer(EMPTY, "empty.handler")]
    starts: Starts = {one.name: [] for one in handlers}
    rounds = run.times(_STARTS)
    async with running_cloud(run.latencies) as cloud:
        for turn in range(-1, rounds):  # the first compiles the engine's modules and fills the disk's cache
            run.show("cold starts, in turns", max(0, turn) / rounds * 0.7)
            for one in handlers:
                async with running(one, cloud.variables) as function:
                    first = (await function.invoke(events.request())).seconds
                    if turn >= 0:
                        starts[one.name].append((function.init_seconds, first, function.cpu_seconds()))
        run.show("restored snapshots", 0.7)
        restores = {one.name: await _restores(run, one, cloud) for one in run.measured(SENDER)}
    return section(starts, restores)


async def _restores(run: Run, measured: MeasuredHandler, cloud: FakeCloud) -> tuple[float, float]:
    """Seconds of the first invocation after a restore, with no socket open, and of later ones."""
    first, warm = [], []
    for _ in range(run.times(_RESTORES)):
        variables = {**cloud.variables, "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
        async with running(measured, variables) as function:
            function.restored.set()
            first.append((await function.invoke(events.request())).seconds)
            await function.invoke(events.request())
            warm += [(await function.invoke(events.request())).seconds for _ in range(_WARM)]
    return median(first), median(warm)


def section(starts: Starts, restores: dict[str, tuple[float, float]]) -> Section:
    totals = {name: [init + first for init, first, _ in found] for name, found in starts.items()}
    # Python and Lambda's runtime client are in every start, and nobody's to change.
    own = {name: (median(times) - median(totals[EMPTY])) * 1000 for name, times in totals.items()}
    rows = []
    for name, times in totals.items():
        init, first, cpu = zip(*starts[name], strict=True)
        shown = (*(median(part) * 1000 for part in (cpu, init, first, times)), own[name])
        rows.append([name, *(f"{value:.0f}" for value in shown), f"±{noise(times):.0%}"])
    restored, warm = restores[ENGINE]
    beside = ", ".join(
        f"{own[ENGINE] / value:.2f} x {name}" for name, value in own.items() if name not in {ENGINE, EMPTY}
    )
    return Section(
        name="cold",
        measures=[
            Measure(name=name, value=value, unit="ms", noise=max(0.1, noise(totals[name])))
            for name, value in own.items()
        ],
        summary=[
            ("cold start, beyond an empty handler", f"{own[ENGINE]:.0f} ms", beside),
            (
                "first invocation of a restored snapshot",
                f"{restored * 1000:.0f} ms",
                f"{restored / warm:.2f} x warm",
            ),
        ],
        tables=[
            ResultTable(
                title="Cold start, milliseconds (medians)",
                columns=["", "CPU", "init", "first invocation", "in all", "beyond an empty handler", "noise"],
                rows=rows,
                note="Engines run from their zips, peers with the libraries of this Python environment.",
            ),
            ResultTable(
                title="After a restored snapshot, milliseconds (medians)",
                columns=["", "first invocation", "warm", "factor"],
                rows=[
                    [name, f"{first * 1000:.1f}", f"{warm * 1000:.1f}", f"{first / warm:.2f}"]
                    for name, (first, warm) in restores.items()
                ],
                note="Everything is imported, no socket is open; what Lambda takes to restore comes on top.",
            ),
        ],
    )
