"""What `demo` and `local` print: what is being started, a table of the demo's emails, and a verdict."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.table import Table
from rich.text import Text

from engine.local.demo import CaseProgress
from engine.local.environment import LocalEnvironment

_STYLE: Final = {
    "waiting": "dim",
    "published": "dim",
    "sent": "cyan",
    "delivered": "green",
    "opened": "green",
    "soft_bounced": "yellow",
    "failed": "red",
    "bounced": "red",
    "complained": "magenta",
    "dry_run": "blue",
}

# Columns of a terminal. On 80, the least, the table fits with a space between its columns.
_ROOMY: Final = 86
_WIDE: Final = 130


class DemoScreen:
    """One run on one console. Without a terminal (a pipe, CI) it prints only what is final."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Sequence[CaseProgress] = ()
        self._live: Live | None = None
        self._status: Status | None = None
        self._began = monotonic()

    @contextmanager
    def starting(self) -> Iterator[Callable[[str], None]]:
        """A spinner that says what is being started."""
        with self._console.status("Starting") as status:
            self._status = status

            def say(what: str) -> None:
                status.update(f"{what} …")
                if not self._console.is_terminal:
                    self._console.print(f"{what} …")

            yield say

    def begin(self, progress: Sequence[CaseProgress], inbox: str) -> None:
        """Show the table, which follows `progress`."""
        self._stop_spinner()
        self._progress = progress
        self._console.print(
            f"Ready after {monotonic() - self._began:.0f} s."
            f" The inbox is at [link={inbox}]{inbox}[/link] while this runs.\n"
        )
        if self._console.is_terminal:
            self._live = Live(get_renderable=self.table, console=self._console, refresh_per_second=8)
            self._live.start()

    def end(self) -> None:
        """Leave the table as it is now."""
        if self._live:
            self._live.stop()
            self._live = None
        else:
            self._console.print(self.table())
        self._console.print()

    def table(self) -> Table:
        """The emails so far. Wide screens have the reason's sentence and the address as well."""
        width = self._console.width
        wide = width >= _WIDE
        padding = 1 if width >= _ROOMY else 0  # beside the space that the box has between columns
        table = Table(box=SIMPLE_HEAD, padding=(0, padding, 0, 0), pad_edge=False, show_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("email", no_wrap=True, min_width=17)
        if wide:
            table.add_column("to", no_wrap=True, style="dim")
        table.add_column("template", no_wrap=True, style="dim")
        # The longest status and time that may come, so that the columns stay where they are.
        table.add_column("status", no_wrap=True, min_width=len("soft_bounced"))
        table.add_column("reason", no_wrap=not wide, min_width=len("soft-bounce-retry-failed"))
        table.add_column("time", justify="right", no_wrap=True, min_width=len("12.3 s"))
        for progress in self._progress:
            mark = ("✗", "bold red") if progress.problem else ("✓", "bold green")
            if not (progress.problem or progress.is_settled):
                mark = ("·", "dim")
            case, code = progress.case, progress.code or ""
            sentence = ": ".join(filter(None, (code, progress.message)))
            seconds = f"{progress.seconds:.1f} s" if progress.seconds is not None else ""
            table.add_row(
                Text(*mark),
                Text(case.title),
                *([Text(case.request.to)] if wide else []),
                Text(case.request.template_name),
                Text(progress.status, style=_STYLE.get(progress.status, "")),
                Text(progress.note or (sentence if wide else code), style="dim"),
                Text(seconds),
            )
        return table

    def verdict(self, *, good: bool, log: Path) -> None:
        """The last words: all is well, or what went wrong with which email, and the functions' log."""
        if good:
            emails = sum(progress.case.size for progress in self._progress)
            self._console.print(
                f"[bold green]All {emails} emails reached their final status.[/] Stopped cleanly after"
                f" {monotonic() - self._began:.0f} s.\n`make local` keeps everything running."
            )
            return
        for progress in self._progress:
            if progress.problem:
                self._console.print(f"[bold red]{progress.case.title}:[/] {progress.problem}")
        self._console.print(f"The functions' logs are in {log}.", soft_wrap=True)

    def stay(self, environment: LocalEnvironment) -> None:
        """Where everything is, and how to send an email."""
        self._stop_spinner()
        deployment = environment.deployment
        self._console.print(
            f"""[bold]Everything is running.[/]

  Inbox   [link={environment.url}]{environment.url}[/link]
  AWS     {environment.emulator.endpoint}
  Bus     {deployment.event_bus_name}
  Bucket  {deployment.template_bucket}

In another terminal, for programs and .venv/bin/sesmailengine:

  export AWS_ENDPOINT_URL={environment.emulator.endpoint}
  export AWS_REGION={environment.emulator.region} AWS_DEFAULT_REGION={environment.emulator.region}
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local

Then send an email:

  aws events put-events --endpoint-url {environment.emulator.endpoint} --entries '[{{
      "EventBusName": "{deployment.event_bus_name}", "Source": "my-app", "DetailType": "Email Request",
      "Detail": "{{\\"to\\":\\"ada@example.com\\",\\"templateName\\":\\"welcome\\",\\"templateData\\":{{\\"userName\\":\\"Ada\\",\\"companyName\\":\\"Northwind\\",\\"actionUrl\\":\\"https://example.com\\"}}}}"}}]'

Ctrl-C stops it.""",
            highlight=False,
            soft_wrap=True,
        )

    def _stop_spinner(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None
