"""What applications do: ask for mail, now or (with the client's own code) later, and take some of it back."""

import asyncio
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from tests.simulation.clients import Clients, Session
from tests.simulation.cloud import Cloud
from tests.simulation.events import BUS
from tests.simulation.functions import Process
from tests.simulation.workload import SOURCE, Asked
from tests.simulation.world import BEGIN, World

from engine.client import EmailClient
from engine.errors import EngineError
from engine.schemas.request import EmailRequest
from engine.schemas.status import REQUEST_DETAIL_TYPE

SKEW: Final = 2.0  # seconds that an application's clock may be off, either way
_TRIES: Final = 20


class Fate(StrEnum):
    """What an application knows of an email that it has scheduled."""

    SCHEDULED = "scheduled"  # ... or it was too late to take it back
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # a call got no answer, and no later one told


Fates = dict[str, Fate]
"""By email id; an email that is not scheduled has none."""


async def apply(world: World, cloud: Cloud, asked: list[Asked], fates: Fates) -> None:
    """Every request at its time. The application's own PutEvents succeeds: that makes one accepted."""
    process = Process(world, f"application-{world.number()}") if any(one.due for one in asked) else None
    for one in sorted(asked, key=lambda one: (one.at, one.event_id)):
        await asyncio.sleep(one.at - world.time())
        if process and one.due:
            fates[one.email_id] = Fate.UNKNOWN
            world.begin()
            world.spawn(_schedule(world, cloud, process, one, fates))
        else:
            world.log(one.email_id, f"published as {one.event_id}: {one.kind}, {one.detail['to']}")
            cloud.bus.publish(SOURCE, REQUEST_DETAIL_TYPE, one.detail, one.event_id)


async def _schedule(world: World, cloud: Cloud, process: Process, one: Asked, fates: Fates) -> None:
    clients: Any = Clients(cloud, process)
    session: Any = Session(clients)
    skew = world.dice.uniform(-SKEW, SKEW)
    client = EmailClient(
        BUS, source=SOURCE, session=session, clock=lambda: BEGIN + timedelta(seconds=world.time() + skew)
    )
    async with client as emails:
        if await _scheduled(world, emails, one):
            fates[one.email_id] = Fate.SCHEDULED
            if one.cancelled_at:
                await asyncio.sleep(max(0, one.cancelled_at - world.time()))
                fates[one.email_id] = await _cancelled(world, emails, one)
    world.end()


async def _scheduled(world: World, emails: EmailClient, one: Asked) -> bool:
    """Whether the client says so in the end; without that it may be or not."""
    request = msgspec.convert(one.detail, EmailRequest)
    for _ in range(_TRIES):
        try:
            email_id = await emails.schedule(request, BEGIN + timedelta(seconds=one.due))
        except ValueError:
            return False  # its time has passed
        except (EngineError, ClientError, BotoCoreError) as error:
            world.log(one.email_id, f"could not be scheduled: {error!r}")
            await asyncio.sleep(world.dice.uniform(1, 60))
            continue
        assert email_id == one.email_id
        world.log(email_id, f"scheduled for {one.due:.0f}: {one.kind}, {one.detail['to']}")
        return True
    return False


async def _cancelled(world: World, emails: EmailClient, one: Asked) -> Fate:
    for attempt in range(_TRIES):
        try:
            taken_back = await emails.cancel_scheduled(one.email_id)
        except (EngineError, ClientError, BotoCoreError) as error:
            world.log(one.email_id, f"could not be taken back: {error!r}")
            await asyncio.sleep(world.dice.uniform(1, 60))
            continue
        world.log(one.email_id, f"taken back: {taken_back}")
        world.usage[f"scheduled mail {'' if taken_back else 'not '}taken back"] += 1
        if taken_back:
            return Fate.CANCELLED
        return Fate.UNKNOWN if attempt else Fate.SCHEDULED  # the call without an answer may have done it
    return Fate.UNKNOWN
