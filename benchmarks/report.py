"""What a run found: numbers with their noise, the targets they are held to, the tables of each section."""

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np

Unit = Literal["ms", "µs", "emails/s", "x", "%", "$", "MB", "calls", "bytes", "emails", "sends"]
_BLOCKS: Final = 5  # parts of a series whose medians tell how much it wanders


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of a series, in milliseconds. `noise`: how far the medians of its five parts lie apart, relative."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    noise: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Percentiles":
        """Percentiles are numpy's, interpolated linearly; of few samples the high ones are the worst seen."""
        series = np.asarray(seconds, dtype=float) * 1000
        p50, p90, p99, p999 = (float(value) for value in np.percentile(series, [50, 90, 99, 99.9]))
        return cls(count=len(series), p50=p50, p90=p90, p99=p99, p999=p999, noise=noise(seconds))


def noise(series: Sequence[float]) -> float:
    """Half of what the medians of five consecutive parts differ by, relative to the median of all."""
    values = np.asarray(series, dtype=float)
    middle = float(np.median(values))
    if len(values) < 2 * _BLOCKS or not middle:
        return 0.0
    medians = [float(np.median(part)) for part in np.array_split(values, _BLOCKS)]
    return (max(medians) - min(medians)) / 2 / middle


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run. `scales`: it grows with a slower machine; runs compare it by their yardsticks."""

    section: str
    name: str
    value: float
    unit: Unit
    noise: float = 0.0
    scales: bool = False
    more_is_better: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A number that this project promised itself. `at_most` or `at_least` is set."""

    name: str
    value: float
    unit: Unit
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        low = self.at_most is None or self.value <= self.at_most
        return low and (self.at_least is None or self.value >= self.at_least)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Ready to be shown: the first column names the row, the others are right-aligned."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """Series of points by name; `kind` says how they are drawn."""

    title: str
    kind: Literal["distribution", "lines", "stacked"]
    x_title: str
    y_title: str
    series: dict[str, list[tuple[float, float]]]
    log_x: bool = False


class Section(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    measures: list[Measure] = []
    targets: list[Target] = []
    tables: list[Table] = []
    plots: list[Plot] = []
    seconds: float = 0.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran. `yardstick`: milliseconds of a fixed piece of Python here, the run's median."""

    system: str
    python: str
    cores: int
    yardstick: float
    yardstick_noise: float
    load_before: float
    load_after: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    taken_at: str
    version: str
    commit: str
    profile: str
    machine: Machine
    sections: list[Section]

    @property
    def measures(self) -> dict[str, Measure]:
        return {f"{one.section}: {one.name}": one for section in self.sections for one in section.measures}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """`factor`: now by before, with the machines' speeds taken out; `noise`: what both runs wander by."""

    name: str
    before: float
    now: float
    unit: Unit
    factor: float
    noise: float
    worse: bool

    @property
    def beyond_noise(self) -> bool:
        return abs(math.log(self.factor)) > math.log1p(self.noise)


LEAST_NOISE: Final = 0.05  # what two quiet runs differ by on one machine


def compare(before: Report, now: Report) -> list[Change]:
    """Every measure that both runs hold and that is positive in both, in the order of `now`."""
    pace = now.machine.yardstick / before.machine.yardstick
    changes = []
    for name, new in now.measures.items():
        old = before.measures.get(name)
        if old is None or old.value <= 0 or new.value <= 0:
            continue
        factor = new.value / old.value / (_scale(new, pace) if new.scales else 1.0)
        wander = LEAST_NOISE + old.noise + new.noise
        if new.scales:
            wander += before.machine.yardstick_noise + now.machine.yardstick_noise
        worse = factor < 1 if new.more_is_better else factor > 1
        changes.append(
            Change(
                name=name,
                before=old.value,
                now=new.value,
                unit=new.unit,
                factor=factor,
                noise=wander,
                worse=worse,
            )
        )
    return changes


def _scale(measure: Measure, pace: float) -> float:
    return 1 / pace if measure.more_is_better else pace
