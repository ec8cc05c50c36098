"""The commands of docs/operations.md, run as they stand there."""

import ast
import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer
from typer.testing import CliRunner

from engine.cli import app
from engine.local.environment import LocalEnvironment
from engine.schemas.status import EmailStatusChanged

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"
_PATIENCE: Final = 180.0  # seconds; a busy machine starts a worker in ten


def commands_of_the_page() -> list[str]:
    """Every command of ours that the page shows, as it stands there."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ sesmailengine ")]


def played(test_file: Path) -> Iterator[str]:
    """The commands that a file of tests hands to `play`."""
    for node in ast.walk(ast.parse(test_file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr="play"), args=[ast.Constant(value=str(command)), *_]):
                yield command


class Operator:
    """Somebody with the runbook. Hears what the bus tells of each email."""

    def __init__(self, local: LocalEnvironment) -> None:
        self.local = local
        self._told: dict[str, list[EmailStatusChanged]] = {}
        local.listeners.append(lambda event: self._told.setdefault(event.email_id, []).append(event))

    async def play(
        self, line: str, in_place_of: Mapping[str, str] | None = None, *, good: bool | None = True
    ) -> Any:
        """Run a line of the page: its facts, or what it printed where it has none for programs.

        `in_place_of`: other words for words of the line. `good`: the exit code is 0, or 1; None: any.
        """
        line, _, file = line.partition(" > ")
        words = [(in_place_of or {}).get(word, word) for word in shlex.split(line)[1:]]
        as_facts = not file and _option(words, "--json")
        more = ["--json"] if as_facts else []
        more += ["--yes"] if _option(words, "--yes") else []
        more += ["--endpoint-url", self.local.emulator.endpoint]
        run = self._process if words[0] == "send" else self._thread
        code, output = await run([*words, *more])
        assert good is None or code == (0 if good else 1), f"{' '.join(words)}: {code}\n{output}"
        return json.loads(output) if as_facts else output

    async def _thread(self, words: list[str]) -> tuple[int, str]:
        """It runs a loop of its own, so it needs another thread."""
        answer = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert not isinstance(answer.exception, Exception), answer.output
        return answer.exit_code, answer.stdout

    async def _process(self, words: list[str]) -> tuple[int, str]:
        """`send` listens to signals, which only a process's first thread may."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.cli", *words, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    def statuses(self, email_id: str) -> list[str]:
        """All that the bus told of an email, in the order of its telling."""
        return [event.status for event in self._told.get(email_id, ())]

    def code(self, email_id: str) -> str | None:
        """The code of the reason that was told last."""
        reason = self._told[email_id][-1].reason
        return reason.code if reason else None

    async def reached(self, email_id: str, status: str) -> None:
        async def there() -> bool:
            return status in self.statuses(email_id)

        try:
            await until(there, f"{email_id} to be {status}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was {self.statuses(email_id)}") from None

    def accepted(self, address: str) -> int:
        """How many emails to an address SES has taken."""
        return sum(address in message.to for message in self.local.simulator.messages)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again and again until it holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE
    while loop.time() < end:
        if await holds():
            return
        await asyncio.sleep(0.3)
    raise AssertionError(f"Waited {_PATIENCE:.0f} s for {what}")


def _option(words: list[str], name: str) -> bool:
    """Whether the command that the words begin with has an option."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            break
        command = command.commands.get(word, command)
    if hasattr(command, "commands"):  # a group alone: that which its name stands for
        command = command.commands["list"]
    return any(name in parameter.opts for parameter in command.params)
