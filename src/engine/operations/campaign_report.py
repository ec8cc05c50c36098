"""How a campaign stands: its counts, what holds it, and the verdict."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.errors import FailureCode
from engine.operations.brakes import open_brakes
from engine.operations.campaign import UNSEEN, WAITING, Counting, Counts, Entry, Wanted, by_days, by_file
from engine.operations.ledger_reader import open_ledger
from engine.operations.queues import BULK, PARKED, QueueDepth, queue_depths
from engine.operations.scopes import go_command
from engine.operations.ses_account import ENOUGH, MOST_BOUNCES, MOST_COMPLAINTS
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict, amount
from engine.schemas.rows import BrakeRow
from engine.tracking.brakes import CANCEL, STOP_ALL, STOP_BULK, cancel_campaign, describe, stop_campaign

_NOT_THE_RECIPIENT: Final = (
    FailureCode.TEMPLATE_NOT_FOUND,
    FailureCode.TEMPLATE_ERROR,
    FailureCode.VALIDATION,
    FailureCode.SENDER_NOT_ALLOWED,
    FailureCode.REJECTED,
    FailureCode.RENDERING_FAILURE,
)


class Question(Struct, frozen=True, kw_only=True):
    """Which emails: those asked for since then (of one template alone), or those of a file."""

    campaign: str
    since: datetime
    template: str | None = None
    wanted: Iterable[Wanted] | None = None


class CampaignReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """`counts.by_status` has `unseen` only where a file said who was asked for.

    `bounce_rate` and `complaint_rate` in percent. `brakes`: those that concern the campaign. `queues`: what
    waits in them, of whichever campaign.
    """

    campaign: str
    since: str
    from_file: bool
    counts: Counts
    bounce_rate: float
    complaint_rate: float
    brakes: list[BrakeRow]
    queues: dict[str, int]


async def report(
    stack: DeployedStack,
    question: Question,
    now: datetime,
    *,
    on_rows: Callable[[int], None],
    on_entry: Callable[[Entry], None] = lambda _: None,
) -> CampaignReport:
    """`on_entry` gets every email. May raise ServiceUnavailable and ClientError."""
    ledger, counting = await open_ledger(stack), Counting()
    if question.wanted is None:
        entries = by_days(
            ledger, question.campaign, question.since, now, template=question.template, on_rows=on_rows
        )
    else:
        entries = by_file(ledger, question.wanted, on_rows=on_rows)
    async for entry in entries:
        counting.add(entry)
        on_entry(entry)
    counts = counting.counts
    keys = [cancel_campaign(question.campaign), stop_campaign(question.campaign), STOP_ALL, STOP_BULK]
    brakes = await (await open_brakes(stack)).read(keys)
    depths: list[QueueDepth] = await queue_depths(stack, [BULK, PARKED])
    return CampaignReport(
        campaign=question.campaign,
        since=f"{question.since:%Y-%m-%d}",
        from_file=question.wanted is not None,
        counts=counts,
        bounce_rate=counts.bounce_rate,
        complaint_rate=counts.complaint_rate,
        brakes=list(brakes.values()),
        queues={depth.queue: depth.total for depth in depths},
    )


def judge(facts: CampaignReport, options: str) -> Verdict:
    """The worst that is to be said. `options`: those that name the stack on a command line."""
    counts, name = facts.counts, facts.campaign
    queued = sum(facts.queues.values())
    if not counts.emails:
        waiting = f" {queued:,} emails wait in the queues, and have no rows yet." if queued else ""
        return Verdict(
            good=False,
            sentence=f"The ledger has no email of campaign {name} since {facts.since}.{waiting} Were they"
            " asked for with that name, on this stack's bus, and not before --since?",
            next_command=f"sesmailengine status{options}",
        )
    said = f"{amount(counts.emails, 'email')}: {in_words(counts)}."
    for brake in facts.brakes:
        verb = "Cancelled" if brake.pk.startswith(CANCEL) else "Stopped"
        again = None if brake.pk.startswith(CANCEL) else f"sesmailengine {go_command(brake)}{options}"
        return Verdict(good=False, sentence=f"{said} {verb}: {describe(brake)}.", next_command=again)
    problem = over_limits(counts, MOST_BOUNCES, MOST_COMPLAINTS)
    if problem and counts.left >= ENOUGH:
        stop = f"sesmailengine stop --campaign {name} --because 'too many bounces'{options}"
        return Verdict(good=False, sentence=f"{said} {problem}", next_command=stop)
    if failures := _failures(counts, name):
        find = f"sesmailengine find --campaign {name} --status failed --since {facts.since}{options}"
        return Verdict(good=False, sentence=f"{said} {failures}", next_command=find)
    if unseen := counts.of(UNSEEN):
        return Verdict(
            good=False,
            sentence=f"{said} The ledger has never seen {amount(unseen, 'email')}; {queued:,} wait in the"
            " queues. What is in no queue was lost on its way: `sesmailengine send --missing`, with the other"
            " options as they were, asks for it again.",
        )
    waits = "Nothing waits."
    if counts.of(WAITING) or queued:
        waits = f"{queued:,} emails wait in the queues, of all campaigns."
    return Verdict(good=True, sentence=f"{said} {waits}")


def _failures(counts: Counts, name: str) -> str | None:
    """What most emails failed of that no recipient is the cause of; None where few did."""
    codes = {code: counts.by_code.get(f"failed {code}", 0) for code in _NOT_THE_RECIPIENT}
    if sum(codes.values()) * 100 <= counts.emails * MOST_BOUNCES:
        return None
    worst = max(codes, key=lambda code: codes[code])
    return (
        f"{codes[worst]:,} failed as {worst}; `sesmailengine explain` tells of any of them why. When that is"
        f" mended, send those rows alone again (`sesmailengine campaign report {name} --not-delivered` lists"
        " them), under another --idempotency-prefix."
    )


def over_limits(counts: Counts, most_bounces: float, most_complaints: float) -> str | None:
    """What is wrong with the rates, in percent of what SES took; None where nothing is."""
    problems = []
    if counts.bounce_rate > most_bounces:
        problems.append(f"{counts.bounce_rate:.2f} % bounced, more than {most_bounces:g} %.")
    if counts.complaint_rate > most_complaints:
        problems.append(f"{counts.complaint_rate:.2f} % complained, more than {most_complaints:g} %.")
    return " ".join(problems) or None


def in_words(counts: Counts) -> str:
    """Such as `9,310 delivered, 12 failed`."""
    parts = (f"{count:,} {status.replace('_', ' ')}" for status, count in counts.by_status.items())
    return ", ".join(parts)
