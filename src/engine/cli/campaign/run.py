"""A run of `sesmailengine send`: the file is checked, then its emails are asked for."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from engine.cli.campaign.asked import asked_by, saved_progress
from engine.cli.campaign.campaign import Campaign
from engine.cli.campaign.ending import CampaignFacts, Ending
from engine.cli.campaign.missing import unseen
from engine.cli.campaign.pacing import PacedRun
from engine.cli.campaign.plan import Plan
from engine.cli.campaign.progress import RowMarks
from engine.cli.campaign.screen import RESUME, CampaignScreen
from engine.cli.campaign.send_options import SendOptions
from engine.cli.campaign.survey import Survey, survey
from engine.cli.campaign.templates import template_problem, templates_of, topic_problem
from engine.cli.operate.command import INTERRUPTED, now
from engine.client import PublishProgress, PublishReport
from engine.errors import EngineError
from engine.operations.campaign import Counting, Counts, by_file
from engine.operations.ledger_reader import open_ledger
from engine.operations.queues import LANES, queue_depths
from engine.operations.stack import DeployedStack, connect

_sleep = asyncio.sleep


class MailWaitsError(EngineError):
    """What waits in the queues would be taken for missing."""


def run_campaign(screen: CampaignScreen, options: SendOptions) -> Ending:
    """Raises EngineError, ClientError, BotoCoreError, OSError and KeyboardInterrupt."""
    if options.missing and options.prefix is None:
        saved_progress(options.recipients, options.state)  # or every row would count as never seen
    saved = options.progress()
    plan = options.plan(saved.prefix)
    with screen.checking(options.recipients.name) as show_rows:
        found = survey(plan, show_rows, RowMarks(saved))
    screen.survey(found)
    facts = CampaignFacts.of(found, options.campaign, saved.prefix)
    if refusal := _refusal(options, found):
        return Ending(1, refusal, facts)
    if saved.finished and not (options.dry_run or options.missing):
        accepted = (
            f"All of {options.recipients.name} was accepted before, as campaign {saved.prefix}. To ask again"
            " for what was lost, add --missing. To send it anew, give another --idempotency-prefix or delete"
            f" {options.state}."
        )
        return Ending(0, accepted, facts)
    if refusal := _templates_refusal(screen, options, found):
        return Ending(1, f"{refusal} Nothing was sent.", facts)
    if options.dry_run:
        return Ending(0, screen.dry_run(found, options.bus), facts)
    campaign = Campaign(plan, saved, options.saved_to, now)
    if options.missing:
        return _send_missing(screen, options, plan, campaign, facts)
    return _send(screen, options, plan, campaign, facts)


def _refusal(options: SendOptions, found: Survey) -> str | None:
    if not found.rows:
        return f"There are no recipients in {options.recipients.name}."
    if found.bad and not options.skip_invalid:
        return (
            f"{found.bad:,} of {found.rows:,} rows can't be sent. Correct them, or send the others with"
            " --skip-invalid. Nothing was sent."
        )
    return None


def _templates_refusal(screen: CampaignScreen, options: SendOptions, found: Survey) -> str | None:
    """Of bulk mail, which so many get that they should not be the first to notice; warns of what may go."""
    templates = templates_of(options, found)
    if not isinstance(templates, str) and (problem := template_problem(templates, found)):
        return problem
    problem = topic_problem(templates, found)
    if problem and not options.strict:
        screen.say(problem, bad=True)
        return None
    return problem


def _send(
    screen: CampaignScreen, options: SendOptions, plan: Plan, campaign: Campaign, facts: CampaignFacts
) -> Ending:
    async def publish(show: Callable[[PublishProgress], None]) -> tuple[PacedRun, PublishReport | None]:
        async with options.client() as emails:
            await emails.check_bus()
            run = PacedRun(
                campaign=campaign,
                emails=emails,
                pace=options.pace,
                first_counts=lambda: _first_counts(options, plan),
                say=screen.say,
                now=now,
                sleep=_sleep,
            )
            return run, await _interruptible(run.run(show), screen, campaign, lambda: run.waiting)

    left = facts.rows - facts.bad - facts.before
    with screen.publishing(facts.rows - facts.bad, campaign.done) as show:
        run, report = asyncio.run(publish(show))
    facts = facts.after(campaign, left - campaign.accepted)
    if report is None:
        return Ending(INTERRUPTED, RESUME, facts)
    whole = campaign.whole or run.halted is not None
    sentence = screen.summary(report, before=campaign.skipped, refused=campaign.refused, whole=whole)
    if run.halted:
        sentence += f" {run.halted}"
    if campaign.stopping:
        return Ending(INTERRUPTED, sentence, facts)
    return Ending(1 if run.failed or not report.complete else 0, sentence, facts)


def _send_missing(
    screen: CampaignScreen, options: SendOptions, plan: Plan, campaign: Campaign, facts: CampaignFacts
) -> Ending:
    async def publish(show: Callable[[int], None]) -> PublishReport | None:
        async with connect(options.address) as stack, options.client() as emails:
            if not options.yes and (waiting := await _waiting(stack)):
                raise MailWaitsError(
                    f"{waiting:,} emails wait in the queues, and the ledger sees an email when its turn has"
                    " come: they would be asked for again, though not sent twice. Wait until they have left,"
                    " or give --yes. Nothing was sent."
                )
            await emails.check_bus()
            rows = unseen(plan, options.source, await open_ledger(stack), show)
            return await _interruptible(
                campaign.run_again(emails, lambda _: None, rows), screen, campaign, lambda: False
            )

    with screen.looking_up(facts.rows - facts.bad) as show:
        report = asyncio.run(publish(show))
    facts = facts.after(campaign, campaign.not_accepted if campaign.whole else None)
    if report is None or campaign.stopping:
        return Ending(INTERRUPTED, RESUME, facts)
    summary = screen.summary(report, before=0, refused=campaign.refused, whole=campaign.whole)
    return Ending(0 if report.complete else 1, f"Of what the ledger has never seen: {summary}", facts)


async def _interruptible(
    work: Coroutine[Any, Any, PublishReport],
    screen: CampaignScreen,
    campaign: Campaign,
    is_idle: Callable[[], bool],
) -> PublishReport | None:
    """The first Ctrl-C reads no further; a second one, or one while nothing is under way, cancels: None."""
    task = asyncio.ensure_future(work)

    def interrupt() -> None:
        if campaign.stopping or is_idle():
            task.cancel()
            return
        campaign.stop()
        screen.say("Stopping when the calls under way have ended; Ctrl-C again stops at once.")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def _first_counts(options: SendOptions, plan: Plan) -> Counts:
    counting = Counting()
    async with connect(options.address) as stack:
        wanted = islice(asked_by(plan, options.source), options.pace.first)
        async for entry in by_file(await open_ledger(stack), wanted):
            counting.add(entry)
    return counting.counts


async def _waiting(stack: DeployedStack) -> int:
    return sum(depth.total for depth in await queue_depths(stack, LANES))
