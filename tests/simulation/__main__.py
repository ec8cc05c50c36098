"""`make prove`: small histories by the hundred, then the headline; or one seed, with what broke in it."""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.simulation.plan import plan_of
from tests.simulation.report import measure, table
from tests.simulation.shrink import shrink
from tests.simulation.simulate import History, simulate

CI_SEEDS: Final = 300


def broken(seed: int) -> int | None:
    """The seed, if its history breaks an invariant."""
    return seed if simulate(plan_of(seed), remember=False).violations else None


def explain(history: History) -> str:
    """What broke, in the smallest history that still shows it."""
    if not history.violations:
        settled = ", ".join(f"{count} {how}" for how, count in sorted(history.settled.items()))
        return (
            f"seed {history.plan.seed}: every invariant held ({settled}; {len(history.unsettled)} unsettled)"
        )
    small = shrink(history)
    return f"seed {history.plan.seed} broke; the smallest history found:\n{small.plan}\n\n{small.text()}"


def main() -> int:
    options = argparse.ArgumentParser(prog="make prove", description=__doc__)
    options.add_argument("--seed", type=int, help="only this history")
    options.add_argument("--seeds", type=int, default=2000, help="how many small histories")
    options.add_argument("--emails", type=int, default=50_000, help="emails of the headline, at each rate")
    options.add_argument("--processes", type=int, default=2)
    asked = options.parse_args()
    if asked.seed is not None:
        history = simulate(plan_of(asked.seed))
        print(explain(history))  # noqa: T201 - a command's output
        return bool(history.violations)
    began = time.perf_counter()
    with ProcessPoolExecutor(asked.processes) as pool:
        bad = [seed for seed in pool.map(broken, range(asked.seeds), chunksize=10) if seed is not None]
    took = time.perf_counter() - began
    print(f"{asked.seeds:,} small histories in {took:.0f} s, {len(bad)} of them broken")  # noqa: T201 - as above
    for seed in bad[:3]:
        print(explain(simulate(plan_of(seed))))  # noqa: T201 - as above
    began = time.perf_counter()
    lines = measure(asked.emails, asked.processes) if asked.emails else []
    took = time.perf_counter() - began
    print(f"\nHeadline: {asked.emails:,} emails at each rate, in {took:.0f} s\n\n{table(lines)}")  # noqa: T201 - as above
    wrong = sum(line.lost + line.doubled + line.wrong + line.other for line in lines)
    return bool(bad or wrong)


if __name__ == "__main__":
    raise SystemExit(main())
