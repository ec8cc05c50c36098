"""How a stack is: the account, the lanes, today's mail, and whatever is wrong."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from engine.bootstrap.settings import SenderSettings
from engine.operations.asking import Unknown, ask, known
from engine.operations.brakes import open_brakes
from engine.operations.metrics import Metric, metric_values
from engine.operations.queues import DEAD_LETTER_QUEUES, LANES, QueueDepth, queue_depths
from engine.operations.ses_account import SesAccount, ses_account
from engine.operations.settings import sender_settings
from engine.operations.stack import DeployedStack
from engine.operations.today import Reputation, StatusCounts, reputation, status_counts
from engine.schemas.rows import BrakeRow
from engine.tracking.bounce_quota import QuotaPolicy

_RECENTLY: Final = timedelta(minutes=15)
_MINUTE: Final = 60


class Alarm(Struct, frozen=True, kw_only=True, rename="camel"):
    """An alarm of the stack that rings; `says` tells what to look at."""

    name: str
    since: str
    says: str


class StackStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """`unknown`: what could not be asked, and why; each is None or empty here."""

    ses: SesAccount | None
    lanes: list[QueueDepth]
    dead_letters: list[QueueDepth]
    today: StatusCounts
    reputation: Reputation
    quota: QuotaPolicy | None
    brakes: list[BrakeRow]
    alarms: list[Alarm]
    unknown: dict[str, str]


async def stack_status(stack: DeployedStack, now: datetime) -> StackStatus:
    """Everything is asked at the same time, and no table is read whole.

    Raises ServiceUnavailable where the stack's tables can't be read.
    """
    async with asyncio.TaskGroup() as group:
        account = group.create_task(ask(ses_account(stack)))
        depths = group.create_task(ask(queue_depths(stack, (*LANES, *DEAD_LETTER_QUEUES))))
        ages = group.create_task(ask(_ages(stack, now)))
        alarms = group.create_task(ask(_alarms(stack)))
        brakes = group.create_task(_brakes(stack))
        worst = group.create_task(reputation(stack, now))
        settings = group.create_task(ask(sender_settings(stack)))
        counts = group.create_task(_counts(stack, now, settings))
    oldest = known(ages.result()) or {}
    found = known(depths.result()) or []
    queues = [replace(depth, oldest_seconds=oldest.get(depth.queue)) for depth in found]
    configured = known(settings.result())
    asked: Mapping[str, Any] = {
        "ses": account.result(),
        "queues": depths.result(),
        "alarms": alarms.result(),
        "settings": settings.result(),
    }
    return StackStatus(
        ses=known(account.result()),
        lanes=[depth for depth in queues if depth.queue in LANES],
        dead_letters=[depth for depth in queues if depth.queue in DEAD_LETTER_QUEUES],
        today=counts.result(),
        reputation=worst.result(),
        quota=configured.quota if configured else None,
        brakes=brakes.result(),
        alarms=known(alarms.result()) or [],
        unknown={name: answer.why for name, answer in asked.items() if isinstance(answer, Unknown)},
    )


async def _brakes(stack: DeployedStack) -> list[BrakeRow]:
    return await (await open_brakes(stack)).listing()


async def _counts(
    stack: DeployedStack, now: datetime, settings: asyncio.Task[SenderSettings | Unknown]
) -> StatusCounts:
    configured = known(await settings)
    return await status_counts(stack, now, configured.environment if configured else None)


async def _ages(stack: DeployedStack, now: datetime) -> dict[str, float]:
    """Seconds since the oldest message of each queue was sent, where CloudWatch has heard of it lately."""
    metrics = {
        Metric(
            "AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", stack.resource(queue)),), "Maximum"
        ): queue
        for queue in (*LANES, *DEAD_LETTER_QUEUES)
    }
    values = await metric_values(stack, list(metrics), now - _RECENTLY, now, period=_MINUTE)
    return {metrics[metric]: by_time[max(by_time)] for metric, by_time in values.items() if by_time}


async def _alarms(stack: DeployedStack) -> list[Alarm]:
    client = await stack.client("cloudwatch")
    ringing: list[Alarm] = []
    more: dict[str, Any] = {}
    while True:
        answer = await client.describe_alarms(
            AlarmNamePrefix=stack.resource(""), StateValue="ALARM", AlarmTypes=["MetricAlarm"], **more
        )
        for alarm in answer["MetricAlarms"]:
            if alarm["StateValue"] != "ALARM":  # moto and the emulator pass over the filter
                continue
            since = alarm.get("StateUpdatedTimestamp")
            ringing.append(
                Alarm(
                    name=alarm["AlarmName"],
                    since=since.isoformat() if since else "",
                    says=alarm.get("AlarmDescription", ""),
                )
            )
        if not answer.get("NextToken"):
            return ringing
        more = {"NextToken": answer["NextToken"]}
