"""The command line: `demo` and `local`, and the groups of other commands."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.demo_screen import DemoScreen
from engine.cli.operate.campaign import campaigns
from engine.cli.operate.command import INTERRUPTED, stack_command
from engine.cli.operate.console import console as serve_console
from engine.cli.operate.cost import cost
from engine.cli.operate.dlq import dlq
from engine.cli.operate.doctor import doctor
from engine.cli.operate.explain import explain
from engine.cli.operate.find import find
from engine.cli.operate.person import person
from engine.cli.operate.scheduled import scheduled
from engine.cli.operate.status import status
from engine.cli.operate.stopping import cancel, go, stop
from engine.cli.operate.suppression_lists import suppression
from engine.cli.operate.topics import topics
from engine.cli.operate.webhooks import webhooks
from engine.cli.send import send
from engine.cli.template_bucket import templates
from engine.local.cases import cases
from engine.local.cdk import CdkError
from engine.local.demo import Demo
from engine.local.emulator import EmulatorError
from engine.local.environment import INBOX_PORT, running_environment

app = typer.Typer(
    help="SESMailEngine: a self-hosted email engine on Amazon SES.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(templates, name="templates")
app.add_typer(campaigns, name="campaign")
app.add_typer(dlq, name="dlq")
app.add_typer(person, name="person")
app.add_typer(scheduled, name="scheduled")
app.add_typer(topics, name="topics")
app.add_typer(suppression, name="suppression")
app.add_typer(webhooks, name="webhooks")
app.command()(send)
for command in (doctor, find, explain, status, cost, stop, go, cancel, serve_console):
    stack_command(app)(command)
console = Console()

InboxPort = Annotated[
    int, typer.Option(min=0, max=65535, help="Where the inbox is served on 127.0.0.1; 0 takes a free port.")
]


@app.callback()
def _commands() -> None:
    """Make `demo` a subcommand even where it is the only one; Typer would drop its name."""


@app.command()
def demo(inbox_port: InboxPort = 0) -> None:
    """Start everything, send one email for every outcome, and show the status that each reaches."""
    raise typer.Exit(_run(_demo(inbox_port)))


@app.command()
def local(inbox_port: InboxPort = INBOX_PORT) -> None:
    """Start everything and keep it running, with the inbox open."""
    raise typer.Exit(_run(_local(inbox_port)))


def main() -> None:
    app()


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the exit code. Ctrl-C and SIGTERM cancel the work, which then cleans up."""

    async def stoppable() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            console.print("Stopped.")
            return INTERRUPTED

    try:
        return asyncio.run(stoppable())
    except (EmulatorError, CdkError) as error:
        console.print(Text(str(error), style="bold red"), soft_wrap=True)
    except OSError as error:
        console.print(
            f"[bold red]Cannot serve the inbox: {error}.[/] Stop what listens on that port, or choose another"
            " with --inbox-port (make local INBOX_PORT=8026)."
        )
    return 1


async def _demo(inbox_port: int) -> int:
    screen = DemoScreen(console)
    with screen.starting() as say:
        async with running_environment(say, inbox_port=inbox_port) as running:
            run = Demo(running)
            screen.begin(run.progress, running.url)
            try:
                good = await run.run()
            finally:
                screen.end()
    screen.verdict(good=good, log=running.emulator.log)
    return 0 if good else 1


async def _local(inbox_port: int) -> int:
    screen = DemoScreen(console)
    with screen.starting() as say:
        async with running_environment(say, inbox_port=inbox_port) as running:
            async with running.emails("local") as emails:
                await emails.send(cases()[0].request)  # so that the inbox is not empty
            screen.stay(running)
            await asyncio.Event().wait()
    return 0
