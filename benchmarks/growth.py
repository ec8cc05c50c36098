"""What a day's emails cost the next one: the bounce quota's check and a status update, from 10² to 10⁶.

The engine's own adapters and clients run against the stub, whose answers take no time here. Beside them
stands the check as the system's description has it, which counts the day's rows: a page of the index is a
call.
"""

import math
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import aioboto3
import numpy as np

from benchmarks.fake_aws.aws import StubAws
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.rows import AnyRow
from benchmarks.fake_aws.web import serving
from benchmarks.report import Measure, Plot, Section, Table, Target, noise
from benchmarks.run import Run
from engine.aws.clients import CONFIG
from engine.aws.ledger import TrackingLedger
from engine.aws.pre_send_reader import PreSendTables
from engine.tracking.lifecycle import Status

DAYS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
CHECK, UPDATE, ROWS = "quota check", "status update", "quota check by rows (as described)"
_NO_TIME: Final = Latencies(name="none", dynamodb=0, s3=0, ses=0, sqs=0, events=0)
_ROUNDS: Final = 150
_SHARDS: Final = 4
_DATE: Final = "2026-11-24"
# Any, because its overloads want the service's name as a literal.
SESSION: Any = aioboto3.Session(
    aws_access_key_id="benchmark",
    aws_secret_access_key="benchmark",  # noqa: S106 - opens nothing
    region_name="eu-west-1",
)


class Adapters:
    """One call each, as the pipelines make them."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb
        self._reader = PreSendTables(dynamodb, suppression_table="Suppression", state_table="State")
        self._ledger = TrackingLedger(dynamodb, "EmailTracking")
        self._number = 0

    async def check(self) -> None:
        await self._reader.read(["ada@example.com"], _DATE)

    async def update(self) -> None:
        self._number += 1
        moment = datetime(2026, 11, 24, 8, tzinfo=UTC)
        await self._ledger.advance(
            f"row-{self._number}", Status.DELIVERED, at=moment, fingerprint=f"f{self._number}"
        )

    async def check_by_rows(self) -> None:
        start: dict[str, Any] = {}
        while True:
            page = await self._dynamodb.query(
                TableName="EmailTracking",
                IndexName="date-partition-index",
                KeyConditionExpression="datePartition = :day",
                ExpressionAttributeValues={":day": {"S": _DATE}},
                Select="COUNT",
                **start,
            )
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


async def measure(run: Run) -> Section:
    aws = StubAws(_NO_TIME)
    found: dict[tuple[str, int], list[float]] = {}
    traffic: dict[tuple[str, int], tuple[float, float]] = {}
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(aws))
        client = SESSION.client("dynamodb", endpoint_url=f"http://{address}", config=CONFIG)
        adapters = Adapters(await stack.enter_async_context(client))
        rounds = run.times(_ROUNDS, 5)
        for turn in range(-2, rounds):
            run.tell("a day's emails", max(0, turn) / rounds)
            for emails in DAYS:
                aws.rows, aws.counters = AnyRow(emails), _counters(emails)
                for name, act in ((CHECK, adapters.check), (UPDATE, adapters.update)):
                    aws.forget()
                    began = time.perf_counter()
                    await act()
                    if turn >= 0:
                        found.setdefault((name, emails), []).append(time.perf_counter() - began)
                        traffic[name, emails] = (aws.calls.total(), aws.bytes_in.total())
        for emails in DAYS:
            aws.rows = AnyRow(emails)
            aws.forget()
            began = time.perf_counter()
            await adapters.check_by_rows()
            found[ROWS, emails] = [time.perf_counter() - began]
            traffic[ROWS, emails] = (aws.calls.total(), aws.bytes_in.total())
    run.take_pace()
    return section(run.latencies, found, traffic)


def _counters(emails: int) -> dict[str, Any]:
    """The day's counters, spread over their shards."""
    return {
        f"quota#{_DATE}#{shard}": {
            "pk": {"S": f"quota#{_DATE}#{shard}"},
            "sends": {"N": str(emails // _SHARDS)},
            "bounces": {"N": str(emails // 100 // _SHARDS)},
        }
        for shard in range(_SHARDS)
    }


def section(
    latencies: Latencies,
    found: dict[tuple[str, int], list[float]],
    traffic: dict[tuple[str, int], tuple[float, float]],
) -> Section:
    rows, measures = [], []
    series: dict[str, list[tuple[float, float]]] = {}
    for (name, emails), took in sorted(found.items()):
        median = float(np.median(took))
        calls, sent = traffic[name, emails]
        # In the region every call waits for DynamoDB once; pages wait for one another.
        there = median * 1000 + calls * latencies.dynamodb
        rows.append(
            [
                f"{name} · {emails:,}",
                f"{calls:.0f}",
                f"{sent:.0f}",
                f"{median * 1e6:.0f}",
                f"{there:.1f}",
                f"±{noise(took):.0%}",
            ]
        )
        series.setdefault(name, []).append((float(emails), there))
        if name != ROWS:
            measures.append(
                Measure(
                    section="growth",
                    name=f"{name} at {emails:,}",
                    value=median * 1e6,
                    unit="µs",
                    noise=max(0.1, noise(took)),
                    scales=True,
                )
            )
    return Section(
        name="growth",
        measures=measures,
        targets=[_target(name, found, traffic) for name in (CHECK, UPDATE)],
        tables=[
            Table(
                title="A day's emails, and what the next one's check and status update take",
                columns=["", "calls", "bytes asked", "µs (stub)", "ms in the region", "noise"],
                rows=rows,
                note="The check by rows waits for its pages one by one, and pays for every row it counts.",
            )
        ],
        plots=[
            Plot(
                title="What the next email waits for",
                kind="lines",
                x_title="emails that day",
                y_title="milliseconds in the region",
                series=series,
                log_x=True,
            )
        ],
    )


def _target(
    name: str, found: dict[tuple[str, int], list[float]], traffic: dict[tuple[str, int], tuple[float, float]]
) -> Target:
    few, many = (name, DAYS[0]), (name, DAYS[-1])
    factor = float(np.median(found[many]) / np.median(found[few]))
    # A wild part of a series must not make the target a gift.
    wander = min(max(0.1, noise(found[few]) + noise(found[many])), 0.25)
    same = "the same calls" if traffic[few][0] == traffic[many][0] else "MORE CALLS"
    return Target(
        name=f"{name}: 10⁶ emails by 10²",
        value=factor,
        unit="x",
        at_most=math.ceil((1 + wander) * 100) / 100,
        note=f"{same}; noise ±{wander:.0%}",
    )
