"""What a month cost: its emails, the stack's own use of AWS at known prices, and what AWS has billed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from engine.errors import EngineError
from engine.operations import prices
from engine.operations.asking import Unknown, ask, known
from engine.operations.metrics import counted, metric_values
from engine.operations.settings import PROCESSOR, SENDER, configuration
from engine.operations.stack import DeployedStack
from engine.operations.use import CostLine, log_group, uses

STACK_TAG: Final = "sesmailengine:stack"
_DAY_SECONDS: Final = 86_400
# Logs Insights has no index: it reads the month's log, at $0.005 a GB.
_INSIGHTS: Final = (
    'filter message = "email-settled" and status = "sent"'
    " | stats count(*) as emails by lane, template | sort emails desc | limit 1000"
)
_INSIGHTS_SECONDS: Final = 30


class Share(Struct, frozen=True, kw_only=True, rename="camel"):
    """The emails of one lane and template, and what SES asks for them."""

    lane: str
    template: str
    emails: int
    dollars: float


class MonthCost(Struct, frozen=True, kw_only=True, rename="camel"):
    """`emails`: accepted by SES. `billed`: by service, in dollars, from Cost Explorer.

    `unknown`: what could not be told, and why; it is empty or None here.
    """

    month: str
    prices_read: str
    emails: int | None
    ses: float
    ses_essentials: float
    shares: list[Share]
    measured: list[CostLine]
    billed: dict[str, float]
    unknown: dict[str, str]

    @property
    def around(self) -> float:
        """Dollars of everything but SES."""
        return sum(line.dollars for line in self.measured)


def month_of(text: str) -> tuple[datetime, datetime]:
    """The month's first moment, and that of the next. Raises EngineError."""
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise EngineError(f"{text!r} is no month; expected YYYY-MM, such as 2026-11") from None
    return start, (start + timedelta(days=32)).replace(day=1)


async def month_cost(stack: DeployedStack, month: str, now: datetime) -> MonthCost:
    """Raises EngineError for what is no month, or one that is still to come."""
    start, end = month_of(month)
    if start > now:
        raise EngineError(f"{month} is still to come")
    end = min(end, now)
    async with asyncio.TaskGroup() as group:
        measured = group.create_task(_measured(stack, start, end))
        shares = group.create_task(ask(_shares(stack, start, end)))
        billed = group.create_task(ask(_billed(stack, start, end)))
    emails, lines, why = measured.result()
    asked = {"lanes and templates": shares.result(), "what AWS billed": billed.result()}
    unknown = {name: answer.why for name, answer in asked.items() if isinstance(answer, Unknown)}
    return MonthCost(
        month=month,
        prices_read=prices.READ,
        emails=emails,
        ses=(emails or 0) * prices.SES_EMAIL,
        ses_essentials=(emails or 0) * prices.SES_EMAIL_ESSENTIALS,
        shares=known(shares.result()) or [],
        measured=lines,
        billed=known(billed.result()) or {},
        unknown=unknown | ({"use": why} if why else {}),
    )


async def _measured(
    stack: DeployedStack, start: datetime, end: datetime
) -> tuple[int | None, list[CostLine], str | None]:
    """Emails that SES took, and what the stack used for them; or why it can't be told."""
    sender = await ask(configuration(stack, SENDER))
    processor = await ask(configuration(stack, PROCESSOR))
    if isinstance(sender, Unknown):
        return None, [], sender.why
    if isinstance(processor, Unknown):
        return None, [], processor.why
    used = uses(stack, sender, processor)
    sent = counted(stack.resource(SENDER), sender.sender_settings().environment, "EmailsSent")
    metrics = list({metric for use in used for metric in use.metrics} | {sent})
    values = await ask(metric_values(stack, metrics, start, end, period=_DAY_SECONDS))
    if isinstance(values, Unknown):
        return None, [], values.why
    totals = {metric: sum(by_time.values()) for metric, by_time in values.items()}
    if not any(totals.values()):
        return None, [], "CloudWatch has no metric of the stack for this month"
    return int(totals[sent]), [use.line(totals) for use in used], None


async def _shares(stack: DeployedStack, start: datetime, end: datetime) -> list[Share]:
    """By lane and template, out of the log as far back as it is kept. Raises EngineError."""
    logs = await stack.client("logs")
    query = await logs.start_query(
        logGroupName=log_group(stack.resource(SENDER)),
        startTime=int(start.timestamp()),
        endTime=int(end.timestamp()),
        queryString=_INSIGHTS,
    )
    for _ in range(_INSIGHTS_SECONDS):
        answer = await logs.get_query_results(queryId=query["queryId"])
        if answer["status"] not in {"Scheduled", "Running"}:
            break
        await asyncio.sleep(1)
    return [_share(row) for row in answer["results"] if any(field["field"] == "emails" for field in row)]


def _share(row: list[dict[str, str]]) -> Share:
    """One row of the answer. An older version's lines name neither lane nor template."""
    fields = {field["field"]: field["value"] for field in row}
    emails = int(fields["emails"])
    return Share(
        lane=fields.get("lane") or "not named",
        template=fields.get("template") or "not named",
        emails=emails,
        dollars=emails * prices.SES_EMAIL,
    )


async def _billed(stack: DeployedStack, start: datetime, end: datetime) -> dict[str, float]:
    """What Cost Explorer has under the stack's tag, to yesterday. A call costs a cent."""
    explorer = await stack.client("ce")
    answer: dict[str, Any] = await explorer.get_cost_and_usage(
        TimePeriod={
            "Start": start.date().isoformat(),
            "End": max(end.date(), start.date() + timedelta(days=1)).isoformat(),
        },
        Granularity="MONTHLY",
        Metrics=["UnblendedCost"],
        Filter={"Tags": {"Key": STACK_TAG, "Values": [stack.address.stack]}},
        GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
    )
    costs: dict[str, float] = {}
    for result in answer.get("ResultsByTime", ()):
        for group in result.get("Groups", ()):
            service = group["Keys"][0]
            costs[service] = costs.get(service, 0.0) + float(group["Metrics"]["UnblendedCost"]["Amount"])
    return costs
