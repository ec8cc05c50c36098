"""What `sesmailengine send` prints: problems, a progress bar, and a summary."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from rich.console import Console

from engine.cli.bar import progress_bar
from engine.cli.campaign.survey import RowProblem, Survey
from engine.client import PublishProgress, PublishReport
from engine.operations.verdict import amount

RESUME: Final = "Run the same command again to go on; nothing goes twice."


class CampaignScreen:
    """One run of the command on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, *, bad: bool = False) -> None:
        self._console.print(
            text, style="bold red" if bad else None, highlight=False, soft_wrap=True, markup=False
        )

    @contextmanager
    def checking(self, name: str) -> Iterator[Callable[[int], None]]:
        """A spinner while the file is surveyed."""
        with self._console.status(f"Checking {name}") as status:

            def show(rows: int) -> None:
                if rows % 1000 == 0:
                    status.update(f"Checking {name}: {rows:,} rows")

            yield show

    @contextmanager
    def publishing(self, total: int, done: int) -> Iterator[Callable[[PublishProgress], None]]:
        """A bar with count, rate and time left. `done`: rows that earlier runs have done."""
        with progress_bar(self._console, "Publishing", total, done) as advance:
            completed = done

            def show(progress: PublishProgress) -> None:
                nonlocal completed
                completed += len(progress.newly_accepted) + len(progress.newly_not_accepted)
                advance(completed, total)

            yield show

    @contextmanager
    def looking_up(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar over the rows that are looked up in the ledger."""
        with progress_bar(self._console, "Looking up", total) as advance:
            yield lambda rows: advance(rows, total)

    def survey(self, survey: Survey) -> None:
        """What was passed over, and the bad rows."""
        counted = ((survey.blank_rows, "blank row"), (survey.empty_columns, "empty column"))
        if passed_over := " and ".join(amount(count, thing) for count, thing in counted if count):
            self.say(f"Passed over: {passed_over}.")
        for problem in survey.named:
            self.say(problem.sentence, bad=True)
        if survey.bad > len(survey.named):
            self.say(f"… and {survey.bad - len(survey.named):,} more", bad=True)

    def dry_run(self, survey: Survey, bus: str) -> str:
        """Show the first request; answers the verdict."""
        if survey.first:
            self.say("The first request:")
            given = {name: value for name, value in msgspec.to_builtins(survey.first).items() if value}
            self._console.print_json(msgspec.json.encode(given).decode())
        skipped = f", {survey.bad:,} bad rows left out" if survey.bad else ""
        return f"{amount(survey.good, 'email')} would be requested on {bus}{skipped}. Nothing was sent."

    def summary(self, report: PublishReport, *, before: int, refused: list[RowProblem], whole: bool) -> str:
        """Name what was not taken; answers the verdict. `whole`: the file was read to its end."""
        for problem in refused:
            self.say(problem.sentence, bad=True)
        if report.not_accepted > len(refused):
            self.say(f"… and {report.not_accepted - len(refused):,} more", bad=True)
        if report.stopped:
            self.say(f"EventBridge takes no more: {report.stopped}", bad=True)
        missing = f", {report.not_accepted:,} not" if report.not_accepted else ""
        earlier = f" {before:,} were before." if before else ""
        again = "" if whole and report.complete else f" {RESUME}"
        return f"{amount(report.accepted, 'email')} accepted{missing}.{earlier}{again}"
