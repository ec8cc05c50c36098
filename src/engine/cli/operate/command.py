"""What every command that operates a stack shares: its options, its output, its errors and its exit code.

A command is a function whose first parameter is a `Call`: `stack_command` gives it the options that lead to
the stack. It hands `Call.run` a coroutine over the stack, and shows what that found with `Call.show`.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, Final, NoReturn, TypeVar

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cli.options import EndpointOption, ProfileOption, RegionOption
from engine.operations.actions import LONGEST_REASON
from engine.operations.sentences import TOLD, one_error, sentence_of
from engine.operations.stack import DEFAULT_STACK, DeployedStack, StackAddress, connect
from engine.operations.verdict import Verdict
from engine.types import Clock

StackOption = Annotated[str, typer.Option("--stack", envvar="SESMAILENGINE_STACK", help="Name of the stack.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts for programs instead of a table.")]


def reason(text: str) -> str:
    """Of `--because`, trimmed. Raises BadParameter for one that says nothing, or too much."""
    if not 1 <= len(text.strip()) <= LONGEST_REASON:
        raise typer.BadParameter(f"expected 1 to {LONGEST_REASON} characters")
    return text.strip()


BecauseOption = Annotated[
    str, typer.Option("--because", callback=reason, help="Why: told on the bus, and kept for those who ask.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]

INTERRUPTED: Final = 130
_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "stack": (StackOption, DEFAULT_STACK),
    "region": (RegionOption, None),
    "profile": (ProfileOption, None),
    "endpoint_url": (EndpointOption, None),
    "json": (JsonOption, False),
}

T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Call:
    """One call of a command: the stack it is about, what time it is, and how its answer is printed."""

    address: StackAddress
    json: bool
    clock: Clock
    # No name of theirs is ever read as a style: `[red]` may stand in it.
    console: Console = field(default_factory=lambda: Console(markup=False, emoji=False))

    def beside_data(self) -> "Call":
        """The same call for a command that prints data: what it says itself goes to stderr."""
        return replace(self, console=Console(stderr=True, markup=False, emoji=False))

    def run(self, work: Callable[[DeployedStack], Awaitable[T]]) -> T:
        """What the work answers. An error that a person can mend ends the command with its sentence."""

        async def connected() -> T:
            async with connect(self.address) as stack:
                return await work(stack)

        try:
            with one_error():
                return asyncio.run(connected())
        except TOLD as error:
            self.fail(sentence_of(error, self.address))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    def show(
        self, facts: msgspec.Struct, verdict: Verdict, draw: Callable[[Console], None] | None = None
    ) -> NoReturn:
        """Print the facts, as `draw` does or as JSON, and the verdict; exit 0 where it is good, else 1."""
        if self.json:
            print_facts(self.console, facts, verdict)
        else:
            if draw:
                draw(self.console)
            self.say(verdict)
        raise typer.Exit(0 if verdict.good else 1)

    def say(self, verdict: Verdict) -> None:
        self.console.print(
            Text(verdict.sentence, style="green" if verdict.good else "bold red"), soft_wrap=True
        )
        if verdict.next_command:
            self.console.print(Text(f"Next: {verdict.next_command}"), soft_wrap=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before acting; without a terminal to ask on, or after a no, nothing is done: exit 1."""
        if yes:
            return
        if self.json or not self.console.is_terminal:
            self.fail(f"{question} Nothing was done: --yes says so where nobody can be asked.")
        if not typer.confirm(question):
            self.fail("Nothing was done.")

    def fail(self, sentence: str) -> NoReturn:
        self.answer(Verdict(good=False, sentence=sentence))

    def answer(self, verdict: Verdict) -> NoReturn:
        """A verdict where there are no facts to show."""
        if self.json:
            print_facts(self.console, None, verdict)
        else:
            self.say(verdict)
        raise typer.Exit(0 if verdict.good else 1)


def table(*columns: str, header: bool = True) -> Table:
    """A table as every command draws it: on 80 columns frames would take the room of words."""
    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_header=header)


def print_facts(console: Console, facts: msgspec.Struct | None, verdict: Verdict) -> None:
    """Print one JSON document: the fields of the facts, where there are any, and the verdict."""
    answer = {**(msgspec.to_builtins(facts) if facts else {}), "verdict": verdict}
    console.print_json(msgspec.json.encode(answer).decode())


def stack_command(
    app: typer.Typer, name: str | None = None, *, json: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose first parameter is a `Call`; Typer sees the stack's options in its place.

    `json`: False for a command that has no facts to print for programs.
    """
    options = {option: given for option, given in _OPTIONS.items() if json or option != "json"}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, (annotation, default) in options.items()
        ]

        @wraps(function)
        def command(**given: Any) -> None:
            address = StackAddress(**{option: given.pop(option) for option in options if option != "json"})
            function(Call(address, given.pop("json", False), now), **given)

        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        command.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined] # what Typer reads
        command.__annotations__ = {each.name: each.annotation for each in [*keyword, *shared]}
        app.command(name)(command)
        return function

    return register
