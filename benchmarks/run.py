"""A run in progress: what is measured, and what sections share."""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.bundle import MeasuredHandler
from benchmarks.fake_aws.function import FunctionProcess
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.services import FakeServices
from benchmarks.report import Section, median

ENGINE: Final = "engine"  # of this checkout; others are named after their folder
SENDER: Final = "engine.handlers.email_sender.handler"
FEEDBACK: Final = "engine.handlers.feedback_processor.handler"
# A function has one full core at 1,769 MB, and a part of it below:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEMORY_OF_A_CORE: Final = 1769


@dataclass(kw_only=True)
class Samples:
    """Invocations of one handler with events of one kind.

    `seconds` and `cpu` (seconds of the whole process) are of each invocation; `log_bytes` and `usage`,
    counted as in `FakeServices`, of all; `resident`: megabytes of memory after the last.
    """

    emails: int = 1  # of an invocation
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    log_bytes: int = 0
    resident: float = 0.0
    usage: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    async def add(self, function: FunctionProcess, services: FakeServices, event: Any) -> None:
        """Invoke the function once and note what it took."""
        cpu, log, usage = function.cpu_seconds(), function.log_size(), dict(services.usage)
        self.seconds.append((await function.invoke(event)).seconds)
        self.cpu.append(function.cpu_seconds() - cpu)
        self.log_bytes += function.log_size() - log
        self.resident = function.megabytes()
        for name, count in services.usage.items():
            self.usage[name] += count - usage.get(name, 0)

    def percentile(self, percent: float) -> float:
        """Milliseconds of an invocation, interpolated; of few samples the high ones are the worst."""
        return float(np.percentile(self.seconds, percent)) * 1000

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return self.percentile(50)

    @property
    def rate(self) -> float:
        """Emails a second of one environment."""
        return self.emails / median(self.seconds)

    def per_email(self, total: float) -> float:
        return total / (self.emails * len(self.seconds))

    @property
    def cpu_per_email(self) -> float:
        """Milliseconds."""
        return self.per_email(sum(self.cpu)) * 1000

    @property
    def calls_per_email(self) -> float:
        return self.per_email(self.usage["calls"])

    def seconds_at(self, memory: int) -> float:
        """An invocation with so many MB: waiting stays, CPU stretches with the part of a core."""
        cpu = sum(self.cpu) / len(self.cpu)
        return max(median(self.seconds) - cpu, 0.0) + cpu * max(1.0, _MEMORY_OF_A_CORE / memory)


@dataclass
class Run:
    """`engines`: folders on the path of each by name, the one of this checkout first.

    `show`: tells a person the step and which part of the section is done, 0 to 1. `effort`: 1 for the full
    suite, less for a glance. `samples`: by scenario, then by handler.
    """

    latencies: Latencies
    engines: Mapping[str, tuple[Path, ...]]
    show: Callable[[str, float], None]
    effort: float = 1.0
    samples: dict[str, dict[str, Samples]] = field(default_factory=dict)

    def times(self, full: int) -> int:
        """How often to repeat what the full suite repeats `full` times."""
        return max(1, math.ceil(full * self.effort))

    def measured(self, handler: str, **variables: str) -> list[MeasuredHandler]:
        """A handler of each engine."""
        return [
            MeasuredHandler(name=name, handler=handler, path=path, variables=variables)
            for name, path in self.engines.items()
        ]

    def beside(self, scenario: str, figure: Callable[[Samples], float]) -> str:
        """The engine's figure divided by that of each other handler in a scenario, if it has any."""
        own, *others = [(name, figure(one)) for name, one in self.samples[scenario].items()]
        return ", ".join(f"{own[1] / other:.2f} x {name}" for name, other in others if other)


MeasureSection = Callable[[Run], Awaitable[Section]]
