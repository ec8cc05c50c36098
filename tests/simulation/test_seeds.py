"""A few hundred small histories of the whole engine, each with faults of its own, against the invariants.

`make prove SEED=17` tells one of them; a failure here prints the smallest history found that still breaks.
"""

import pytest
from tests.simulation.__main__ import CI_SEEDS, explain
from tests.simulation.plan import Plan, plan_of
from tests.simulation.shrink import shrink
from tests.simulation.simulate import simulate

from engine.aws.ledger import TrackingLedger

_AT_ONCE = 10  # histories in one test


@pytest.mark.parametrize("first", range(0, CI_SEEDS, _AT_ONCE))
def test_every_invariant_holds_in_every_small_history(first: int) -> None:
    for seed in range(first, first + _AT_ONCE):
        history = simulate(plan_of(seed), remember=False)
        if history.violations:
            pytest.fail(explain(simulate(plan_of(seed))))


def test_one_seed_makes_one_history() -> None:
    assert simulate(plan_of(3)) == simulate(plan_of(3))


def test_histories_have_faults_enough_to_prove_something() -> None:
    usage = [simulate(plan_of(seed), remember=False).usage for seed in (*range(1, 20), 40)]
    met = {name for one in usage for name, count in one.items() if count}
    assert met >= {
        "log duplicate",
        "log email-deferred",
        "log feedback-failed",
        "log outcome-unknown",
        "log publish-failed",
        "log retry-needless",
        "log service-unavailable",
        "log ses-paused",
        "log ses-throttled",
        "log subscription-changed",
        "dynamodb.UpdateItem lost",
        "scheduler.CreateSchedule lost",
        "scheduled mail taken back",
        "scheduled mail not taken back",
        "readers' subscribe",
        "sesv2.SendBulkEmail",
    }


def test_a_history_that_breaks_is_shrunk_to_less_mail_and_fewer_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def forgotten(*_: object) -> None:
        """A refusal that nobody writes down."""

    monkeypatch.setattr(TrackingLedger, "record", forgotten)
    history = simulate(Plan(seed=2, emails=24, odd=1.0, bulk=0.0))
    small = shrink(history)
    assert small.violations[0].invariant == history.violations[0].invariant == "lost"
    assert small.plan.keep is not None
    assert len(small.plan.keep) == 1
    assert "published as request" in small.text()
