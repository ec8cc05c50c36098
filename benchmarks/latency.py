"""Latency per invocation: the real handlers under Lambda's runtime client, beside two peers and the floor."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec

from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import Cloud, running_cloud
from benchmarks.fake_aws.function import Function, running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import Measure, Percentiles, Plot, Section, Table, Target
from benchmarks.run import Run, breathe

ENGINE: Final = "engine"
HANDLERS: Final = {
    ENGINE: "engine.handlers.email_sender.handler",
    "boto3 threads": "benchmarks.peers.threaded.handler",
    "boto3 sequential": "benchmarks.peers.sequential.handler",
}
FEEDBACK: Final = "engine.handlers.feedback_processor.handler"
_WARM_UP: Final = 5


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`floor`: seconds of the longest chain of dependent calls. `runs`: of the engine, and by peer."""

    name: str
    make: Callable[[], Any]
    floor: Callable[[Latencies], float]
    emails: int = 1
    runs: int
    peer_runs: tuple[int, int]


def sent_floor(to: Latencies) -> float:
    """Claim, a send slot, SES, and whichever of status event, record and count takes longest."""
    return 2 * to.of("dynamodb") + to.of("ses") + max(to.of("events"), to.of("dynamodb"))


def cold_floor(to: Latencies) -> float:
    """The template's objects come from S3 while the claim is made."""
    return sent_floor(to) - to.of("dynamodb") + max(to.of("s3"), to.of("dynamodb"))


def refused_floor(to: Latencies) -> float:
    """Claim, record, status event: a refusal is told only once it is recorded."""
    return 2 * to.of("dynamodb") + to.of("events")


def retry_floor(to: Latencies) -> float:
    """First of all, whether the original has arrived after all."""
    return to.of("dynamodb") + sent_floor(to)


SCENARIOS: Final = (
    Scenario(name="direct, warm", make=events.request, floor=sent_floor, runs=600, peer_runs=(120, 90)),
    Scenario(
        name="direct, cold template",
        make=events.unseen_template,
        floor=cold_floor,
        runs=150,
        peer_runs=(40, 30),
    ),
    Scenario(
        name="direct, suppressed",
        make=lambda: events.request(suppressed=True),
        floor=refused_floor,
        runs=150,
        peer_runs=(40, 40),
    ),
    Scenario(name="retry", make=events.retries, floor=retry_floor, runs=150, peer_runs=(40, 30)),
    Scenario(
        name="bulk, batch of 1", make=lambda: events.bulk(1), floor=sent_floor, runs=60, peer_runs=(20, 20)
    ),
    Scenario(
        name="bulk, batch of 10",
        make=lambda: events.bulk(10),
        floor=sent_floor,
        emails=10,
        runs=60,
        peer_runs=(15, 4),
    ),
    Scenario(
        name="bulk, batch of 100",
        make=lambda: events.bulk(100),
        floor=sent_floor,
        emails=100,
        runs=40,
        peer_runs=(5, 1),
    ),
)


async def measure(run: Run) -> Section:
    """Peers take turns with the engine, so that a noisy minute falls on all of them."""
    found: dict[tuple[str, str], list[float]] = {}
    async with running_cloud(run.latencies) as cloud, AsyncExitStack() as stack:
        functions = {
            name: await stack.enter_async_context(running(handler, cloud.variables))
            for name, handler in HANDLERS.items()
        }
        for number, scenario in enumerate(SCENARIOS):
            run.tell(scenario.name, number / len(SCENARIOS))
            found |= await _scenario(run, scenario, functions)
            run.take_pace()
        found["feedback, delivery", ENGINE] = await _feedback(run, cloud)
    return section(run.latencies, found)


