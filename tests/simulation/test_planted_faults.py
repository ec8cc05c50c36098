"""The checker bites: each planted fault breaks an invariant in some seed that every change runs against."""

import pytest
from tests.simulation.__main__ import CI_SEEDS
from tests.simulation.plan import plan_of
from tests.simulation.planted import PLANTED
from tests.simulation.simulate import simulate


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_caught(name: str) -> None:
    plant, known = PLANTED[name]
    for seed in (known, *range(CI_SEEDS)):
        with plant():
            history = simulate(plan_of(seed), remember=False)
        if history.violations:
            return
    pytest.fail(f"no seed notices that {name}")
