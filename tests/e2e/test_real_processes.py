"""The invariants hold where real processes die, AWS restarts and connections break: a short run of it.

`make prove REAL=2000` makes a long one.
"""

from pathlib import Path

import pytest
from tests.processes.run import run
from tests.processes.trouble import Size

# About a minute beyond the deployment on two quiet cores; most of it waits for leases to run out.
SIZE = Size(emails=40, seconds=6, restarts=1, blackouts=1, odds=1.5, reconcile=5, patience=300)


@pytest.mark.e2e
async def test_nothing_is_lost_or_doubled_while_processes_die_and_connections_break(tmp_path: Path) -> None:
    log = tmp_path / "emulator.log"
    outcome = await run(SIZE, seed=1, log=log, say=print)
    assert not outcome.unfinished
    assert not outcome.history.violations, f"{outcome.history.text()}\n\nThe emulator's log: {log}"
    # The dice may spare every call; the restart ends all environments in any case.
    assert outcome.killed or outcome.restarts
    assert outcome.struck
    assert outcome.accepted