async def _scenario(
    run: Run, scenario: Scenario, functions: dict[str, Function]
) -> dict[tuple[str, str], list[float]]:
    wanted = [run.times(scenario.runs), *(run.times(runs, 1) for runs in scenario.peer_runs)]
    left = dict(zip(functions, wanted, strict=True))
    most = max(wanted)
    found: dict[tuple[str, str], list[float]] = {(scenario.name, name): [] for name in functions}
    for name, function in functions.items():
        for _ in range(min(_WARM_UP, left[name] // 2)):
            await function.invoke(scenario.make())
    await breathe()
    for turn in range(most):
        for (name, function), runs in zip(functions.items(), wanted, strict=True):
            if turn * runs // most != (turn + 1) * runs // most:
                answer = await function.invoke(scenario.make())
                found[scenario.name, name].append(answer.seconds)
    return found


async def _feedback(run: Run, cloud: Cloud) -> list[float]:
    async with running(FEEDBACK, cloud.variables) as function:
        for _ in range(_WARM_UP):
            await function.invoke(events.delivery())
        return [(await function.invoke(events.delivery())).seconds for _ in range(run.times(100))]


def section(latencies: Latencies, found: dict[tuple[str, str], list[float]]) -> Section:
    """The numbers of a run as measures, targets, table and plot."""
    rows, measures = [], []
    floors = {scenario.name: scenario.floor(latencies) * 1000 for scenario in SCENARIOS}
    floors["feedback, delivery"] = refused_floor(latencies) * 1000
    emails = {scenario.name: scenario.emails for scenario in SCENARIOS}
    for (scenario, handler), seconds in found.items():
        row = Percentiles.of(seconds)
        floor = floors[scenario]
        rate = emails.get(scenario, 1) / (row.p50 / 1000)
        rows.append(
            [
                f"{scenario} · {handler}",
                *(f"{value:.1f}" for value in (floor, row.p50, row.p90, row.p99, row.p999)),
                f"{row.p50 / floor:.2f}",
                f"{rate:.1f}",
                str(row.count),
                f"±{row.noise:.0%}",
            ]
        )
        measures += _measures(scenario, handler, row, rate)
    targets = _targets(found, floors)
    table = Table(
        title="Latency per invocation, milliseconds",
        columns=["", "floor", "p50", "p90", "p99", "p99.9", "p50 / floor", "emails/s", "n", "noise"],
        rows=rows,
        note="Floor: the longest chain of dependent calls at these latencies. Emails/s: of one environment.",
    )
    distribution = {
        handler: [(value * 1000, (place + 1) / len(seconds)) for place, value in enumerate(sorted(seconds))]
        for (scenario, handler), seconds in found.items()
        if scenario == "direct, warm"
    }
    plot = Plot(
        title="Direct lane, warm: how long an invocation takes",
        kind="distribution",
        x_title="milliseconds",
        y_title="part of the invocations that took no longer",
        series=distribution,
    )
    return Section(name="latency", measures=measures, targets=targets, tables=[table], plots=[plot])


def _measures(scenario: str, handler: str, row: Percentiles, rate: float) -> list[Measure]:
    name = f"{scenario} · {handler}"
    return [
        Measure(section="latency", name=f"{name} p50", value=row.p50, unit="ms", noise=row.noise),
        Measure(section="latency", name=f"{name} p99", value=row.p99, unit="ms", noise=max(0.2, row.noise)),
        Measure(
            section="latency",
            name=f"{name} rate",
            value=rate,
            unit="emails/s",
            noise=row.noise,
            more_is_better=True,
        ),
    ]


def _targets(found: dict[tuple[str, str], list[float]], floors: dict[str, float]) -> list[Target]:
    def of(scenario: str, handler: str = ENGINE) -> Percentiles:
        return Percentiles.of(found[scenario, handler])

    warm, cold = of("direct, warm"), of("direct, cold template")
    floor = floors["direct, warm"]
    batch = "bulk, batch of 100"
    return [
        Target(name="direct warm p50 / floor", value=warm.p50 / floor, unit="x", at_most=1.10),
        Target(name="direct warm p99 over the floor", value=warm.p99 - floor, unit="ms", at_most=15),
        Target(
            name="direct cold template p50 / floor",
            value=cold.p50 / floors["direct, cold template"],
            unit="x",
            at_most=1.25,
        ),
        Target(
            name="emails/s in batches of 100, by the sequential boto3 handler's",
            value=of(batch, "boto3 sequential").p50 / of(batch).p50,
            unit="x",
            at_least=25,
        ),
    ]
