"""A run in progress: what sections share, and who is told how far it is."""

import asyncio
import math
import os
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import Machine, Section, noise

Tell = Callable[[str, float], None]


@dataclass
class Run:
    """`effort`: 1 for the full suite, less for a glance. `tell`: the step and the part done, 0 to 1."""

    latencies: Latencies
    tell: Tell
    effort: float = 1.0
    long: bool = False
    sections: dict[str, Section] = field(default_factory=dict)
    paces: list[float] = field(default_factory=list)

    def times(self, full: int, least: int = 2) -> int:
        """How often to repeat what the full suite repeats `full` times."""
        return max(least, math.ceil(full * self.effort))

    def take_pace(self) -> None:
        """Note how fast this machine is just now."""
        self.paces.extend(yardstick() for _ in range(5))


Measuring = Callable[[Run], Awaitable[Section]]


def yardstick() -> float:
    """Milliseconds of a fixed piece of Python: dicts, strings and calls, as handlers are made of."""
    began = time.perf_counter()
    total = 0
    for number in range(20_000):
        total += len(str({"number": number, "text": f"{number:08}"}))
    return (time.perf_counter() - began) * 1000


def machine(run: Run, load_before: float) -> Machine:

    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=os.cpu_count() or 1,
        yardstick=float(np.median(run.paces)),
        yardstick_noise=noise(run.paces),
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )


async def breathe() -> None:
    """Let what is under way on the loop come to rest before something is timed."""
    await asyncio.sleep(0.05)
