"""Today (UTC) in numbers: emails by status, and who causes bounces and complaints."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct

from engine.aws.dynamodb import from_item, get_items
from engine.aws.error_codes import service_errors
from engine.aws.pre_send_checks import counter_keys, quota_reading
from engine.operations.asking import Unknown, ask
from engine.operations.items import get_many
from engine.operations.ledger_reader import LedgerReader, open_ledger
from engine.operations.metrics import Metric, counted, metric_values
from engine.operations.settings import PROCESSOR, SENDER
from engine.operations.stack import DeployedStack
from engine.operations.suppression_table import DATE_INDEX
from engine.schemas.rows import SuppressionRow
from engine.telemetry import STATUS_METRICS
from engine.tracking.bounce_quota import QuotaReading

ROWS_COUNTED: Final = 5_000
"""Of today's rows, the newest: what is counted where CloudWatch has nothing."""

_PAGE: Final = ROWS_COUNTED  # DynamoDB itself ends a page at 1 MB, which is about as many
_SUPPRESSIONS: Final = 1_000
_DAY_SECONDS: Final = 86_400


class StatusCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """`source` "cloudwatch": how many emails reached each status today, each counted in every one.

    `source` "rows": how many of today's newest emails have each status now; `whole`: of all of today's.
    """

    source: Literal["cloudwatch", "rows"]
    by_status: dict[str, int]
    whole: bool


class Culprit(Struct, frozen=True, kw_only=True, rename="camel"):
    """A template or campaign, and how many of the day's bounces or complaints its emails caused."""

    name: str
    count: int


class Trouble(Struct, frozen=True, kw_only=True, rename="camel"):
    """The day's addresses that were suppressed for one reason. `whole`: no more than were read."""

    count: int
    whole: bool
    template: Culprit | None
    campaign: Culprit | None


class Reputation(Struct, frozen=True, kw_only=True, rename="camel"):
    """Today's sends and hard bounces in recipients, and what caused them."""

    sends: int
    bounces: int
    bounced: Trouble
    complained: Trouble

    @property
    def bounce_rate(self) -> float:
        """Percent."""
        return 100 * self.bounces / self.sends if self.sends else 0.0

    @property
    def complaint_rate(self) -> float:
        """Percent."""
        return 100 * self.complained.count / self.sends if self.sends else 0.0


def midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


async def status_counts(stack: DeployedStack, now: datetime, stage: str | None) -> StatusCounts:
    """`stage`: the deployed environment's name, by which metrics are named; None where it is not known."""
    metrics = status_metrics(stack, stage) if stage else {}
    start = midnight(now)
    values = await ask(metric_values(stack, list(metrics), start, now, period=_DAY_SECONDS))
    by_status: Counter[str] = Counter()
    for metric, by_time in {} if isinstance(values, Unknown) else values.items():
        by_status[metrics[metric]] += int(sum(by_time.values()))
    if by_status.total():
        return StatusCounts(source="cloudwatch", by_status=_without_zeros(by_status), whole=True)
    return await _count_rows(await open_ledger(stack), now)


def status_metrics(stack: DeployedStack, stage: str) -> dict[Metric, str]:
    """The status that each metric counts: both functions move emails."""
    return {
        counted(stack.resource(function), stage, name): status
        for function in (SENDER, PROCESSOR)
        for status, name in STATUS_METRICS.items()
    }


async def _count_rows(ledger: LedgerReader, now: datetime) -> StatusCounts:
    by_status: Counter[str] = Counter()
    whole = True
    async for page in ledger.by_day(now.date().isoformat(), page=_PAGE):
        by_status.update(row.status for row in page)
        if by_status.total() >= ROWS_COUNTED:
            whole = False
            break
    return StatusCounts(source="rows", by_status=_without_zeros(by_status), whole=whole)


def _without_zeros(counts: Counter[str]) -> dict[str, int]:
    return {status: count for status, count in counts.items() if count}


async def reputation(stack: DeployedStack, now: datetime) -> Reputation:
    """May raise ServiceUnavailable."""
    day = now.date().isoformat()
    client = await stack.client("dynamodb")
    async with asyncio.TaskGroup() as group:
        counters = group.create_task(_counters(client, stack.state_table, day))
        bounced = group.create_task(_trouble(stack, "bounce", "hard-bounce", day))
        complained = group.create_task(_trouble(stack, "complaint", "complaint", day))
    return Reputation(
        sends=counters.result().sends,
        bounces=counters.result().bounces,
        bounced=bounced.result(),
        complained=complained.result(),
    )


async def _counters(client: Any, table: str, day: str) -> QuotaReading:
    found = await get_items(client, {table: [{"pk": key} for key in counter_keys(day)]})
    return quota_reading(found[table])


async def _trouble(stack: DeployedStack, suppression_type: str, reason: str, day: str) -> Trouble:
    client, table = await stack.client("dynamodb"), stack.suppression_table
    with service_errors("DynamoDB (Suppression)"):
        answer = await client.query(
            TableName=table,
            IndexName=DATE_INDEX,
            KeyConditionExpression="suppressionType = :type AND addedToSuppressionDate >= :day",
            ExpressionAttributeValues={":type": {"S": suppression_type}, ":day": {"S": day}},
            ScanIndexForward=False,
            Limit=_SUPPRESSIONS,
        )
    keys = [{"email": item["email"]["S"]} for item in answer["Items"]]
    rows = [from_item(item, SuppressionRow) for item in await get_many(client, table, keys)]
    of_today = [row for row in rows if row.reason == reason]
    ids = [row.email_id for row in of_today if row.email_id]
    emails = (await (await open_ledger(stack)).read(ids)).values()
    return Trouble(
        count=len(of_today),
        whole="LastEvaluatedKey" not in answer,
        template=_worst(row.template_name for row in emails),
        campaign=_worst(row.campaign for row in emails),
    )


def _worst(names: Iterable[str | None]) -> Culprit | None:
    most = Counter(name for name in names if name).most_common(1)
    return Culprit(name=most[0][0], count=most[0][1]) if most else None
