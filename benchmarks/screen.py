"""A run on the terminal: progress while it runs, then tables and targets."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from benchmarks.report import Report, Table, Target, compare


class ProgressScreen:
    """A bar for each section, drawn between measurements: a thread that draws would be measured too."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.fields[section]:<9}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
        )
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def tell(self, section: str, step: str, part: float) -> None:
        if section not in self._tasks:
            self._tasks[section] = self._bars.add_task(step, section=section, total=1.0)
        self._bars.update(self._tasks[section], description=step, completed=part)  # type: ignore[arg-type] # rich's id
        self._bars.refresh()


def show(console: Console, report: Report) -> None:
    for section in report.sections:
        console.rule(f"[bold]{section.name}[/bold]  {section.seconds:.0f} s")
        for table in section.tables:
            console.print(_table(table))
    targets = [target for section in report.sections for target in section.targets]
    if targets:
        console.print(_targets(targets))
    machine = report.machine
    console.print(
        f"{machine.system}, {machine.cores} cores, Python {machine.python}; profile {report.profile};"
        f" yardstick {machine.yardstick:.1f} ms ±{machine.yardstick_noise:.0%};"
        f" load {machine.load_before:.1f} before, {machine.load_after:.1f} after."
    )


def _table(table: Table) -> RichTable:
    shown = RichTable(
        title=table.title, caption=table.note or None, title_justify="left", caption_justify="left"
    )
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=not number)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _targets(targets: list[Target]) -> RichTable:
    shown = RichTable("target", "wanted", "found", "", "note", title="Targets", title_justify="left")
    for target in targets:
        mark = "[green]met[/green]" if target.met else "[red]missed[/red]"
        shown.add_row(target.name, wanted(target), f"{target.value:.2f} {target.unit}", mark, target.note)
    return shown


def wanted(target: Target) -> str:
    if target.at_most is not None:
        return f"≤ {target.at_most:g} {target.unit}"
    return f"≥ {target.at_least:g} {target.unit}"


def show_changes(console: Console, before: Report, now: Report) -> None:
    """What differs beyond noise; where nothing does, that too."""
    changes = [change for change in compare(before, now) if change.beyond_noise]
    shown = RichTable(
        "", "before", "now", "factor", "noise", "", title=f"Against {before.commit} of {before.taken_at}"
    )
    for change in sorted(changes, key=lambda one: not one.worse):
        word = "[red]worse[/red]" if change.worse else "[green]better[/green]"
        shown.add_row(
            change.name,
            f"{change.before:.2f} {change.unit}",
            f"{change.now:.2f} {change.unit}",
            f"{change.factor:.2f}",
            f"±{change.noise:.0%}",
            word,
        )
    console.print(shown if changes else "Nothing differs beyond noise.")
