"""One run: mail of every kind through the deployed stack while processes die and connections break."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from tests.processes.console import console
from tests.processes.evidence import Evidence, RealWorld
from tests.processes.proxy import Exchange, Proxy
from tests.processes.stack import running_stack
from tests.processes.trial import Outcome, Trial
from tests.processes.trouble import Size
from tests.processes.workers import kill_at
from tests.simulation.workload import requests

_UNPACKED: Final = 2 << 30  # bytes that a run's environments may take


async def run(size: Size, seed: int, log: Path, say: Callable[[str], None]) -> Outcome:
    """The same seed rolls the same dice; what they meet depends on the machine as well.

    `log` gets the emulator's log, with those of the functions.
    """
    dice = random.Random(seed)  # noqa: S311 - dice
    plan = size.plan(seed)
    evidence: list[Evidence] = []  # what happens before there is one concerns nobody

    def watch(exchange: Exchange) -> None:
        for one in evidence:
            one.called(exchange)

    aws, ses = [Proxy(dice, kill_at, watch) for _ in range(2)]
    with tempfile.TemporaryDirectory(dir=_fast_folder(), ignore_cleanup_errors=True) as folder:
        async with (
            running_stack(Path(folder), aws, ses, size.reconcile, say) as stack,
            console(stack) as owner,
            asyncio.TaskGroup() as group,
        ):
            # A simulation may wait for a repetition that comes minutes later.
            asked = [replace(one, at=min(one.at, size.seconds)) for one in requests(plan)]
            evidence.append(Evidence(RealWorld(plan, dice, group), asked, size.reconcile))
            try:
                return await Trial(owner, evidence[0], size, dice, say).run()
            finally:
                log.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(stack.environment.emulator.log, log)


def _fast_folder() -> str | None:
    """In memory, where there is room: each environment that starts unpacks two thousand files."""
    memory = Path("/dev/shm")  # noqa: S108 - made by TemporaryDirectory, for this user alone
    return str(memory) if memory.exists() and shutil.disk_usage(memory).free > _UNPACKED else None
