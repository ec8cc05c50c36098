"""Stop mail, let it go, cancel a campaign: the acts, and what is said of them."""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.operations.actions import tell, telling
from engine.operations.brakes import Brakes, open_brakes
from engine.operations.parked import HIDDEN_SECONDS, Return, open_parked
from engine.operations.queues import PARKED, queue_depths
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict, amount
from engine.schemas.rows import BrakeRow
from engine.schemas.times import iso
from engine.tracking.brakes import CANCEL, STOP, describe
from engine.types import Clock

# Seconds until no invocation acts on what it read before: it does for two, and parks within one more.
SETTLED_SECONDS: Final = 3
_NAMES: Final = {"all": "all mail", "bulk": "bulk mail"}
_NO_PARKING: Final = f"this stack has no {PARKED}"

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


def stopped_verdict(facts: Stopped, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    resume = f"sesmailengine go {scope_option(facts.scope)}{options}"
    if not facts.parks:
        return Verdict(
            good=False,
            sentence=f"The brake is set, but {_NO_PARKING}: an older version does not look"
            " at brakes, a newer one lets stopped mail wait in its lane. Update the stack, and see whether"
            " mail still leaves.",
            next_command=f"sesmailengine status{options}",
        )
    before = f" It was already: {describe(facts.before)}." if facts.before else ""
    return Verdict(
        good=True,
        sentence=f"{_sentence(in_words(facts.scope))} is stopped. That holds within two seconds; what is"
        f" stopped waits in {PARKED}, for 14 days at most.{before}",
        next_command=resume,
    )


def resumed_verdict(facts: Resumed, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    if facts.scope:
        what = _sentence(in_words(facts.scope))
        said = [f"{what} goes again." if facts.lifted else f"{what} was not stopped."]
    else:
        said = ["What was stopped goes again." if facts.lifted else "Nothing was stopped."]
    status = f"sesmailengine status{options}"
    good = bool(facts.lifted)
    if facts.returned is None:
        said.append(f"As {_NO_PARKING}, nothing was parked: what was stopped comes back by itself.")
    else:
        held = sum(facts.returned.held.values())
        if facts.returned.moved:
            said.append(f"{_emails(facts.returned.moved)} came back to {_lanes(facts.returned.moved)}.")
        elif not held and not facts.returned.hidden:
            said.append("Nothing was parked.")
        if held:
            said.append(f"{_emails(held)} stay parked: {', '.join(sorted(facts.returned.held))}.")
        if facts.returned.problem:
            again = "Run it again to go on: nothing goes twice."
            return Verdict(
                good=False,
                sentence=f"{' '.join(said)} It broke off: {facts.returned.problem}. {again}",
                next_command=f"sesmailengine go {scope_option(facts.scope)}{options}",
            )
        if facts.returned.hidden:
            return Verdict(
                good=False,
                sentence=f"{' '.join(said)} {_hidden(facts.returned)}",
                next_command=f"sesmailengine go {scope_option(facts.scope)}{options}",
            )
        good = good or facts.returned.moved > 0
    if facts.cancelled:
        said.append(f"It is cancelled, though, and its mail ends as failed: {describe(facts.cancelled)}.")
        good = False
    return Verdict(good=good, sentence=" ".join(said), next_command=status)


def cancelled_verdict(facts: Cancelled, options: str) -> Verdict:
    """`options`: those that name the stack on a command line."""
    campaign = facts.scope.partition("#")[2]
    said = f"Campaign {campaign} is cancelled: what has not left yet ends as failed, with the code cancelled."
    if facts.returned is None:
        return Verdict(
            good=False,
            sentence=f"{said} But {_NO_PARKING}: a version older than brakes does not look"
            " at them. Update the stack.",
        )
    if facts.returned.problem:
        return Verdict(
            good=False,
            sentence=f"{said} Of the parked mail {_emails(facts.returned.moved)} went there, then it broke"
            f" off: {facts.returned.problem}. Run it again to go on.",
        )
    if facts.returned.hidden:
        return Verdict(good=False, sentence=f"{said} {_hidden(facts.returned)}")
    return Verdict(
        good=True,
        sentence=f"{said} {_emails(facts.returned.moved)} left {PARKED} for that.",
        next_command=f"sesmailengine campaign status {campaign}{options}",
    )


def scope_option(scope: str | None) -> str:
    """The option that names a scope: `--bulk`, `--template welcome`."""
    if scope is None:
        return "--everything"
    kind, _, name = scope.partition("#")
    return f"--{kind}{f' {name}' if name else ''}"


def in_words(scope: str) -> str:
    """Such as `bulk mail` or `mail of campaign spring`."""
    kind, _, name = scope.partition("#")
    return _NAMES.get(kind) or f"mail of {kind} {name}"


def _hidden(returned: Return) -> str:
    return (
        f"About {_emails(returned.hidden)} could not be looked at: another run has them in hand, or one that"
        f" was killed. Run it again in {HIDDEN_SECONDS // 60} minutes, when they show themselves."
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _emails(count: int) -> str:
    return amount(count, "parked email")


def _lanes(count: int) -> str:
    return "its lane" if count == 1 else "their lanes"
