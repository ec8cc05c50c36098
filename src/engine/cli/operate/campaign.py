"""`sesmailengine campaign status`, `report` and `plan`."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from engine.cli.bar import progress_bar
from engine.cli.campaign.asked import asked_by, saved_progress, wanted_emails
from engine.cli.campaign.plan import Plan
from engine.cli.campaign.progress import ProgressError
from engine.cli.campaign.survey import survey
from engine.cli.operate.command import Call, stack_command, table
from engine.cli.spans import moment
from engine.operations import prices
from engine.operations.campaign import ARRIVED, LEFT, Entry
from engine.operations.campaign_plan import UNSUBSCRIBED, CampaignPlan, in_words, judge_plan, plan
from engine.operations.campaign_report import CampaignReport, Question, judge, report
from engine.operations.stack import DeployedStack
from engine.operations.suppression_file import quoted
from engine.schemas.request import CAMPAIGN_PATTERN

campaigns = typer.Typer(help="How a campaign stands, and what one would take.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The campaign's name.", show_default=False)]
SinceOption = Annotated[str, typer.Option(help="Asked for since: 2h, 3d, or a date and time in ISO 8601.")]
TemplateOption = Annotated[
    str | None, typer.Option("--template", help="Read the emails of this template alone, which is faster.")
]
COLUMNS: Final = ("to", "status", "code", "reason", "emailId", "askedAt", "line")


@stack_command(campaigns, "status")
def campaign_status(
    call: Call, name: NameArgument, *, since: SinceOption = "7d", template: TemplateOption = None
) -> None:
    """How many emails of a campaign were delivered, failed, bounced, and wait."""
    question = _question(call, name, since=since, template=template)
    facts = _ask(call, question, call.console, lambda _: None)
    call.show(facts, judge(facts, call.address.options), lambda console: _draw_statuses(console, facts))


@stack_command(campaigns, "report")
def campaign_report(
    call: Call,
    name: NameArgument,
    *,
    since: SinceOption = "7d",
    template: TemplateOption = None,
    recipients: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The file that was sent: look for its emails alone."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Its progress file, if not FILE.progress."),
    ] = None,
    not_delivered: Annotated[
        bool, typer.Option("--not-delivered", help="Write those that did not arrive as CSV.")
    ] = False,
    sent: Annotated[bool, typer.Option("--sent", help="Write those that SES took as CSV.")] = False,
) -> None:
    """What became of a campaign's emails, and why some failed; as CSV, which of them."""
    if (not_delivered and sent) or (call.json and (not_delivered or sent)):
        raise typer.BadParameter("expected one of --not-delivered, --sent, --json")
    question = _question(call, name, since=since, template=template, recipients=recipients, state=state)
    options = call.address.options
    if not (not_delivered or sent):
        facts = _ask(call, question, call.console, lambda _: None)
        call.show(facts, judge(facts, options), lambda console: _draw_report(console, facts))
    rows = csv.writer(sys.stdout, lineterminator="\r\n")
    rows.writerow(COLUMNS)

    def write(entry: Entry) -> None:
        if (entry.status in LEFT) if sent else (entry.status not in ARRIVED):
            line = str(entry.line) if entry.line else ""
            cells = (entry.to, entry.status, entry.code, entry.reason, entry.email_id, entry.asked_at, line)
            rows.writerow([quoted(cell) for cell in cells])

    beside = call.beside_data()
    facts = _ask(beside, question, beside.console, write)
    beside.show(facts, judge(facts, options))


