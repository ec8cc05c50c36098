"""`sesmailengine find`: the emails, newest first, with where each is now."""

from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import Call, table
from engine.cli.spans import moment
from engine.operations.emails import MOST_LOOKED_AT, EmailQuery, FoundEmails, find_emails
from engine.operations.ledger_reader import open_ledger
from engine.operations.missing import explain_absence, look_elsewhere
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict
from engine.schemas.times import iso
from engine.tracking.lifecycle import Status

_TIME_WIDTH: Final = 19
_ID_WIDTH: Final = 36
STYLES: Final = {
    "sending": "dim",
    "sent": "cyan",
    "soft_bounced": "yellow",
    "delivered": "green",
    "opened": "green",
    "failed": "red",
    "bounced": "red",
    "complained": "magenta",
}


def find(
    call: Call,
    address: Annotated[str | None, typer.Argument(metavar="ADDRESS", help="The recipient.")] = None,
    *,
    key: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="SOURCE KEY", help="The event's source, and its idempotency key or event id."),
    ] = None,
    ses_id: Annotated[str | None, typer.Option(help="The message id that SES gave.")] = None,
    template: Annotated[str | None, typer.Option(help="Only emails of this template.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only emails of this campaign.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only emails that have this status now.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Asked for since: 30m, 2h, 3d, or a date and time in ISO 8601.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show at most so many.")] = 20,
) -> None:
    """Find emails by address, key, SES id, template, campaign or status; the newest first.

    Without ADDRESS, --key or --ses-id it looks at one day back, or at the days since --since.
    """
    if (address is not None) + (key is not None) + (ses_id is not None) > 1:
        raise typer.BadParameter("give one of ADDRESS, --key and --ses-id")
    now = call.clock()
    query = EmailQuery(
        address=address,
        key=key,
        ses_id=ses_id,
        template=template,
        campaign=campaign,
        status=status.value if status else None,
        since=moment(since, now, "--since") if since else None,
        limit=limit,
    )
    period = ""
    if not (address or key or ses_id):
        asked = f"since {iso(query.since)}" if query.since else "in the last day"
        period = f", asked for {asked} (--since looks further back)"

    async def look(stack: DeployedStack) -> tuple[FoundEmails, Verdict]:
        found = await find_emails(await open_ledger(stack), query, now)
        options = call.address.options
        if found.emails:
            return found, _verdict(found, options)
        if not found.whole:
            what = f"None of the newest {found.looked_at:,} emails matches: give an address or more to go by."
            return found, Verdict(good=False, sentence=what)
        if found.looked_at:
            return found, Verdict(
                good=False, sentence=f"None matches of {found.looked_at:,} in the ledger{period}."
            )
        what = f"No such email is in the ledger{period}."
        sources = (key[0],) if key else ()
        return found, explain_absence(await look_elsewhere(stack), what, options, sources=sources)

    found, verdict = call.run(look)
    call.show(found, verdict, lambda console: _draw(console, found))


def _verdict(found: FoundEmails, options: str) -> Verdict:
    newest = found.emails[0]
    count = f"{len(found.emails)} emails" if len(found.emails) > 1 else "One email"
    more = ""
    if not found.whole:
        more = f"; older ones were not looked at (--limit, or {MOST_LOOKED_AT:,} rows of one search)"
    return Verdict(
        good=True,
        sentence=f"{count}, newest first{more}.",
        next_command=f"sesmailengine explain {newest.email_id}{options}",
    )


def _draw(console: Console, found: FoundEmails) -> None:
    if not found.emails:
        return
    # Two lines for each: next to its id nothing else fits into eighty columns, and the id is to be copied.
    listing = table()
    listing.add_column("asked UTC, template", overflow="fold", width=_TIME_WIDTH)
    listing.add_column("to, email id", overflow="fold", width=_ID_WIDTH)
    listing.add_column("status, now", overflow="fold")
    for email in found.emails:
        attempt = f" ({email.attempt})" if email.attempt > 1 else ""
        template = email.template_name + (f" · {email.campaign}" if email.campaign else "")
        status = email.status.replace("_", " ") + attempt
        listing.add_row(
            Text(f"{email.at[:19].replace('T', ' ')}\n{template}"),
            Text(f"{email.to}\n{email.email_id}"),
            Text.assemble(
                (status, STYLES.get(email.status, "")), f"\n{email.now}" if email.now != status else ""
            ),
        )
    console.print(listing)
