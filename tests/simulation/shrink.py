"""A smaller history that breaks the same invariant: fewer emails, fewer faults."""

from collections.abc import Iterator

from msgspec.structs import asdict, replace
from tests.simulation.plan import Plan
from tests.simulation.simulate import History, simulate

MOST_TRIES = 150


def shrink(history: History) -> History:
    """The smallest history found that violates what this one did first. Greedy: every step keeps breaking."""
    broken = history.violations[0].invariant
    tries = 0
    smaller = True
    while smaller:
        smaller = False
        for plan in _simpler(history.plan):
            if tries == MOST_TRIES:
                return history
            tries += 1
            tried = simulate(plan)
            if any(one.invariant == broken for one in tried.violations):
                history, smaller = tried, True
                break
    return history


def _simpler(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, the boldest first."""
    kept = sorted(plan.keep if plan.keep is not None else range(plan.emails))
    size = len(kept) // 2
    while size:
        for start in range(0, len(kept), size):
            left = frozenset(kept[:start] + kept[start + size :])
            if left:
                yield replace(plan, keep=left)
        size //= 2
    for name, value in asdict(plan.faults).items():
        if value:
            yield replace(plan, faults=replace(plan.faults, **{name: 0.0}))
    for name in ("pauses", "suppressions", "outages", "redrives", "stops", "cancels", "readers", "scheduled"):
        if getattr(plan, name):
            yield replace(plan, **{name: 0})
