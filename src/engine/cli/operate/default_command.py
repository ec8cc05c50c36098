"""A group of commands that does something without one."""

from typing import Any

import typer.core


def default_command(name: str) -> type[typer.core.TyperGroup]:
    """A class for a group in which options alone, or nothing at all, mean the command of this name."""

    # Any: Typer's own copy of click has no public name.
    class WithDefault(typer.core.TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if not args or (args[0].startswith("-") and args[0] != "--help"):
                args = [name, *args]
            return super().parse_args(ctx, args)

    return WithDefault
