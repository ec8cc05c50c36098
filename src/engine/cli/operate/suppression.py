"""`sesmailengine suppression …`: who gets no mail, by our table and by SES's account list."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import BecauseOption, Call, YesOption, stack_command, table
from engine.cli.spans import moment
from engine.operations import suppression_verdicts as verdicts
from engine.operations.stack import DeployedStack
from engine.operations.suppression import Listed, Removed, Suppression, open_book
from engine.operations.suppression_table import TYPES, Entry
from engine.requests.addresses import BadAddress, normalised

suppression = typer.Typer(
    help="Addresses that get no mail: our list and SES's account list together.", no_args_is_help=True
)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="An email address, in any spelling.")]
Type = Annotated[str | None, typer.Option("--type", help=f"One of {', '.join(TYPES)}.")]


@stack_command(suppression)
def show(call: Call, address: Address) -> None:
    """Both lists on one address: why, since when, and the email that it came of."""

    async def work(stack: DeployedStack) -> Suppression:
        return await (await open_book(stack, call.clock)).show(address)

    found = call.run(work)
    call.show(
        found, verdicts.shown_verdict(found, call.address.options), lambda console: _draw(console, found)
    )


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
    kinds = [type_named(kind)] if kind else []
    begin = moment(since, call.clock(), "--since") if since else None

    async def work(stack: DeployedStack) -> Listed:
        return await (await open_book(stack, call.clock)).list(kinds, begin, limit)

    found = call.run(work)
    call.show(found, verdicts.listed_verdict(found), lambda console: _draw_entries(console, found.entries))


@stack_command(suppression)
def add(
    call: Call,
    address: Address,
    because: BecauseOption,
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
        return await (await open_book(stack, call.clock)).add(address, because, also_ses=ses)

    found = call.run(work)
    call.show(
        found, verdicts.shown_verdict(found, call.address.options), lambda console: _draw(console, found)
    )


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
        return await (await open_book(stack, call.clock)).remove(address, resend=resend)

    done = call.run(work)
    call.show(done, verdicts.removed_verdict(done, call.address.options))


def type_named(text: str) -> str:
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
    listing = table("address", "type", "since", "why")
    for each in entries:
        by = f"by {each.added_by.rpartition('/')[2].rpartition(':')[2]}" if each.added_by else ""
        listing.add_row(
            Text(each.address, overflow="fold"),
            " ".join(filter(None, (each.type, each.topic))),
            each.since[:16].replace("T", " "),
            Text("\n".join(filter(None, (each.reason, by, each.diagnostic_code))), overflow="fold"),
        )
    console.print(listing)
