"""What a campaign shows: a bar while it runs, and a summary."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
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

from engine.cli.campaign.campaign import Survey
from engine.client import EmailRequest, Report
from engine.client import Progress as Sent

GO_ON: Final = "Run the same command again to go on; nothing goes twice."


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class CampaignScreen:
    """One run on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, *, bad: bool = False) -> None:
        self._console.print(text, style="bold red" if bad else None, highlight=False, soft_wrap=True)

    @contextmanager
    def looking(self, name: str) -> Iterator[Callable[[int], None]]:
        """A spinner over the first pass through the file."""
        with self._console.status(f"Checking {name}") as status:

            def seen(rows: int) -> None:
                if rows % 1000 == 0:
                    status.update(f"Checking {name}: {rows:,} rows")

            yield seen

    @contextmanager
    def sending(self, total: int, done: int) -> Iterator[Callable[[Sent], None]]:
        """A bar with count, rate and time left. `done`: accepted in an earlier run."""
        bar = Progress(
            TextColumn("Publishing"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        with bar:
            task = bar.add_task("", total=total, completed=done)

            def show(progress: Sent) -> None:
                bar.update(task, completed=done + progress.accepted + progress.not_accepted)

            yield show

    def bad_rows(self, survey: Survey) -> None:
        for problem in survey.named:
            self.say(problem, bad=True)
        if survey.bad > len(survey.named):
            self.say(f"… and {survey.bad - len(survey.named):,} more", bad=True)

    def refusal(self, survey: Survey) -> None:
        self.say(
            f"{survey.bad:,} of {survey.rows:,} rows can't be sent. Mend them, or send the others with"
            " --skip-invalid. Nothing was sent.",
            bad=True,
        )

    def rehearsal(self, survey: Survey, bus: str) -> None:
        skipped = f", {survey.bad:,} bad rows left out" if survey.bad else ""
        self.say(f"{_emails(survey.good)} would be asked for on {bus}{skipped}. Nothing was sent.")
        if survey.first:
            self.say("The first request:")
            self._console.print_json(_text(survey.first))

    def summary(self, report: Report, *, before: int, refused: list[str], whole: bool) -> None:
        """`whole`: the file was read to its end."""
        for problem in refused:
            self.say(problem, bad=True)
        if report.not_accepted > len(refused):
            self.say(f"… and {report.not_accepted - len(refused):,} more", bad=True)
        if report.stopped:
            self.say(f"EventBridge takes no more: {report.stopped}", bad=True)
        missing = f", {report.not_accepted:,} not" if report.not_accepted else ""
        earlier = f" {before:,} were before." if before else ""
        self.say(f"{_emails(report.accepted)} accepted{missing}.{earlier}")
        if not (whole and report.complete):
            self.say(GO_ON)


def _emails(count: int) -> str:
    return f"{count:,} email{'' if count == 1 else 's'}"


def _text(request: EmailRequest) -> str:
    asked = {name: value for name, value in msgspec.to_builtins(request).items() if value}
    return msgspec.json.encode(asked).decode()
