"""A bar with count, rate and time left, for what goes over many emails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Advance(Protocol):
    def __call__(self, completed: int, total: int | None = None) -> None: ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress_bar(
    console: Console, doing: str, total: int | None = None, done: int = 0, *, hidden: bool = False
) -> Iterator[Advance]:
    """Gives a function that takes how many are done by now and, where it has changed, of how many.

    Nothing is shown where the console is no terminal.
    """
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=hidden or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=total, completed=done)

        def show(completed: int, total: int | None = None) -> None:
            bar.update(task, completed=completed, total=total)

        yield show
