"""One history from its plan: `simulate(plan)`, the same every time."""

import asyncio
import random
from typing import Any, Self

from benchmarks.gate.virtual_time import VirtualTimeLoop, run_virtually
from msgspec import Struct
from tests.simulation.applications import apply
from tests.simulation.cloud import Cloud
from tests.simulation.invariants import Ending
from tests.simulation.operators import finish, operate, suppress
from tests.simulation.people import People
from tests.simulation.plan import Plan
from tests.simulation.ses import Acceptance
from tests.simulation.stalls import StallingLoop
from tests.simulation.witness import LONGEST, Witness
from tests.simulation.workload import opted_out_before, requests, suppressed_before
from tests.simulation.world import Fact, Violation, World

from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key


class History(Struct, frozen=True, kw_only=True):
    """What happened. `waits` by lane (True for bulk), seconds from the request to SES; `taken` by SES."""

    plan: Plan
    facts: list[Fact]
    violations: list[Violation]
    usage: dict[str, int]
    unsettled: list[str]
    settled: dict[str, int]
    waits: dict[bool, list[float]]
    taken: list[tuple[float, int]]
    throttles: int
    seconds: float

    @classmethod
    def seen_by(
        cls, witness: Witness, *, taken: list[tuple[float, int]], throttles: int, seconds: float
    ) -> Self:
        world = witness.world
        return cls(
            plan=world.plan,
            facts=world.facts,
            violations=world.violations,
            usage=dict(world.usage),
            unsettled=sorted(set(witness.unsettled)),
            settled=dict(witness.settled),
            waits=witness.waits,
            taken=taken,
            throttles=throttles,
            seconds=seconds,
        )

    def of(self, email_id: str) -> list[Fact]:
        """What happened to one email, what operators did, and which environments died."""
        common = ("an operator", "VIOLATION")
        return [
            fact
            for fact in self.facts
            if fact.email_id == email_id or (not fact.email_id and fact.what.startswith(common))
        ]

    def text(self) -> str:
        """The violations, and what led to the first of them."""
        lines = [f"{one.invariant}: {one.email_id} {one.what}" for one in self.violations]
        if self.violations:
            email_id = self.violations[0].email_id
            lines += ["", f"The history of {email_id or 'everything'}:"]
            lines += [f"{fact.at:11.3f}  {fact.email_id[:8]:8}  {fact.what}" for fact in self.of(email_id)]
        return "\n".join(lines)


def simulate(plan: Plan, *, remember: bool = True) -> History:
    loop = StallingLoop if plan.faults.stalled else VirtualTimeLoop
    return run_virtually(_history(plan, remember=remember), loop)


async def _history(plan: Plan, *, remember: bool) -> History:
    dice = random.Random(plan.seed)  # noqa: S311 - dice, and the same ones every time
    asked = list(requests(plan))
    group = asyncio.TaskGroup()
    world = World(plan, dice, group, remembers=remember)
    witness = Witness(world, asked)

    def told(detail_type: str, detail: dict[str, Any]) -> None:
        if detail_type == STATUS_EVENT_DETAIL_TYPE:
            witness.heard(detail)
        elif detail_type == SUBSCRIPTION_DETAIL_TYPE:
            witness.promises.heard(detail)

    def accepted(acceptance: Acceptance) -> None:
        witness.accepted(acceptance)
        people.receive(acceptance, witness.topic_of(acceptance.email_id))

    async with group:
        cloud = witness.cloud = Cloud(
            world,
            watch_write=witness.wrote,
            watch_message=witness.sent_message,
            told=told,
            accepted=accepted,
            ended=witness.ended,
        )
        people = People(world, cloud, witness.promises)
        for address in suppressed_before(plan):
            suppress(cloud, address)
        for address in opted_out_before(plan):
            witness.promises.asks(opt_out_key(address), subscribed=False)
            suppress(cloud, address, UNSUBSCRIBE)
            witness.promises.answered(opt_out_key(address), subscribed=False)
        pollers = cloud.poll()
        world.begin()
        operating = world.spawn(operate(world, cloud, asked, witness.promises))
        await apply(world, cloud, asked, witness.fates)
        await operating
        world.end()
        try:
            async with asyncio.timeout_at(LONGEST):
                await world.quiet()
                await finish(world, cloud)
        except TimeoutError:
            world.violate("lost", "", f"{world.pending} things are under way after {LONGEST:.0f} s")
        seconds = world.time()
        for endless in pollers:
            endless.cancel()
    Ending(witness).judge()
    return History.seen_by(witness, taken=cloud.ses.taken, throttles=len(cloud.ses.too_fast), seconds=seconds)
