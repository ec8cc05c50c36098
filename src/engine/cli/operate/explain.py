"""`sesmailengine explain`: one email's timeline, what it means, and what to do."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import Call, table
from engine.operations.advice import judge_email
from engine.operations.emails import is_email_id
from engine.operations.explain import EmailFacts, EmailHistory, email_facts, history
from engine.operations.missing import explain_absence, look_elsewhere
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict

_TONES = {"quiet": "dim", "sent": "cyan", "warn": "yellow", "good": "green", "best": "green", "bad": "red"}


def explain(
    call: Call,
    email: Annotated[
        str, typer.Argument(metavar="EMAIL_ID|ADDRESS", help="An address: the newest email to it.")
    ],
) -> None:
    """What became of one email: its timeline, suppression, a verdict and advice."""
    now = call.clock()

    async def look(stack: DeployedStack) -> EmailFacts | Verdict:
        facts = await email_facts(stack, email)
        if facts:
            return facts
        if "@" in email or is_email_id(email):
            what = "No such email is in the ledger."
            return explain_absence(await look_elsewhere(stack), what, call.address.options)
        return Verdict(
            good=False,
            sentence=f"{email!r} is neither an email id nor an address. `find --key` and `find --ses-id` lead"
            " from an idempotency key and from SES's message id to the email.",
        )

    facts = call.run(look)
    if isinstance(facts, Verdict):
        call.answer(facts)
    told = history(facts, now)
    call.show(told, judge_email(facts, now, call.address.options), lambda console: _draw(console, told))


def _draw(console: Console, told: EmailHistory) -> None:
    email = told.email
    console.print(
        Text(f"{email.email_id} to {email.to}, {email.template_name}: {email.status}"), soft_wrap=True
    )
    listing = table()
    for name in ("when (UTC)", "who", "what", ""):
        listing.add_column(name, overflow="fold")
    for moment in told.timeline:
        at = moment.at[:19].replace("T", " ") if moment.at else ""
        listing.add_row(at, moment.who, Text(moment.title, style=_TONES[moment.tone]), Text(moment.about))
    console.print(listing)
    if told.ses_listing_unknown:
        console.print(
            Text(f"SES's own list was not asked: {told.ses_listing_unknown}.", style="dim"), soft_wrap=True
        )
