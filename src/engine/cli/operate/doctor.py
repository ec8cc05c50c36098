"""`doctor`: what stops or harms mail, and the DNS records to publish."""

from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cli.operate.command import Call, table
from engine.operations.account_checks import Level
from engine.operations.doctor.examine import Examination, Topic, examine, verdict
from engine.operations.stack import DeployedStack
from engine.requests.addresses import BadAddress, normalised_domain

_MARKS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "note": ("NOTE", "yellow"),
    "problem": ("STOP", "bold red"),
    "skipped": ("skipped", "dim"),
}
_PUBLISHED: Final = {True: "yes", False: "NO", None: "?"}


def doctor(
    call: Call,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Sender's domain; that of DefaultSenderEmail unless given.")
    ] = None,
) -> None:
    """Look for what stops or harms mail: account, domain, DNS, stack; print the DNS records to publish."""
    asked = _domain(domain)

    async def work(stack: DeployedStack) -> Examination:
        # A local AWS has identities that no DNS knows. Imported here: it takes half a second.
        if call.address.endpoint_url:
            return await examine(stack, None, asked)
        from engine.operations.doctor.dns_lookup import DnsLookup  # noqa: PLC0415 -- as said above

        return await examine(stack, DnsLookup(), asked)

    found = call.run(work)
    call.show(found, verdict(found, call.address.options), lambda console: _draw(console, found))


def _domain(given: str | None) -> str | None:
    """In the form that SES and DNS have it in."""
    if given is None:
        return None
    try:
        return normalised_domain(given)
    except BadAddress as error:
        raise typer.BadParameter(f"{given!r} is no domain: {error}", param_hint="--domain") from None


def _draw(console: Console, found: Examination) -> None:
    for topic in found.topics:
        _draw_topic(console, topic)
    if found.records:
        listing = table("Name", "Type", "Value", "Published")
        for record in found.records:
            style = "bold red" if record.published is False else ""
            listing.add_row(record.name, record.type, record.value, _PUBLISHED[record.published], style=style)
        console.print(Text(f"DNS records of {found.domain}", style="bold"))
        console.print(listing)


def _draw_topic(console: Console, topic: Topic) -> None:
    console.print(Text(topic.name, style="bold"))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=9)
    grid.add_column(overflow="fold")
    for finding in topic.findings:
        mark, style = _MARKS[finding.level]
        grid.add_row(Text(f"  {mark}", style=style), Text(finding.what))
        for more in (finding.why, finding.remedy):
            if more:
                grid.add_row("", Text(more, style="dim"))
    console.print(grid)
