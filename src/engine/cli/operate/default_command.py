"""A group of commands that does something without one."""

import click
import typer.core


def default_command(name: str) -> type[typer.core.TyperGroup]:
    """A class for a group in which options alone, or nothing at all, mean the command of this name."""

    class WithDefault(typer.core.TyperGroup):
        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            if not args or (args[0].startswith("-") and args[0] != "--help"):
                args = [name, *args]
            return super().parse_args(ctx, args)

    return WithDefault
