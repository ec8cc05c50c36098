"""People who read their mail: they unsubscribe by its own link, come back by the page, and are scanned.

A mail program's one click or a button of the page, again where it got no answer or an error, until they give
up. Before that and in between, something opens the link without pressing anything.
"""

import asyncio
import random
from typing import Final
from urllib.parse import urlencode

from tests.simulation.cloud import Cloud
from tests.simulation.consent import Promises
from tests.simulation.functions import FunctionError, TooManyRequests
from tests.simulation.hosted_page import URL
from tests.simulation.ses import Acceptance
from tests.simulation.world import TOPICS, World
from tests.support.unsubscribe import FORM, ONE_CLICK, request

from engine.consent.subscriptions import Action
from engine.requests.addresses import address_key
from engine.tracking.consent import EVERY_TOPIC, opt_out_key

_TRIES: Final = 10
_ACTING: Final = 0.5  # part of the mail with a link after which its reader does something


class People:
    """Everybody acts after one mail at a time."""

    def __init__(self, world: World, cloud: Cloud, promises: Promises) -> None:
        self._world = world
        self._cloud = cloud
        self._promises = promises
        self._busy: set[str] = set()

    def receive(self, acceptance: Acceptance, topic: str) -> None:
        """SES has taken an email, and it will be in its reader's hands."""
        link = acceptance.unsubscribe.strip("<>")
        (address, *_) = acceptance.addresses
        dice = random.Random(f"{self._world.plan.seed} reads {acceptance.message_id}")  # noqa: S311 - as ever
        if not link.startswith(URL) or address in self._busy or dice.random() > _ACTING:
            return
        self._busy.add(address)
        self._world.begin()
        self._world.spawn(self._act(address, link, topic, dice))

    async def _act(self, address: str, link: str, topic: str, dice: random.Random) -> None:
        await asyncio.sleep(10 ** dice.uniform(-1, 1.5))
        await self._open(link)
        which = dice.choice((None, topic, *TOPICS, EVERY_TOPIC))
        await self._press(address, link, topic, which, Action.UNSUBSCRIBE)
        if dice.random() < 0.7:
            await asyncio.sleep(10 ** dice.uniform(0, 2.5))
            await self._open(link)
            await self._press(address, link, topic, which or topic, Action.SUBSCRIBE)
        await asyncio.sleep(10 ** dice.uniform(-1, 1))
        self._busy.discard(address)
        self._world.end()

    async def _open(self, link: str) -> None:
        await self._ask(request("GET", link))

    async def _press(self, address: str, link: str, topic: str, which: str | None, action: Action) -> None:
        """`which` topic; None: the mail program's own button."""
        key = opt_out_key(address_key(address), which or topic)
        body = urlencode({"topic": which, "action": action}) if which else ONE_CLICK
        subscribed = action is Action.SUBSCRIBE
        for _ in range(_TRIES):
            asked_at = self._promises.asks(key, subscribed=subscribed)
            status = await self._ask(request("POST", link, body, content_type=FORM))
            self._world.log("", f"a reader: {action} {key}, answered {status}")
            if status == 200:
                self._world.usage[f"readers' {action}"] += 1
                self._promises.answered(key, subscribed=subscribed)
                self._promises.judge_told(key, asked_at, subscribed=subscribed)
                return
            await asyncio.sleep(self._world.dice.uniform(1, 60))

    async def _ask(self, event: object) -> int:
        """The status that the person sees; none where the answer is lost on its way."""
        try:
            status: int = await self._cloud.page.invoke(event)
        except TooManyRequests:
            return 429
        except FunctionError:
            return 502
        return 0 if self._world.chance(self._world.plan.faults.answer_lost) else status
