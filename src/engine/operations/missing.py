"""Why an email may not be in the ledger."""

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code
from engine.operations.asking import ask, known
from engine.operations.queues import DEAD_LETTER_QUEUES, LANES, WEBHOOK_DLQ, QueueDepth, queue_depths
from engine.operations.settings import sender_settings
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict
from engine.schemas.status import REQUEST_DETAIL_TYPE

_MAY_HOLD_EMAIL = (*LANES, *(name for name in DEAD_LETTER_QUEUES if name != WEBHOOK_DLQ))


class Elsewhere(Struct, frozen=True, kw_only=True, rename="camel"):
    """What may hold an email that the ledger does not know. `None`: it could not be told."""

    bus: str
    bus_exists: bool | None
    retention_days: int | None
    queues: list[QueueDepth]


async def look_elsewhere(stack: DeployedStack) -> Elsewhere:
    settings = known(await ask(sender_settings(stack)))
    queues = known(await ask(queue_depths(stack, _MAY_HOLD_EMAIL)))
    return Elsewhere(
        bus=stack.event_bus,
        bus_exists=known(await ask(_bus_exists(stack))),
        retention_days=settings.data_retention_days if settings else None,
        queues=queues or [],
    )


async def _bus_exists(stack: DeployedStack) -> bool:
    events = await stack.client("events")
    try:
        await events.describe_event_bus(Name=stack.event_bus)
    except ClientError as error:
        if is_code(error, "ResourceNotFoundException"):
            return False
        raise
    return True


def explain_absence(
    elsewhere: Elsewhere, what: str, options: str, *, sources: tuple[str, ...] = ()
) -> Verdict:
    """The likely reason first. `what` was looked for; `sources` are those that the question named."""
    dead = {depth.queue: depth.total for depth in elsewhere.queues if depth.queue in DEAD_LETTER_QUEUES}
    full = {queue: count for queue, count in dead.items() if count}
    waiting = sum(depth.total for depth in elsewhere.queues if depth.queue in LANES)
    kept = f"{elsewhere.retention_days} days" if elsewhere.retention_days else "DATA_RETENTION_DAYS"
    if elsewhere.bus_exists is False:
        return Verdict(
            good=False,
            sentence=f"{what} The bus {elsewhere.bus} does not exist, so events for it go nowhere: check the"
            " stack's name and the region.",
        )
    if full:
        queues = " and ".join(f"{count} in {queue}" for queue, count in full.items())
        return Verdict(
            good=False,
            sentence=f"{what} It may be among the messages that were given up: {queues}.",
            next_command=f"sesmailengine dlq show {next(iter(full))}{options}",
        )
    source = f" The source that was asked for is {sources[0]!r}: it is part of the id." if sources else ""
    lanes = (
        f" {waiting:,} messages wait in the lanes; an email has no row before its first try."
        if waiting
        else ""
    )
    return Verdict(
        good=False,
        sentence=f"{what}{lanes}{source} Either the event never came (it must go to the bus {elsewhere.bus}"
        f" with the detail-type {REQUEST_DETAIL_TYPE!r}), or it was a dry run, which leaves no row, or its"
        f" row is older than {kept} and was deleted.",
        next_command=f"sesmailengine status{options}" if waiting else None,
    )
