"""Latency of an invocation: the deployed handlers under Lambda's runtime client, the peers, and the floor."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec

from benchmarks.bundle import MeasuredHandler, peer
from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import running_cloud
from benchmarks.fake_aws.function import running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import Measure, Plot, ResultTable, Section, noise
from benchmarks.run import ENGINE, FEEDBACK, SENDER, Run, Samples

THREADS: Final = "boto3 threads"
SEQUENTIAL: Final = "boto3 sequential"
DIRECT, FIRST, REPORT = "direct", "direct, first of a template", "delivery report"
SIZES: Final = (1, 10, 50, 100)
_WARM_UP: Final = 3


def bulk(size: int) -> str:
    """The name of the scenario with batches of a size."""
    return f"bulk, batch of {size}"


SINGLE_CALLS: Final = f"{bulk(100)}, SendEmail"


def sent_floor(to: Latencies) -> float:
    """Claim, a send slot, SES, and whichever of status event, record and count takes longest."""
    return 2 * to.of("dynamodb") + to.of("ses") + max(to.of("events"), to.of("dynamodb"))


def first_floor(to: Latencies) -> float:
    """The template's objects come from S3 while the claim is made."""
    return sent_floor(to) - to.of("dynamodb") + max(to.of("s3"), to.of("dynamodb"))


def report_floor(to: Latencies) -> float:
    """Read the row, move it, publish the status."""
    return 2 * to.of("dynamodb") + to.of("events")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one kind. `floor`: seconds of the longest chain of dependent calls.

    `rounds`: invocations of each handler, but of the sequential peer only `sequential`.
    """

    name: str
    event: Callable[[], Any]
    floor: Callable[[Latencies], float] = sent_floor
    emails: int = 1
    rounds: int
    sequential: int = 0


SCENARIOS: Final = (
    Scenario(name=DIRECT, event=events.request, rounds=300, sequential=30),
    Scenario(name=FIRST, event=events.request_for_new_template, floor=first_floor, rounds=60),
    Scenario(name=bulk(1), event=lambda: events.bulk(1), rounds=150),
    Scenario(name=bulk(10), event=lambda: events.bulk(10), emails=10, rounds=30),
    Scenario(name=bulk(50), event=lambda: events.bulk(50), emails=50, rounds=20),
    Scenario(name=bulk(100), event=lambda: events.bulk(100), emails=100, rounds=30, sequential=1),
)
_SINGLE_CALLS: Final = Scenario(name=SINGLE_CALLS, event=lambda: events.bulk(100), emails=100, rounds=20)
_REPORTS: Final = Scenario(name=REPORT, event=events.delivery, floor=report_floor, rounds=100)


async def measure(run: Run) -> Section:
    peers = [peer(THREADS, "boto3_sender.threads"), peer(SEQUENTIAL, "boto3_sender.sequential")]
    await _play(run, SCENARIOS, [*run.measured(SENDER), *peers])
    await _play(run, [_SINGLE_CALLS], run.measured(SENDER, BULK_CALL_SIZE="1"))
    await _play(run, [_REPORTS], run.measured(FEEDBACK))
    return section(run)


async def _play(run: Run, scenarios: Sequence[Scenario], handlers: Iterable[MeasuredHandler]) -> None:
    """Handlers take turns, so that a noisy minute falls on all of them."""
    async with running_cloud(run.latencies) as cloud, AsyncExitStack() as stack:
        functions = {
            one.name: await stack.enter_async_context(running(one, cloud.variables)) for one in handlers
        }
        for number, scenario in enumerate(scenarios):
            run.show(scenario.name, number / len(scenarios))
            wanted = {name: run.times(scenario.rounds) for name in functions if name != SEQUENTIAL}
            if SEQUENTIAL in functions and scenario.sequential:
                wanted[SEQUENTIAL] = run.times(scenario.sequential)
            for name, rounds in wanted.items():
                for _ in range(min(_WARM_UP, rounds - 1)):
                    await functions[name].invoke(scenario.event())
            found = run.samples[scenario.name] = {name: Samples(emails=scenario.emails) for name in wanted}
            most = max(wanted.values())
            for turn in range(most):
                # Forwards and backwards: nobody always comes after the same neighbour.
                for name in list(wanted)[:: -1 if turn % 2 else 1]:
                    if turn * wanted[name] // most != (turn + 1) * wanted[name] // most:
                        await found[name].add(functions[name], cloud.services, scenario.event())


def section(run: Run) -> Section:
    floors = {one.name: one.floor(run.latencies) * 1000 for one in (*SCENARIOS, _SINGLE_CALLS, _REPORTS)}
    rows, measures = [], []
    for scenario, handlers in run.samples.items():
        for name, one in handlers.items():
            spread, named = noise(one.seconds), f"{scenario} · {name}"
            times = (floors[scenario], one.p50, one.percentile(90), one.percentile(99))
            shown = [*(f"{time:.1f}" for time in times), f"{one.rate:.1f}"]
            beside = f"{handlers[ENGINE].p50 / one.p50:.3f}" if name != ENGINE else ""
            rows.append([named, *shown, beside, str(len(one.seconds)), f"±{spread:.0%}"])
            measures += [
                Measure(name=f"{named} p50", value=one.p50, unit="ms", noise=spread),
                Measure(name=f"{named} p99", value=times[-1], unit="ms", noise=max(0.2, spread)),
            ]
    summary = []
    for scenario, what in (
        (DIRECT, "one direct email, p50 and p99"),
        (bulk(1), "one email alone in the bulk lane, p50 and p99"),
        (FIRST, "the first email of a template, p50 and p99"),
    ):
        engine, floor = run.samples[scenario][ENGINE], floors[scenario]
        found = f"{engine.p50:.1f} and {engine.percentile(99):.1f} ms"
        others = run.beside(scenario, lambda one: one.p50)
        summary.append((what, found, f"{engine.p50 / floor:.2f} x floor ({floor:.0f} ms), {others}"))
    rate = f"{run.samples[bulk(100)][ENGINE].rate:.0f}"
    beside = run.beside(bulk(100), lambda one: one.rate)
    summary.append(("emails/s of one environment, batches of 100", rate, beside))
    return Section(
        name="latency",
        measures=measures,
        summary=summary,
        tables=[
            ResultTable(
                title="Latency of an invocation, milliseconds",
                columns=["", "floor", "p50", "p90", "p99", "emails/s", "engine by it", "n", "noise"],
                rows=rows,
                note="Floor: the longest chain of dependent calls at these latencies. Emails/s: of one"
                " environment. Engine by it: this engine's p50 by the row's; above 1 it takes longer.",
            )
        ],
        plots=[
            Plot(
                title="Direct lane: how long an invocation takes",
                kind="distribution",
                x_title="milliseconds",
                y_title="part of the invocations that took no longer",
                series={
                    name: [(one.percentile(percent), percent / 100) for percent in range(101)]
                    for name, one in run.samples[DIRECT].items()
                },
            )
        ],
    )
