"""`sesmailengine person …`: what is held about an address, and forgetting it."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from engine.cli.operate.command import Call, YesOption, stack_command, table
from engine.operations.actions import telling
from engine.operations.person import hashed, open_personal_data
from engine.operations.person_facts import (
    NOT_SEARCHED,
    HeldData,
    HeldSummary,
    Receipt,
    forgotten_verdict,
    held_verdict,
)
from engine.operations.stack import DeployedStack
from engine.requests.addresses import address_key

person = typer.Typer(help="All that is held about one address.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The person's email address.")]


@stack_command(person)
def export(
    call: Call,
    address: Address,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE.json", help="Where to write it; without, it is counted."),
    ] = None,
) -> None:
    """Everything held about an address: rows, requests, suppression, soft bounces, scheduled email."""

    async def work(stack: DeployedStack) -> HeldData:
        return await (await open_personal_data(stack, call.clock)).held(address)

    if to:
        _make(call, to)
    found = call.run(work)
    if to:
        _write(to, found)
    summary = found.summary
    verdict = held_verdict(summary, str(to) if to else None, address, call.address.options)
    call.show(summary, verdict, lambda console: _draw(console, summary))


@stack_command(person)
def forget(
    call: Call,
    address: Address,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE.json", help="Where to write the receipt.")
    ] = None,
    *,
    drop_opt_out: Annotated[
        bool, typer.Option("--drop-opt-out", help="Also what stops mail to the address, in both lists.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Blank what is held about an address and write a receipt; what stops mail stays by default."""
    call.confirm(f"Forget {address} for good?", yes=yes)
    digest = hashed(address_key(address))
    file = to or Path(f"forgotten-{digest[:12]}-{call.clock():%Y%m%dT%H%M%SZ}.json")

    _make(call, file)  # before anything is gone for good

    async def work(stack: DeployedStack) -> Receipt:
        async with telling(stack, "person-forget", "", call.clock, scope=f"sha256:{digest}"):
            receipt = await (await open_personal_data(stack, call.clock)).forget(
                address, drop_opt_out=drop_opt_out
            )
            _write(file, receipt)
        return receipt

    try:
        done = call.run(work)
    except typer.Exit:
        if file.is_file() and not file.stat().st_size:
            file.unlink()  # or it would look as if something had been forgotten
        raise
    call.show(done, forgotten_verdict(done, str(file)), lambda console: _draw_receipt(console, done))


def _make(call: Call, file: Path) -> None:
    """For the one who asked alone: it is personal data."""
    try:
        file.touch(mode=0o600)
    except OSError as error:
        call.fail(f"{file} can't be written: {error.strerror}. Nothing was done: name another file by --to.")


def _write(file: Path, facts: msgspec.Struct) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")


def _draw(console: Console, found: HeldSummary) -> None:
    listing = table("held", "how many")
    for what, count in (
        ("emails (rows)", found.emails),
        ("requests", found.requests),
        ("suppression rows", found.suppression),
        ("on SES's account list", found.ses),
        ("soft bounces", found.soft_bounces),
        ("scheduled emails", found.scheduled),
    ):
        listing.add_row(what, f"{count:,}")
    console.print(listing)
    if not found.all_schedules_read:
        console.print("There are more schedules than were read.")
    console.print(f"Not searched: {'; '.join(NOT_SEARCHED)}.")


def _draw_receipt(console: Console, done: Receipt) -> None:
    for each in done.stays:
        console.print(f"Stays: {each}")
    for each in done.not_searched:
        console.print(f"Not searched: {each}")
