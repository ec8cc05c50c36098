"""Stop mail, let it go, cancel a campaign."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.operations.actions import tell, telling
from engine.operations.brakes import Brakes, open_brakes
from engine.operations.parked import Return, open_parked
from engine.operations.queues import PARKED, queue_depths
from engine.operations.stack import DeployedStack
from engine.schemas.rows import BrakeRow
from engine.schemas.times import iso
from engine.tracking.brakes import CANCEL, STOP
from engine.types import Clock

# Seconds until no invocation acts on what it read before: it does for two, and parks within one more.
SETTLED_SECONDS: Final = 3

OnProgress = Callable[[int, Return], None]
"""Gets about how many emails were parked, and how far they have come back."""


class Stopped(Struct, frozen=True, kw_only=True, rename="camel"):
    """`scope`: such as `template#welcome`. `before`: the brake that was there.

    `parks`: whether the stack has a queue for what is stopped; one that has none may be older than brakes.
    """

    scope: str
    brake: BrakeRow
    before: BrakeRow | None
    parks: bool


class Resumed(Struct, frozen=True, kw_only=True, rename="camel"):
    """`scope`: None for everything. `returned`: what was parked; None where the stack has no queue for it.

    `holding`: the brakes that hold the rest. `cancelled`: the campaign's, which `go` leaves as it is.
    """

    scope: str | None
    lifted: list[BrakeRow]
    returned: Return | None
    holding: list[BrakeRow]
    cancelled: BrakeRow | None


class Cancelled(Struct, frozen=True, kw_only=True, rename="camel"):
    """`returned`: what was parked, also of others that nothing held any more."""

    scope: str
    brake: BrakeRow
    returned: Return | None


async def stop(stack: DeployedStack, scope: str, because: str, clock: Clock) -> Stopped:
    """Set a brake. It takes the place of one that is there."""
    brakes = await open_brakes(stack)
    brake = await _brake(stack, f"{STOP}{scope}", because, clock)
    before = await brakes.set(brake)
    await tell(stack, "stop", scope, because, clock())
    parks = bool(await queue_depths(stack, (PARKED,)))
    return Stopped(scope=scope, brake=brake, before=before, parks=parks)


async def go(
    stack: DeployedStack, scope: str | None, clock: Clock, *, uncancel: bool, on_progress: OnProgress
) -> Resumed:
    """Take brakes away and bring back what they held; `scope` None: all that is stopped.

    What it brings back may be broken off and is told on the bus all the same: the brakes are gone.
    """
    brakes = await open_brakes(stack)
    if scope:
        keys = [f"{STOP}{scope}", *([f"{CANCEL}{scope}"] if uncancel else [])]
    else:
        keys = [brake.pk for brake in await brakes.listing() if brake.pk.startswith(STOP)]
    async with telling(stack, "go", None, clock, scope=scope or "everything"):
        lifted = [brake for key in keys if (brake := await brakes.lift(key))]
        returned = await _bring_back(stack, brakes, on_progress, settle=bool(lifted))
    holding = await brakes.read(returned.held) if returned and returned.held else {}
    cancelled = (await brakes.read([f"{CANCEL}{scope}"])).get(f"{CANCEL}{scope}")
    return Resumed(
        scope=scope, lifted=lifted, returned=returned, holding=list(holding.values()), cancelled=cancelled
    )


async def cancel(
    stack: DeployedStack, scope: str, because: str, clock: Clock, *, on_progress: OnProgress
) -> Cancelled:
    """Let all mail of a campaign that has not left end as failed, what was parked too."""
    brakes = await open_brakes(stack)
    brake = await _brake(stack, f"{CANCEL}{scope}", because, clock)
    async with telling(stack, "cancel", because, clock, scope=scope):
        await brakes.set(brake)
        returned = await _bring_back(stack, brakes, on_progress, settle=True)
    return Cancelled(scope=scope, brake=brake, returned=returned)


async def _brake(stack: DeployedStack, key: str, because: str, clock: Clock) -> BrakeRow:
    return BrakeRow(pk=key, because=because, by=await stack.operator(), since=iso(clock()))


async def _bring_back(
    stack: DeployedStack, brakes: Brakes, on_progress: OnProgress, *, settle: bool
) -> Return | None:
    """None for a stack that has no queue for stopped mail."""
    if settle:
        await asyncio.sleep(SETTLED_SECONDS)
    found = await queue_depths(stack, (PARKED,))
    if not found:
        return None
    (depth,) = found
    parked = await open_parked(stack, brakes)
    returned = await parked.bring_back(lambda so_far: on_progress(depth.visible, so_far))
    return replace(returned, hidden=depth.in_flight)
