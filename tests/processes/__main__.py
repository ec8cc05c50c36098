"""The part of `make prove` with real processes: one run on the emulator, its table, and what broke in it."""

import argparse
import asyncio
import time
from collections import Counter
from typing import Final

from tests.processes.run import run
from tests.processes.trial import Outcome
from tests.processes.trouble import Size

from engine.local.cdk import CdkError
from engine.local.emulator import PROJECT, EmulatorError

LOG: Final = PROJECT / ".local" / "prove.log"
_PER_SECOND: Final = 8.0  # emails: what two cores work off while they start environments anew


def size_of(emails: int) -> Size:
    """A long run: a restart a minute, and three times as often the death of all environments."""
    seconds = emails / _PER_SECOND
    return Size(
        emails=emails,
        seconds=seconds,
        restarts=max(1, round(seconds / 60)),
        blackouts=round(seconds / 20),
        pauses=max(1, round(seconds / 120)),
        reconcile=90,
        patience=900,
    )


def table(outcome: Outcome) -> str:
    """Markdown, as docs/reliability.md shows it."""
    history, struck = outcome.history, Counter(outcome.struck)
    broken = Counter(one.invariant for one in history.violations)
    named = broken["lost"] + broken["doubled"] + broken["wrong status"]
    rows = {
        "emails published": history.plan.emails,
        "recipients that SES took": outcome.accepted,
        "calls to AWS and SES": outcome.calls,
        "environments killed": outcome.killed,
        "restarts of the emulator": outcome.restarts,
        "connections cut before the request, after it": f"{struck['cut before']}, {struck['cut after']}",
        "requests delayed, answers delayed": f"{struck['late request']}, {struck['late answer']}",
        "answers truncated, corrupted": f"{struck['truncated']}, {struck['corrupted']}",
        "SES's own faults": sum(outcome.weather.values()),
        "**lost**": broken["lost"],
        "**doubled**": broken["doubled"],
        "**wrong status**": broken["wrong status"],
        "**other invariants broken**": broken.total() - named,
        "unsettled": len(history.unsettled),
        "whole in a dead-letter queue": history.settled.get("in a dead-letter queue", 0),
        "recipients that the day's counters say": outcome.counted,
    }
    lines = ["| with real processes | |", "| --- | --- |"]
    return "\n".join(
        [*lines, *(f"| {name} | {n if isinstance(n, str) else f'{n:,}'} |" for name, n in rows.items())]
    )


def main() -> int:
    options = argparse.ArgumentParser(prog="make prove", description=__doc__)
    options.add_argument("--emails", type=int, default=500, help="emails to publish")
    options.add_argument("--seed", type=int, default=1, help="of the dice; the machine rolls as well")
    asked = options.parse_args()
    began = time.perf_counter()
    try:
        outcome = asyncio.run(run(size_of(asked.emails), asked.seed, LOG, print))
    except (EmulatorError, CdkError) as error:
        print(error)  # noqa: T201 - a command's output
        return 1
    took = time.perf_counter() - began
    print(f"\nReal processes, {took:.0f} s\n\n{table(outcome)}\n")  # noqa: T201 - as above
    print(outcome.unfinished or outcome.history.text())  # noqa: T201 - as above
    if outcome.history.violations or outcome.unfinished:
        print(f"\nThe emulator's log, with those of the functions: {LOG}")  # noqa: T201 - as above
    return bool(outcome.history.violations or outcome.unfinished)


if __name__ == "__main__":
    raise SystemExit(main())
