"""What operators do, at any moment: pause SES, suppress and free addresses, redrive dead-letter queues."""

import asyncio
import json
import random

from tests.simulation.cloud import Cloud
from tests.simulation.dynamodb import SUPPRESSION
from tests.simulation.workload import Asked
from tests.simulation.world import World

REPORTS = "FeedbackProcessorDLQ"
LATEST = 5.5  # of a redrive: ten to this power seconds, three days and a half


def suppress(cloud: Cloud, address: str) -> None:
    item = {"email": address, "suppressionType": "manual", "reason": "operator", "addedBy": "operator"}
    cloud.dynamodb.write(SUPPRESSION, address, {name: {"S": value} for name, value in item.items()})


async def operate(world: World, cloud: Cloud, asked: list[Asked]) -> None:
    """Everything that the plan asks for, each at its time."""
    dice = random.Random(f"{world.plan.seed} operators")  # noqa: S311 - dice, and the same ones every time
    receivers = sorted({one.detail["to"] for one in asked if one.detail["to"].startswith("user")})
    work: list[tuple[float, str, str]] = []
    for _ in range(world.plan.pauses):
        begin = dice.uniform(0, world.plan.seconds)
        work += [(begin, "pause", ""), (begin + dice.uniform(60, 3600), "resume", "")]
    for _ in range(world.plan.suppressions if receivers else 0):
        begin, address = dice.uniform(0, 2 * world.plan.seconds), dice.choice(receivers)
        work += [(begin, "suppress", address), (begin + dice.uniform(10, 1200), "free", address)]
    for _ in range(world.plan.redrives):
        work.append((10 ** dice.uniform(1, LATEST), "redrive", dice.choice(sorted(cloud.dead))))
    for at, action, what in sorted(work):
        await asyncio.sleep(max(0, at - world.time()))
        world.log("", f"an operator: {action} {what}")
        match action:
            case "suppress":
                suppress(cloud, what)
            case "free":
                cloud.dynamodb.remove(SUPPRESSION, what)
            case "redrive":
                world.begin()
                world.spawn(_redrive_at_ease(world, cloud, what, breaks_off=world.dice.random() < 0.3))
            case _:
                cloud.ses.paused = action == "pause"


async def _redrive_at_ease(world: World, cloud: Cloud, name: str, *, breaks_off: bool) -> None:
    await redrive(world, cloud, name, breaks_off=breaks_off)
    world.end()


async def redrive(world: World, cloud: Cloud, name: str, *, breaks_off: bool = False) -> None:
    """Hand every message of a dead-letter queue on to where it was meant for; then, and only then, delete it.

    Who `breaks_off` does so at some message, handed on or not. What was not handed on stays for another time.
    """
    queue = cloud.dead[name]
    for key in list(queue.messages):
        await asyncio.sleep(world.dice.uniform(0.01, 0.05))
        if key not in queue.messages:
            continue  # another operator was faster
        if await hand_on(world, cloud, name, queue.messages[key].body):
            if breaks_off and world.dice.random() < 0.3:
                return
            queue.delete(key)


async def hand_on(world: World, cloud: Cloud, name: str, body: str) -> bool:
    """Whether it was handed on: requests to EmailRetryQueue, reports to the feedback function."""
    await asyncio.sleep(world.dice.uniform(0.01, 0.05))
    if world.chance(world.plan.faults.throttled + world.plan.faults.request_lost):
        return False
    world.usage["redriven"] += 1
    whole = json.loads(body)
    event = whole.get("requestPayload", whole)  # Lambda's on-failure record holds it there
    if name == REPORTS:
        cloud.feedback.invoke_later(event)
    else:
        cloud.retry.send(json.dumps(event))
    return not world.chance(world.plan.faults.answer_lost)


async def redrive_all(world: World, cloud: Cloud) -> None:
    """First the reports, as docs/reliability.md says: they settle what became of the requests."""
    await redrive(world, cloud, REPORTS)
    await world.quiet()
    for name in cloud.dead:
        await redrive(world, cloud, name)
    await world.quiet()
