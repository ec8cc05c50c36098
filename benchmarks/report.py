"""What a run found: numbers with their noise, and the tables and plots of each section."""

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np

Unit = Literal["ms", "µs", "%", "$", "MB", "calls"]
_BLOCKS: Final = 5  # parts of a series whose medians tell how much it varies
_LEAST_NOISE: Final = 0.05  # what two quiet runs differ by on one machine


def median(series: Sequence[float]) -> float:
    return float(np.median(series))


def noise(series: Sequence[float]) -> float:
    """Half of what the medians of five consecutive parts differ by, relative to the median of all."""
    if len(series) < 2 * _BLOCKS or not median(series):
        return 0.0
    medians = [float(np.median(part)) for part in np.array_split(np.asarray(series), _BLOCKS)]
    return (max(medians) - min(medians)) / 2 / median(series)


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a run, for comparing it with another run. `noise`: what it varies by, relative."""

    name: str
    value: float
    unit: Unit
    noise: float = 0.0
    more_is_better: bool = False


class ResultTable(msgspec.Struct, frozen=True, kw_only=True):
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
    """`summary`: rows of what was found, and beside what."""

    name: str
    measures: list[Measure] = []
    summary: list[tuple[str, str, str]] = []
    tables: list[ResultTable] = []
    plots: list[Plot] = []
    seconds: float = 0.0


class BenchmarkReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `machine`: system, cores, Python and load, in words."""

    taken_at: str
    version: str
    commit: str
    profile: str
    machine: str
    sections: list[Section]

    @property
    def measures(self) -> dict[str, Measure]:
        return {f"{section.name}: {one.name}": one for section in self.sections for one in section.measures}

    @property
    def summary(self) -> ResultTable:
        rows = [list(row) for section in self.sections for row in section.summary]
        return ResultTable(title="Summary", columns=["", "found", "beside"], rows=rows)


def changes(before: BenchmarkReport, now: BenchmarkReport) -> ResultTable:
    """Every measure of both runs that differs by more than both vary by, what got worse first."""
    rows = []
    for name, new in now.measures.items():
        old = before.measures.get(name)
        if old is None or old.value <= 0 or new.value <= 0:
            continue
        factor, variation = new.value / old.value, _LEAST_NOISE + old.noise + new.noise
        if abs(math.log(factor)) > math.log1p(variation):
            values = (f"{one.value:.2f} {one.unit}" for one in (old, new))
            verdict = "worse" if (factor > 1) is not new.more_is_better else "better"
            rows.append([name, *values, f"{factor:.2f}", f"±{variation:.0%}", verdict])
    return ResultTable(
        title=f"Changes since {before.commit} of {before.taken_at}",
        columns=["", "before", "now", "factor", "noise", ""],
        rows=sorted(rows, key=lambda row: row[-1] != "worse"),
        note="" if rows else "Nothing differs beyond noise.",
    )
