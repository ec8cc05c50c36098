"""What operators do, at any moment, with the commands' own code; they are cut off and try again.

They pause SES, suppress and free addresses, stop mail, let it go, cancel campaigns, redrive dead letters.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from tests.simulation.clients import Clients
from tests.simulation.cloud import Cloud
from tests.simulation.consent import Promises
from tests.simulation.dynamodb import SUPPRESSION
from tests.simulation.functions import Process
from tests.simulation.plan import Plan
from tests.simulation.stalls import OUTSIDE
from tests.simulation.workload import CAMPAIGNS, Asked
from tests.simulation.world import World

from engine.errors import EngineError
from engine.operations import dlq, stopping
from engine.operations.queues import DEAD_LETTER_QUEUES
from engine.operations.stack import DeployedStack, StackAddress
from engine.operations.suppression import open_book
from engine.requests.addresses import address_key
from engine.tracking.brakes import STOP
from engine.types import Clock

REPORTS: Final = "FeedbackProcessorDLQ"
LATEST: Final = 5.5  # of a redrive: ten to this power seconds, three days and a half
TRIES: Final = 20
QUEUES: Final = tuple(sorted(DEAD_LETTER_QUEUES))
SCOPES: Final = ("all", "bulk", "template#welcome", *(f"campaign#{name}" for name in CAMPAIGNS))

Act = Callable[[DeployedStack], Coroutine[Any, Any, Any]]


def suppress(cloud: Cloud, address: str, kind: str = "manual") -> None:
    """As somebody did it by hand, long before the history."""
    item = {"email": address, "suppressionType": kind, "reason": "operator", "addedBy": "operator"}
    cloud.dynamodb.write(SUPPRESSION, address, {name: {"S": value} for name, value in item.items()})


async def operate(world: World, cloud: Cloud, asked: list[Asked], promises: Promises) -> None:
    """Everything that the plan asks for, each at its time; of one address, one thing after the other."""
    locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    for at, action, what in sorted(_work(world.plan, asked)):
        await asyncio.sleep(max(0, at - world.time()))
        world.log("", f"an operator: {action} {what}")
        match action:
            case "pause" | "resume":
                cloud.ses.paused = action == "pause"
            case "suppress" | "free":
                world.begin()
                act = _promised(promises, cloud, action, what)
                world.spawn(_until_done(cloud, f"{action} {what}", act, locks[what]))
            case _:
                world.begin()
                world.spawn(_until_done(cloud, f"{action} {what}", act_of(cloud, action, what)))


def _work(plan: Plan, asked: list[Asked]) -> Iterator[tuple[float, str, str]]:
    """When to do what, to what."""
    dice = random.Random(f"{plan.seed} operators")  # noqa: S311 - dice, and the same ones every time
    receivers = sorted({one.detail["to"] for one in asked if one.detail["to"].startswith("user")})
    reachable = [one for one in asked if one.kind != "invalid"]
    for _ in range(plan.pauses):
        begin = dice.uniform(0, plan.seconds)
        yield begin, "pause", ""
        yield begin + dice.uniform(60, 3600), "resume", ""
    for _ in range(plan.suppressions if receivers else 0):
        begin, address = dice.uniform(0, 2 * plan.seconds), dice.choice(receivers)
        yield begin, "suppress", address
        yield begin + dice.uniform(10, 1200), "free", address
        yield dice.uniform(0, 1200), "free", dice.choice(reachable).detail["to"]
    for _ in range(plan.redrives):
        yield 10 ** dice.uniform(1, LATEST), "redrive", dice.choice(QUEUES)
    for _ in range(plan.stops):
        begin, scope = dice.uniform(0, 1.5 * plan.seconds), dice.choice(SCOPES)
        yield begin, "stop", scope
        yield begin + 10 ** dice.uniform(0.3, 4), "go", scope
    for _ in range(plan.cancels):
        begin, scope = dice.uniform(0, 1.5 * plan.seconds), f"campaign#{dice.choice(CAMPAIGNS)}"
        yield begin, "cancel", scope
        if dice.random() < 0.3:
            yield begin + 10 ** dice.uniform(1, 4), "uncancel", scope


def _promised(promises: Promises, cloud: Cloud, action: str, address: str) -> Act:
    """What `suppression add` and `suppression remove` do."""
    freed, key = action == "free", address_key(address)

    async def act(stack: DeployedStack) -> None:
        book = await open_book(stack, cloud.world.now)
        promises.asks(key, subscribed=freed)
        if freed:
            await book.remove(address, resend=False)
        else:
            await book.add(address, "a wrong address", also_ses=False)
        promises.answered(key, subscribed=freed)

    return act


def act_of(cloud: Cloud, action: str, what: str) -> Act:
    """What the command of that name does."""
    now = cloud.world.now

    async def act(stack: DeployedStack) -> Any:
        match action:
            case "stop":
                return await stopping.stop(stack, what, "a wrong price", now)
            case "go" | "uncancel":
                uncancel = action == "uncancel"
                return await stopping.go(stack, what, now, uncancel=uncancel, on_progress=_nobody_listens)
            case "cancel":
                return await stopping.cancel(stack, what, "a wrong price", now, on_progress=_nobody_listens)
            case _:
                return await dlq.redrive(stack, what, now)

    return act


def _nobody_listens(*_: object) -> None:
    """No progress bar."""


async def _until_done(cloud: Cloud, what: str, act: Act, lock: asyncio.Lock | None = None) -> None:
    """Somebody who is cut off, or told that something was away, tries again after a while."""
    async with lock or asyncio.Lock():
        for _ in range(TRIES):
            if await run(cloud, what, act, cut_off=cloud.world.dice.random() < 0.3):
                break
            await asyncio.sleep(cloud.world.dice.uniform(5, 600))
    cloud.world.end()


async def run(cloud: Cloud, what: str, act: Act, *, cut_off: bool = False) -> bool:
    """Whether a command came to its end. One that is `cut_off` dies at some await, as by SIGKILL."""
    world = cloud.world
    process = Process(world, f"operator-{world.number()}")
    if cut_off:
        process.dies_in = world.dice.randint(1, 40)
    clients: Any = Clients(cloud, process)
    stack = DeployedStack(StackAddress(stack="prove"), clients)
    task = process.task = world.loop.create_task(_attempt(act, stack), context=OUTSIDE.copy())
    try:
        problem = await task
    except asyncio.CancelledError:
        if not process.dead:
            raise
        return False
    if problem:
        world.log("", f"{process.name} could not {what}: {problem}")
        return False
    world.usage[f"operators' {what.partition(' ')[0]}"] += 1
    return True


async def _attempt(act: Act, stack: DeployedStack) -> str:
    """Why the command did not do it all; empty where it did."""
    problem = ""
    try:
        await act(stack)
    except* (EngineError, ClientError, BotoCoreError) as errors:
        problem = repr(errors.exceptions[0])
    return problem


async def _let_all_go(stack: DeployedStack, clock: Clock) -> None:
    """Also what is held by a brake that the list of brakes has lost; the answer names it."""
    resumed = await stopping.go(stack, None, clock, uncancel=False, on_progress=_nobody_listens)
    for brake in resumed.holding:
        scope = brake.pk.removeprefix(STOP)
        await stopping.go(stack, scope, clock, uncancel=False, on_progress=_nobody_listens)


async def finish(world: World, cloud: Cloud) -> None:
    """The bad days are over: let everything go and, in some histories, redrive everything.

    First the reports, as docs/reliability.md says: they settle what became of the requests.
    """
    queues = (REPORTS, *cloud.dead) if world.plan.ends_redriven else ()
    let_all_go = partial(_let_all_go, clock=world.now)
    watched = (cloud.parked, *(cloud.dead[name] for name in queues))
    if world.plan.stops or world.plan.cancels:
        await run(cloud, "go", let_all_go)
        await world.quiet()
    while any(queue.messages for queue in watched):
        if cloud.parked.messages:
            await run(cloud, "go", let_all_go)
        for name in queues:
            await run(cloud, f"redrive {name}", act_of(cloud, "redrive", name))
            await world.quiet()
        await asyncio.sleep(600)  # what a receive whose answer was lost has hidden comes back
        await world.quiet()