@stack_command(campaigns, "plan")
def campaign_plan(
    call: Call,
    recipients: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="FILE.csv with a header, or FILE.jsonl.")
    ],
    *,
    template: Annotated[str, typer.Option(help="Template of every row that names none of its own.")],
    topic: Annotated[str | None, typer.Option(help="Leave out those who have unsubscribed from it.")] = None,
) -> None:
    """Who would get a campaign, how long it would take, and what it would cost. Sends nothing."""
    campaign = Plan(recipients=recipients, template=template, prefix="plan", bulk=True)

    async def work(stack: DeployedStack) -> CampaignPlan:
        found = survey(campaign)
        with progress_bar(call.console, "Looking up", found.good, hidden=call.json) as advance:
            return await plan(
                stack,
                asked_by(campaign, ""),
                rows=found.rows,
                bad_rows=found.bad,
                topic=topic,
                on_rows=lambda rows: advance(rows, found.good),
            )

    facts = call.run(work)
    call.show(facts, judge_plan(facts), lambda console: _draw_plan(console, facts))


def _question(
    call: Call,
    name: str,
    *,
    since: str,
    template: str | None,
    recipients: Path | None = None,
    state: Path | None = None,
) -> Question:
    if not re.search(CAMPAIGN_PATTERN, name):
        raise typer.BadParameter(f"{name!r} can't name a campaign: expected 1 to 64 of A-Z a-z 0-9 _ -")
    at = moment(since, call.clock(), "--since")
    if recipients is None:
        return Question(campaign=name, since=at, template=template)
    try:
        saved = saved_progress(recipients, state)
    except ProgressError as error:
        call.fail(str(error))
    return Question(campaign=name, since=at, wanted=wanted_emails(recipients, saved))


def _ask(
    call: Call, question: Question, console: Console, on_entry: Callable[[Entry], None]
) -> CampaignReport:
    async def ask(stack: DeployedStack) -> CampaignReport:
        with progress_bar(console, "Reading rows", hidden=call.json) as advance:
            return await report(stack, question, call.clock(), on_rows=advance, on_entry=on_entry)

    return call.run(ask)


def _draw_statuses(console: Console, facts: CampaignReport) -> None:
    """One row for each status, the most frequent first."""
    if not facts.counts.emails:
        return
    listing = table("status", "emails", "share")
    for status, count in facts.counts.by_status.items():
        listing.add_row(status.replace("_", " "), f"{count:,}", f"{count / facts.counts.emails:.1%}")
    console.print(listing)


def _draw_report(console: Console, facts: CampaignReport) -> None:
    _draw_statuses(console, facts)
    if facts.counts.by_code:
        listing = table("why", "emails")
        for code, count in facts.counts.by_code.items():
            listing.add_row(code, f"{count:,}")
        console.print(listing)
    bounced, complained = f"{facts.bounce_rate:.2f} %", f"{facts.complaint_rate:.2f} %"
    console.print(f"Of what SES took, {bounced} bounced and {complained} complained.")


def _draw_plan(console: Console, facts: CampaignPlan) -> None:
    listing = table(header=False)
    listing.add_row("rows of the file", f"{facts.rows:,}")
    for what, count in (("bad rows", facts.bad_rows), ("repeated rows", facts.repeated)):
        if count:
            listing.add_row(what, f"{count:,}")
    for reason, count in facts.kept_from.items():
        listing.add_row(reason if reason == UNSUBSCRIBED else f"suppressed: {reason}", f"{count:,}")
    listing.add_row("emails", f"{facts.emails:,}")
    if facts.recipients != facts.emails:
        listing.add_row("recipients, with copies", f"{facts.recipients:,}")
    listing.add_row("rate", f"{facts.rate:g} recipients/s")
    quota = "none"
    if facts.daily_quota is not None and facts.left_today is not None:
        quota = f"{facts.daily_quota:,.0f} recipients, {facts.left_today:,.0f} of them left"
    listing.add_row("quota of 24 hours", quota)
    listing.add_row("time", in_words(facts.seconds))
    listing.add_row("environments kept busy", f"{facts.concurrency} (BulkConcurrency is 8 unless set)")
    cost = f"${facts.dollars:,.2f}; ${facts.dollars_essentials:,.2f} on SES Essentials"
    listing.add_row("cost", f"{cost} (prices of {prices.READ})")
    console.print(listing)
