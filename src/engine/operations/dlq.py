"""The dead-letter queues of a stack: what lies in them, and what is done with it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from engine.aws.clients import INVOKE_CONFIG
from engine.concurrency import concurrently
from engine.errors import EngineError
from engine.operations.actions import telling
from engine.operations.conditions import Condition, is_meant
from engine.operations.dead_letters import DeadLetter
from engine.operations.ledger_reader import open_ledger
from engine.operations.letter_groups import Group, grouped, oldest
from engine.operations.queue_pass import QueuePass
from engine.operations.queues import DEAD_LETTER_QUEUES, PARKED, QueueDepth, queue_depths
from engine.operations.redrive import Redrive, Redriven
from engine.operations.stack import DeployedStack
from engine.schemas.times import iso, parse_iso
from engine.types import Clock

_RETENTION: Final = timedelta(days=14)
# What is looked at is hidden meanwhile; a redrive, or `go`, must not miss it for long.
_GLANCE: Final = 20  # messages
_GLANCE_SECONDS: Final = 10
_LOOK_SECONDS: Final = 60


class UnknownQueueError(EngineError, ValueError):
    """Names the queues there are."""


class QueueContents(Struct, frozen=True, kw_only=True, rename="camel"):
    """What lies in a queue. `groups` and `oldest` are of the `looked_at` messages; SQS hands out any.

    `expires`: when SQS deletes the oldest of them. None where there is none. `problem`: why not all that was
    wanted could be looked at.
    """

    queue: str
    messages: QueueDepth
    looked_at: int
    oldest: str | None
    expires: str | None
    groups: list[Group]
    problem: str | None = None


class DeadLetterQueues(Struct, frozen=True, kw_only=True, rename="camel"):
    queues: list[QueueContents]


class Dropped(Struct, frozen=True, kw_only=True, rename="camel"):
    """`stopped`: why the run ended before it had seen all."""

    queue: str
    seen: int
    dropped: int
    stopped: str | None


def queue_named(text: str) -> str:
    """The queue that is meant by its name, or the beginning or a part of it. Raises UnknownQueueError."""
    wanted = text.lower()
    for fits in (str.startswith, str.__contains__):
        found = [name for name in DEAD_LETTER_QUEUES if fits(name.lower(), wanted)]
        if len(found) == 1:
            return found[0]
    raise UnknownQueueError(
        f"{text!r} names no dead-letter queue, or several; there are {', '.join(DEAD_LETTER_QUEUES)}"
    )


async def overview(stack: DeployedStack, clock: Clock) -> DeadLetterQueues:
    """A glance into every dead-letter queue, and into that of parked mail where the stack has it.

    Raises ClientError where there is no stack.
    """
    await stack.queue_url(DEAD_LETTER_QUEUES[0])  # which every version has
    found = await concurrently(_glance(stack, name, clock) for name in (*DEAD_LETTER_QUEUES, PARKED))
    return DeadLetterQueues(queues=[contents for contents in found if contents])


async def _glance(stack: DeployedStack, name: str, clock: Clock) -> QueueContents | None:
    """None for a queue that a stack of an older version lacks."""
    if not await queue_depths(stack, (name,)):
        return None
    return await look(stack, name, clock, most=_GLANCE, visibility=_GLANCE_SECONDS)


async def look(
    stack: DeployedStack,
    name: str,
    clock: Clock,
    *,
    conditions: Sequence[Condition] = (),
    most: int | None = None,
    visibility: int = _LOOK_SECONDS,
) -> QueueContents:
    """What lies in a queue and meets the conditions, of about the first `most`; all of it is given back."""
    sqs, url, ledger = await stack.client("sqs"), await stack.queue_url(name), await open_ledger(stack)
    letters: list[DeadLetter] = []

    async def keep(letter: DeadLetter) -> bool:
        if await is_meant(letter, conditions, ledger):
            letters.append(letter)
        return False

    (messages,) = await queue_depths(stack, (name,))
    one_pass = QueuePass(sqs, url, keep, clock, visibility, most)
    if messages.visible:
        await one_pass.run()
    since = oldest(letters)
    begin = parse_iso(since) if since else None
    rows = await ledger.read(letter.email_id for letter in letters if letter.email_id)
    return QueueContents(
        queue=name,
        messages=messages,
        looked_at=len(letters),
        oldest=since,
        expires=iso(begin + _RETENTION) if begin else None,
        groups=grouped(letters, rows),
        problem=one_pass.stopped,
    )


async def depth_of(stack: DeployedStack, name: str) -> int:
    """About how many messages a queue holds."""
    return sum(depth.total for depth in await queue_depths(stack, (name,)))


async def redrive(
    stack: DeployedStack,
    name: str,
    clock: Clock,
    *,
    conditions: Sequence[Condition] = (),
    rate: float | None = None,
    advance: Callable[[int], None] = lambda _seen: None,
) -> Redriven:
    """As `Redrive.run`, over the stack's own queues and function; told also where it is broken off."""
    run = Redrive(
        sqs=await stack.client("sqs"),
        functions=await stack.client("lambda", INVOKE_CONFIG),
        ledger=await open_ledger(stack),
        retry_queue_url=await stack.queue_url("EmailRetryQueue"),
        feedback_function=f"{stack.resource('FeedbackProcessor')}:live",
        clock=clock,
    )
    url = await stack.queue_url(name)
    async with telling(stack, "dlq-redrive", "", clock, scope=scope(name, conditions)) as record:
        done = await run.run(url, conditions=conditions, rate=rate, advance=advance)
        if not done.handed_on:
            record.scope = None
    return done


async def drop(
    stack: DeployedStack, name: str, clock: Clock, *, because: str, conditions: Sequence[Condition] = ()
) -> Dropped:
    """Delete what meets the conditions, for good; told also where it is broken off."""
    ledger = await open_ledger(stack)

    async def act(letter: DeadLetter) -> bool:
        return await is_meant(letter, conditions, ledger)

    one_pass = QueuePass(
        await stack.client("sqs"),
        await stack.queue_url(name),
        act,
        clock,
        visibility=_LOOK_SECONDS,
        workers=4,
    )
    async with telling(stack, "dlq-drop", because, clock, scope=scope(name, conditions)) as record:
        await one_pass.run()
        if not one_pass.deleted:
            record.scope = None
    return Dropped(
        queue=name, seen=len(one_pass.seen), dropped=len(one_pass.deleted), stopped=one_pass.stopped
    )


def scope(name: str, conditions: Sequence[Condition]) -> str:
    """What an act is about, in one line."""
    return " ".join([name, *map(str, conditions)])
