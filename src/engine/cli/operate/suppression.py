"""`sesmailengine suppression …`: who gets no mail, by our table and by SES's account list."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cli.bar import Advance, progress_bar
from engine.cli.operate.command import Call, YesOption, stack_command
from engine.cli.operate.find import moment
from engine.operations import suppression as lists
from engine.operations import suppression_sync as many
from engine.operations.actions import tell
from engine.operations.stack import DeployedStack
from engine.operations.suppression import Listed, Removed, Suppression, open_book
from engine.operations.suppression_file import (
    BadRow,
    SuppressionFileError,
    read,
    ses_lines,
    write,
    write_header,
)
from engine.operations.suppression_sync import Differences, Exported, Imported
from engine.operations.suppression_table import TYPES, Entry
from engine.operations.verdict import Verdict
from engine.requests.addresses import BadAddress, normalised
from engine.schemas.times import iso

suppression = typer.Typer(
    help="Addresses that get no mail: our list and SES's account list together.", no_args_is_help=True
)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An email address, in any spelling.")]
Type = Annotated[str | None, typer.Option("--type", help=f"One of {', '.join(TYPES)}.")]


@stack_command(suppression)
def show(call: Call, address: Address) -> None:
    """Both lists on one address: why, since when, and the email that it came of."""

    async def work(stack: DeployedStack) -> Suppression:
        return await (await open_book(stack)).show(address)

    found = call.run(work)
    call.show(found, lists.shown_verdict(found, call.address.options), lambda console: _draw(console, found))


@stack_command(suppression, "list")
def list_all(
    call: Call,
    kind: Type = None,
    since: Annotated[
        str | None, typer.Option(help="Added since: 30m, 2h, 3d, or a date and time in ISO 8601.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """Our list, the newest first."""
    kinds = [_type(kind)] if kind else []
    begin = moment(since, _now()) if since else None

    async def work(stack: DeployedStack) -> Listed:
        return await (await open_book(stack)).list(kinds, begin, limit)

    found = call.run(work)
    call.show(found, lists.listed_verdict(found), lambda console: _draw_entries(console, found.entries))


@stack_command(suppression)
def add(
    call: Call,
    address: Address,
    because: Annotated[str, typer.Option("--because", help="Why; kept in the row and told on the bus.")],
    *,
    ses: Annotated[bool, typer.Option("--ses", help="On SES's account list too, as a bounce.")] = False,
    yes: YesOption = False,
) -> None:
    """Stop all mail to an address."""
    try:
        normalised(address.strip())
    except BadAddress as error:
        raise typer.BadParameter(f"{address!r} {error}") from None
    call.confirm(f"Stop all mail to {address}?", yes=yes)

    async def work(stack: DeployedStack) -> Suppression:
        found = await (await open_book(stack)).add(address, because, _now(), also_ses=ses)
        await tell(stack, "suppression-add", found.address, because, _now())
        return found

    found = call.run(work)
    call.show(found, lists.shown_verdict(found, call.address.options), lambda console: _draw(console, found))


@stack_command(suppression)
def remove(
    call: Call,
    address: Address,
    *,
    resend: Annotated[
        bool, typer.Option("--resend", help="Ask again for the email to it that was refused last.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Take an address off both lists, in every spelling."""
    call.confirm(f"Let mail go to {address} again?", yes=yes)

    async def work(stack: DeployedStack) -> Removed:
        done = await (await open_book(stack)).remove(address, resend=resend)
        if done.ours or done.ses or done.resent:
            await tell(stack, "suppression-remove", done.address, "", _now())
        return done

    done = call.run(work)
    call.show(done, lists.removed_verdict(done, call.address.options))


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
    kind = _type(kind) if kind else None
    today = iso(_now())
    try:
        rows = [1 for _ in read(file, kind, added_by="", today=today)]
    except SuppressionFileError as error:
        raise typer.BadParameter(str(error)) from None
    if ses and len(rows) > many.MOST_FOR_SES:
        call.fail(
            f"{len(rows):,} addresses are too many for a call to SES each; its import job takes them. Import"
            f" without --ses, write the file for SES with `suppression export FILE --for-ses`, then:"
            f" {many.import_job('FILE')}"
        )
    call.confirm(f"Suppress the {len(rows):,} addresses of {file}?", yes=yes)

    async def work(stack: DeployedStack, advance: Advance) -> Imported:
        book = await open_book(stack)
        entries = read(file, kind, added_by=await stack.operator(), today=today)
        done = await many.import_entries(book, entries, also_ses=ses, advance=advance)
        if done.rows:
            await tell(stack, "suppression-import", f"{done.rows} addresses", file.name, _now())
        return done

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
    """Our list as CSV, safe to open in a spreadsheet."""

    async def work(stack: DeployedStack) -> int:
        book, count = await open_book(stack), 0
        with file.open("w", encoding="utf-8", newline="") if file else nullcontext(sys.stdout) as target:
            if not for_ses:
                write_header(target)
            async for page in many.all_entries(book):
                if for_ses:
                    lines = list(ses_lines(page))
                    target.writelines(lines)
                    count += len(lines)
                else:
                    count += write(target, page)
        return count

    count = call.run(work)
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
        book = await open_book(stack)
        if not pull:
            return await many.compare(book)
        done = await many.pull(book)
        if done.pulled:
            await tell(stack, "suppression-pull", f"{done.pulled} addresses", "", _now())
        return done

    found = call.run(work)
    verdict = many.differences_verdict(found, call.address.options)
    call.show(found, verdict, lambda console: _draw_differences(console, found))


def _now() -> datetime:
    return datetime.now(UTC)


def _type(text: str) -> str:
    if text not in TYPES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(TYPES)}")
    return text


def _draw(console: Console, found: Suppression) -> None:
    _draw_entries(console, found.entries)
    for each in found.ses:
        came = f", of SES's message {each.message_id}" if each.message_id else ""
        console.print(Text(f"SES's account list: {each.reason} since {each.since}{came}"), soft_wrap=True)
    for email in found.came_of:
        what = f"It came of {email.email_id} ({email.template_name}, {email.timestamp}, now {email.status})"
        console.print(Text(what), soft_wrap=True)


def _draw_entries(console: Console, entries: list[Entry]) -> None:
    if not entries:
        return
    table = Table("address", "type", "topic", "reason", "since", "added by", "diagnostic")
    for each in entries:
        cells = (
            each.address,
            each.type,
            each.topic or "",
            each.reason,
            each.since,
            each.added_by or "",
            each.diagnostic_code or "",
        )
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console.print(table)


def _draw_bad(console: Console, rows: list[BadRow]) -> None:
    for each in rows:
        console.print(Text(f"line {each.line}: {each.problem}"), soft_wrap=True)


def _draw_differences(console: Console, found: Differences) -> None:
    shown = 50
    for each in found.ses_only[:shown]:
        console.print(Text(f"SES alone: {each.address} ({each.reason} since {each.since})"), soft_wrap=True)
    if len(found.ses_only) > shown:
        console.print(f"… and {len(found.ses_only) - shown:,} more; --json prints all")
