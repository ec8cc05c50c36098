"""`sesmailengine cost`: a month's emails at today's prices, beside what was measured and billed."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import Call, table
from engine.errors import EngineError
from engine.operations.cost import MonthCost, month_cost, month_of
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict


def cost(
    call: Call,
    *,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="This month where not given.")] = None,
) -> None:
    """What a month's email cost: by lane and template, as measured, and as billed."""
    now = call.clock()
    if month:
        try:
            month_of(month)
        except EngineError as error:
            raise typer.BadParameter(f"--month: {error}") from None

    async def look(stack: DeployedStack) -> MonthCost:
        return await month_cost(stack, month or f"{now:%Y-%m}", now)

    found = call.run(look)
    call.show(found, judge_cost(found), lambda console: _draw(console, found))


def judge_cost(found: MonthCost) -> Verdict:
    if found.emails is None:
        sentence = f"What {found.month} cost can't be told: {found.unknown['use']}."
        return Verdict(good=False, sentence=sentence)
    whole, essentials = found.ses + found.around, found.ses_essentials + found.around
    sentence = (
        f"{found.emails:,} emails of {found.month} cost about ${whole:,.2f}, or ${essentials:,.2f} under SES"
        f" Essentials: prices of {found.prices_read}, without free tiers, data transfer, alarms and key."
    )
    return Verdict(good=True, sentence=sentence)


def _draw(console: Console, found: MonthCost) -> None:
    listing = table()
    for name in ("what", "quantity", "unit", "dollars"):
        listing.add_column(name, justify="right" if name in {"quantity", "dollars"} else "left")
    for share in found.shares:
        listing.add_row(
            f"SES, {share.lane}, {share.template}", f"{share.emails:,}", "emails", f"{share.dollars:,.2f}"
        )
    if found.emails is not None and not found.shares:
        listing.add_row("SES", f"{found.emails:,}", "emails", f"{found.ses:,.2f}")
    for line in found.measured:
        listing.add_row(line.what, f"{line.quantity:,.0f}", line.unit, f"{line.dollars:,.2f}")
    for service, dollars in found.billed.items():
        listing.add_row(f"billed: {service}", "", "", f"{dollars:,.2f}")
    if listing.row_count:
        console.print(listing)
    for name, why in found.unknown.items():
        console.print(Text(f"Not known: {name}, because {why}.", style="dim"), soft_wrap=True)
