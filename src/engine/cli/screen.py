"""What the demo shows: a table that fills while it waits, and a verdict."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.table import Table
from rich.text import Text

from engine.local.demo import Progress
from engine.local.environment import LocalEnvironment

_STYLE = {
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

_WIDE = 130  # columns


class DemoScreen:
    """One run on one console. Where nobody watches (a pipe, CI), only what is final is printed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Sequence[Progress] = ()
        self._live: Live | None = None
        self._status: Status | None = None
        self._began = monotonic()

    @contextmanager
    def starting(self) -> Iterator[Callable[[str], None]]:
        """A spinner that says what is being done."""
        with self._console.status("Starting") as status:
            self._status = status

            def say(what: str) -> None:
                status.update(f"{what} …")
                if not self._console.is_terminal:
                    self._console.print(f"{what} …")

            yield say

    def begin(self, progress: Sequence[Progress], inbox: str) -> None:
        self._stop_spinner()
        self._progress = progress
        self._console.print(
            f"Ready after {monotonic() - self._began:.0f} s."
            f" The inbox is at [link]{inbox}[/link] while this runs."
        )
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8)
            self._live.start()

    def refresh(self) -> None:
        """Something has changed; the next frame shows it."""

    def end(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        else:
            self._console.print(self._table())

    def _stop_spinner(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None

    def _table(self) -> Table:
        """Narrow screens get the reason's code alone, wide ones its sentence and the address as well."""
        wide = self._console.width >= _WIDE
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("email", no_wrap=True)
        if wide:
            table.add_column("to", no_wrap=True, style="dim")
        table.add_column("template", no_wrap=True, style="dim")
        table.add_column("status", no_wrap=True)
        table.add_column("reason", overflow="fold")
        table.add_column("time", justify="right", no_wrap=True)
        for progress in self._progress:
            table.add_row(*_cells(progress, wide=wide))
        return table

    def verdict(self, *, good: bool) -> None:
        problems = [progress for progress in self._progress if progress.problem]
        if good:
            emails = sum(progress.case.size for progress in self._progress)
            self._console.print(
                f"[bold green]All {emails} emails ended as they should.[/] Stopped cleanly after"
                f" {monotonic() - self._began:.0f} s. `make local` keeps everything running."
            )
            return
        for progress in problems:
            self._console.print(f"[bold red]{progress.case.title}:[/] {progress.problem}")
        self._console.print("The functions' logs are in .local/emulator/emulator.log.")

    def stay(self, environment: LocalEnvironment) -> None:
        """Say where everything is."""
        self._stop_spinner()
        deployment = environment.deployment
        self._console.print(
            f"""[bold]Everything is running.[/]

  Inbox   [link]{environment.url}[/link]
  AWS     {environment.emulator.endpoint}  (any credentials, region {environment.emulator.region})
  Bus     {deployment.event_bus_name}
  Bucket  {deployment.template_bucket}

Send an email from another terminal:

  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws events put-events \\
    --endpoint-url {environment.emulator.endpoint} --region {environment.emulator.region} --entries '[{{
      "EventBusName": "{deployment.event_bus_name}", "Source": "my-app", "DetailType": "Email Request",
      "Detail": "{{\\"to\\":\\"ada@example.com\\",\\"templateName\\":\\"welcome\\",\\"templateData\\":{{\\"userName\\":\\"Ada\\",\\"companyName\\":\\"Northwind\\",\\"actionUrl\\":\\"https://example.com\\"}}}}"}}]'

Ctrl-C stops it.""",
            highlight=False,
            soft_wrap=True,
        )


def _cells(progress: Progress, *, wide: bool) -> list[Text]:
    mark = "✗" if progress.problem else ("✓" if progress.reached_its_end else "·")
    case, code = progress.case, progress.code or ""
    sentence = f"{code}: {progress.message}" if code and progress.message else code or progress.message
    seconds = f"{progress.seconds:.1f} s" if progress.seconds is not None else ""
    return [
        Text(mark, style="bold red" if progress.problem else "bold green"),
        Text(case.title),
        *([Text(case.request.to)] if wide else []),
        Text(case.request.template_name),
        Text(progress.status, style=_STYLE.get(progress.status, "")),
        Text(progress.note or (sentence if wide else code), style="dim"),
        Text(seconds),
    ]
