"""What the simulation once found: the plan or the seed that showed it, and that it shows it no more."""

import pytest
from tests.simulation.plan import Faults, Plan, plan_of
from tests.simulation.planted import PLANTED
from tests.simulation.simulate import History, simulate


def told(history: History, what: str) -> int:
    return sum(fact.what == f"told: {what}" for fact in history.facts)


def test_a_retry_that_was_begun_ends_as_superseded_once_its_original_has_arrived() -> None:
    """It was dropped, untold, and its row stayed at `sending`."""
    histories = [simulate(plan_of(seed)) for seed in range(12, 300, 25)]
    assert sum(told(history, "failed superseded") for history in histories)
    assert not any(history.violations for history in histories)


def test_no_count_is_repeated_by_the_sdk() -> None:
    """An ADD whose answer was lost was counted twice."""
    plan = Plan(seed=1, emails=40, faults=Faults(answer_lost=0.3))
    assert not simulate(plan, remember=False).violations
    with PLANTED["the SDK counts again"].plant():
        assert simulate(plan, remember=False).violations


@pytest.mark.parametrize("seed", [230, 725, 960])
def test_the_first_email_after_an_idle_second_crowds_none_behind_it(seed: int) -> None:
    """SES throttled the fifteenth: the first had left as late as the answer to its claim."""
    history = simulate(plan_of(seed), remember=False)
    assert (history.throttles, history.violations) == (0, [])


@pytest.mark.parametrize("seed", [256, 442, 481, 491])
def test_a_stop_holds_within_two_seconds(seed: int) -> None:
    """Not for emails whose neighbour was looking: what was known passed for fresh once the look had begun.

    Nor for one whose request was kept seconds after its slot: it had looked in time for the slot.
    """
    assert not simulate(plan_of(seed), remember=False).violations


def test_parked_mail_comes_back_though_a_brake_is_not_in_the_list_of_brakes() -> None:
    """A stop and a go at once: the brake holds, and only the answer to a later `go` names it."""
    assert not simulate(plan_of(509), remember=False).violations


def test_everything_is_final_once_everything_was_redriven() -> None:
    """A row stayed at `sending` while the reports that move it lay in a dead-letter queue."""
    faults = Faults(undelivered=0.3, crashed=0.3, throttled=0.1)
    redriven = simulate(Plan(seed=1, emails=40, faults=faults, redrives=6, ends_redriven=True))
    assert redriven.usage["operators' redrive"]
    assert not redriven.violations
    assert "in a dead-letter queue" not in redriven.settled
