"""`sesmailengine suppression import|export|sync`: many addresses at once."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.bar import Advance, progress_bar
from engine.cli.operate.command import Call, YesOption, stack_command
from engine.cli.operate.suppression import suppression, type_named
from engine.operations import suppression_sync as many
from engine.operations.stack import DeployedStack
from engine.operations.suppression import open_book
from engine.operations.suppression_file import (
    BadRow,
    SuppressionFileError,
    json_lines,
    read,
    ses_lines,
    write,
    write_header,
)
from engine.operations.suppression_sync import Differences, Exported, Imported
from engine.operations.verdict import Verdict
from engine.schemas.times import iso

# The commands of both files are one group; imported from here it has them all.
__all__ = ["suppression"]


@stack_command(suppression, "import")
def import_file(
    call: Call,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with a column `email`, as `export` writes it.")
    ],
    kind: Annotated[
        str | None, typer.Option("--type", help="For rows that name none; `manual` otherwise.")
    ] = None,
    *,
    ses: Annotated[bool, typer.Option("--ses", help="On SES's account list too.")] = False,
    yes: YesOption = False,
) -> None:
    """Suppress the addresses of a file; what is suppressed already keeps its reason."""
    kind = type_named(kind) if kind else None
    today = iso(call.clock())
    try:
        rows = [1 for _ in read(file, kind, added_by="", today=today)]
    except SuppressionFileError as error:
        raise typer.BadParameter(str(error)) from None
    if ses and len(rows) > many.MOST_FOR_SES:
        call.fail(
            f"{len(rows):,} addresses are too many for a call to SES each; its import jobs take them,"
            f" {many.MOST_FOR_SES:,} at a time, from a bucket that it may read. Import without --ses, write"
            f" the file for SES with `suppression export FILE --for-ses`, then: {many.import_job('FILE')}"
        )
    call.confirm(f"Suppress the {len(rows):,} addresses of {file}?", yes=yes)

    async def work(stack: DeployedStack, advance: Advance) -> Imported:
        book = await open_book(stack, call.clock)
        entries = read(file, kind, added_by=await stack.operator(), today=today)
        return await many.import_entries(book, entries, because=file.name, also_ses=ses, advance=advance)

    with progress_bar(call.console, "suppressed", len(rows), hidden=call.json) as show_bar:
        done = call.run(lambda stack: work(stack, show_bar))
    call.show(done, many.imported_verdict(done), lambda console: _draw_bad(console, done.bad_rows))


@stack_command(suppression)
def export(
    call: Call,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; without, it is printed.")
    ] = None,
    *,
    for_ses: Annotated[
        bool, typer.Option("--for-ses", help="Bounces and complaints as SES's import job reads them.")
    ] = False,
) -> None:
    """Our list as CSV, safe to open in a spreadsheet; printed with --json, a JSON object a line."""
    as_json = call.json and file is None
    if as_json and for_ses:
        raise typer.BadParameter("--for-ses has a form of its own: give it a FILE, or leave --json out")
    if file is None:
        call = call.beside_data()

    async def work(stack: DeployedStack) -> int:
        book, count = await open_book(stack, call.clock), 0
        with file.open("w", encoding="utf-8", newline="") if file else nullcontext(sys.stdout) as target:
            if not for_ses and not as_json:
                write_header(target)
            async for page in many.all_entries(book):
                if for_ses or as_json:
                    lines = list(ses_lines(page) if for_ses else json_lines(page))
                    target.writelines(lines)
                    count += len(lines)
                else:
                    count += write(target, page)
        return count

    try:
        count = call.run(work)
    except OSError as error:
        if file is None:  # who reads has left
            raise
        call.fail(f"{file}: {error.strerror}")
    if file is None:
        return
    exported = Exported(rows=count, file=str(file))
    call.show(exported, Verdict(good=True, sentence=f"{count:,} addresses are in {file}."))


@stack_command(suppression)
def sync(
    call: Call,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only show the differences; the default.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Take what only SES has into ours.")] = False,
    yes: YesOption = False,
) -> None:
    """Compare our list with SES's account list; nothing is ever put onto SES's by it."""
    if check and pull:
        raise typer.BadParameter("give one of --check and --pull")
    if pull:
        call.confirm("Take the addresses that only SES's account list has into ours?", yes=yes)

    async def work(stack: DeployedStack) -> Differences:
        book = await open_book(stack, call.clock)
        return await many.pull(book) if pull else await many.compare(book)

    found = call.run(work)
    verdict = many.differences_verdict(found, call.address.options)
    call.show(found, verdict, lambda console: _draw_differences(console, found))


def _draw_bad(console: Console, rows: list[BadRow]) -> None:
    for each in rows:
        console.print(Text(f"line {each.line}: {each.problem}"), soft_wrap=True)


def _draw_differences(console: Console, found: Differences) -> None:
    shown = 50
    for each in found.ses_only[:shown]:
        console.print(Text(f"SES alone: {each.address} ({each.reason} since {each.since})"), soft_wrap=True)
    if len(found.ses_only) > shown:
        console.print(f"… and {len(found.ses_only) - shown:,} more; --json prints all")
