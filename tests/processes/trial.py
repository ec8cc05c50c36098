"""A run under way: mail goes through the stack, things break, and everything is seen."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from tests.processes.console import Console
from tests.processes.evidence import Evidence
from tests.processes.proxy import Fault
from tests.processes.trouble import AWS_ODDS, FINE, SES_ODDS, WEATHER, Size
from tests.processes.workers import kill_all, workers
from tests.simulation.dynamodb import STATE
from tests.simulation.simulate import History
from tests.simulation.workload import suppressed_before

_DISTURBED: Final = 0.8  # part of the emails
_QUIET: Final = 12.0  # seconds without anything, after which nothing is under way any more


class Outcome(Struct, frozen=True, kw_only=True):
    """What happened, and what was done to make it happen.

    `unfinished`: what was still under way when patience ended; such a run proves nothing, and is not judged.
    """

    history: History
    struck: Mapping[Fault, int]
    killed: int
    restarts: int
    weather: Mapping[str, int]
    calls: int
    accepted: int  # recipients that SES took
    counted: int  # ... and that the day's counters say
    unfinished: str


class Trial:
    """`say` hears what is being done."""

    def __init__(
        self,
        console: Console,
        evidence: Evidence,
        size: Size,
        dice: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self._stack = console.stack
        self._console = console
        self._evidence = evidence
        self._world = evidence.world
        self._size = size
        self._dice = dice
        self._say = say
        self._weather: Counter[str] = Counter()
        self._killed = 0
        self._restarts = 0

    async def run(self) -> Outcome:
        stack, size = self._stack, self._size
        for address in suppressed_before(self._world.plan):
            await self._suppress(address)
        await self._look()
        stack.environment.listeners.append(self._evidence.told)
        stack.simulator.listen(self._evidence.ses_did)
        self._say(f"Publishing {size.emails:,} emails in {size.seconds:.0f} s while things break")
        looking = self._world.spawn(self._look_on())
        for proxy, odds in ((stack.aws, AWS_ODDS), (stack.ses, SES_ODDS)):
            proxy.odds = {fault: size.odds * usual for fault, usual in odds.items()}
        disturbing = self._world.spawn(self._disturb())
        await self._publish()
        with suppress(TimeoutError):
            await asyncio.wait_for(disturbing, size.patience)
        stack.aws.odds, stack.ses.odds = {}, {}
        stack.simulator.faults.clear()
        self._say("Waiting until nothing is under way any more")
        unfinished = await self._quiet()
        looking.cancel()
        await self._look()
        self._evidence.dead = await self._console.dead_letters()
        if not unfinished:
            self._evidence.judge()
        return self._outcome(unfinished)

    async def _publish(self) -> None:
        """At their times, by the application's own way, which nothing disturbs: so each is accepted once."""
        world, asked = self._world, self._evidence.witness.asked
        for place, one in sorted(enumerate(asked), key=lambda pair: pair[1].at):
            await asyncio.sleep(one.at - world.time())
            asked[place] = replace(one, event_id=await self._console.publish(one.detail))
            world.log(one.email_id, f"published: {one.kind}, {one.detail['to']}")

    async def _disturb(self) -> None:
        """Restarts, blackouts, pauses and suppressions, each when so many emails are told.

        And SES's own moods, another one every two seconds. It ends when four emails in five are told, as how
        fast that goes depends on the machine.
        """
        size, dice, witness = self._size, self._dice, self._evidence.witness
        counts = {
            "restart": size.restarts,
            "blackout": size.blackouts,
            "pause": size.pauses,
            "suppress": self._world.plan.suppressions,
        }
        work = [
            (dice.uniform(0.1, _DISTURBED), action) for action, count in counts.items() for _ in range(count)
        ]
        work.sort(reverse=True)
        receivers = [one.detail["to"] for one in witness.asked if one.detail["to"].startswith("user")]
        while (told := sum(map(bool, witness.told.values())) / len(witness.asked)) < _DISTURBED:
            while work and work[-1][0] < told:
                match work.pop()[1]:
                    case "restart":
                        self._world.log("", "an operator: restart")
                        self._died(len([*workers()]))
                        self._restarts += 1
                        await self._stack.restart()
                    case "blackout":
                        self._world.log("", "an operator: kills every environment")
                        self._died(kill_all())
                    case "pause":
                        self._stack.simulator.faults.set(sending_paused=True)
                        await asyncio.sleep(2)
                    case _:
                        await self._suppress(dice.choice(receivers))
            weather = dice.choice(WEATHER)
            self._weather.update(weather.keys())
            self._stack.simulator.faults.set(**{**FINE, **weather})
            await asyncio.sleep(2)

    def _died(self, environments: int) -> None:
        self._killed += environments
        self._evidence.lost_counts(environments)

    async def _suppress(self, address: str) -> None:
        self._world.log("", f"an operator: suppress {address}")
        await self._console.suppress(address)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self._look()

    async def _look(self) -> None:
        async for table, items in self._console.tables():
            self._evidence.looked(table, items)

    async def _quiet(self) -> str:
        """Until nothing has happened for a while and no queue holds a message.

        Or until longer silence, if only repetitions of emails that have their status still wait. The answer
        says what is still under way when patience ends before.
        """
        seen, since = -1, self._world.time()
        end = since + self._size.patience
        while self._world.time() < end:
            await asyncio.sleep(1)
            if self._evidence.happened != seen:
                seen, since = self._evidence.happened, self._world.time()
            waiting = await self._console.waiting()
            silence = self._world.time() - since
            if silence > _QUIET and not waiting:
                return ""
            if silence > 2 * _QUIET and not self._evidence.open_requests():
                return ""
        return (
            f"{waiting} messages still wait, and {self._evidence.open_requests()} emails have no status,"
            f" {self._size.patience:.0f} s after the last fault. That proves nothing: give it more time."
        )

    def _outcome(self, unfinished: str) -> Outcome:
        witness, stack = self._evidence.witness, self._stack
        taken = [one for taken in self._evidence.ses.acceptances.values() for one in taken]
        items = self._evidence.dynamodb.tables[STATE].items()
        sends = [item["sends"]["N"] for key, item in items if key.startswith("quota#") and "sends" in item]
        struck = stack.aws.struck + stack.ses.struck
        return Outcome(
            history=History.seen_by(
                witness,
                taken=[(one.at, len(one.addresses)) for one in taken],
                throttles=0,
                seconds=self._world.time(),
            ),
            struck=struck,
            killed=self._killed + struck["killed before"] + struck["killed after"],
            restarts=self._restarts,
            weather=self._weather,
            calls=stack.aws.calls + stack.ses.calls,
            accepted=sum(len(one.addresses) for one in taken),
            counted=sum(map(int, sends)),
            unfinished=unfinished,
        )
