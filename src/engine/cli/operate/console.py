"""`sesmailengine console`: what the commands show, in a browser, with the same credentials."""

import asyncio
import webbrowser
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from engine.cli.operate.command import Call
from engine.errors import EngineError
from engine.local.console.serve import serve_console
from engine.operations.ledger_reader import open_ledger
from engine.operations.stack import DeployedStack


def console(
    call: Call,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Don't open a browser.")] = False,
) -> None:
    """Serve mail, timelines, lanes, brakes and suppression on 127.0.0.1, until Ctrl-C."""

    async def serve(stack: DeployedStack) -> None:
        await (await open_ledger(stack)).read(["is-it-there"])  # a stack that is not fails here, with why
        try:
            async with serve_console(stack, call.clock, port=port) as url:
                _say(call, url)
                if not no_open:
                    await asyncio.to_thread(webbrowser.open, url)
                await asyncio.Event().wait()
        except OSError as error:
            raise EngineError(f"The console can't listen on 127.0.0.1:{port}: {error.strerror}.") from error

    call.run(serve)


def _say(call: Call, url: str) -> None:
    if call.json:
        call.console.print_json(msgspec.json.encode({"url": url}).decode())
        return
    text = Text.assemble("The console of ", (call.address.stack, "bold"), f" is at {url}")
    call.console.print(text, soft_wrap=True)
    call.console.print("Whoever has this address acts with your credentials. Ctrl-C ends it.", style="dim")
