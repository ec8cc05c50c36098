"""`sesmailengine send`: a campaign from a file."""

import asyncio
import re
import signal
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from engine.cli.campaign.asked import asked_by, progress_file, saved_progress
from engine.cli.campaign.campaign import Campaign, survey
from engine.cli.campaign.missing import unseen
from engine.cli.campaign.pacing import Pace, PacedRun
from engine.cli.campaign.plan import LONGEST_PREFIX, Plan
from engine.cli.campaign.screen import RESUME, CampaignScreen
from engine.cli.campaign.send_options import SendOptions, address_of
from engine.cli.operate.command import StackOption, YesOption
from engine.cli.options import EndpointOption, ProfileOption, RegionOption
from engine.cli.spans import span
from engine.client import PublishProgress, PublishReport
from engine.errors import EngineError
from engine.operations.campaign import Counting, Counts, by_file
from engine.operations.campaign_report import MOST_BOUNCES, MOST_COMPLAINTS
from engine.operations.ledger_reader import open_ledger
from engine.operations.queues import LANES, queue_depths
from engine.operations.stack import DEFAULT_STACK, DeployedStack, StackAddress, connect
from engine.schemas.request import CAMPAIGN_PATTERN

INTERRUPTED = 130


def send(
    *,
    template: Annotated[str, typer.Option(help="Template of every row that names none of its own.")],
    recipients: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="FILE.csv with a header, or FILE.jsonl.")
    ],
    stack: StackOption = DEFAULT_STACK,
    bus: Annotated[
        str | None, typer.Option("--bus", envvar="EVENT_BUS_NAME", help="Another bus than {stack}-EmailBus.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="The application's name; part of every email's identity.")
    ] = "sesmailengine-send",
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Send by the bulk lane, never in the way of other mail.")
    ] = False,
    campaign: Annotated[
        str | None, typer.Option(help="Name of the campaign, which reports, `stop` and `cancel` go by.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row, show the first request, send none.")
    ] = False,
    engine_dry_run: Annotated[
        bool,
        typer.Option("--engine-dry-run", help="Let the engine do all but the send, and report the result."),
    ] = False,
    first: Annotated[int | None, typer.Option(min=1, help="Send so many, and wait.")] = None,
    then_wait: Annotated[
        str, typer.Option(help="How long, as in 30m or 2h; the rest goes if few bounced or complained.")
    ] = "30m",
    most_bounces: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the first that may bounce.")
    ] = MOST_BOUNCES,
    most_complaints: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of the first that may complain.")
    ] = MOST_COMPLAINTS,
    max_per_day: Annotated[
        int | None, typer.Option(min=1, help="Send no more a day (UTC), and stop.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="With --max-per-day: go on the next day.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Ask again for those that the ledger has never seen.")
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the good rows all the same.")
    ] = False,
    idempotency_prefix: Annotated[
        str | None,
        typer.Option(help="Begins every idempotency key; the same prefix and row never send twice."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where progress is saved; FILE.progress where not given.")
    ] = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    yes: YesOption = False,
) -> None:
    """Request one email for every row of a file. Run it again to go on after an interruption."""
    if idempotency_prefix is not None and not 1 <= len(idempotency_prefix) <= LONGEST_PREFIX:
        raise typer.BadParameter(f"--idempotency-prefix: expected 1 to {LONGEST_PREFIX} characters")
    if campaign is not None and not re.search(CAMPAIGN_PATTERN, campaign):
        raise typer.BadParameter("--campaign: expected 1 to 64 of A-Z a-z 0-9 _ -")
    if missing and (first or max_per_day or engine_dry_run):
        raise typer.BadParameter("--missing goes with neither --first nor --max-per-day nor --engine-dry-run")
    address = StackAddress(stack=stack, region=region, profile=profile, endpoint_url=endpoint_url)
    pace = Pace(
        first=first,
        then_wait=span(then_wait, "--then-wait"),
        most_bounces=most_bounces,
        most_complaints=most_complaints,
        per_day=max_per_day,
        wait=wait,
    )
    options = SendOptions(
        template=template,
        recipients=recipients,
        bus=bus or f"{stack}-EmailBus",
        source=source,
        bulk=bulk,
        campaign=campaign,
        dry_run=dry_run,
        engine_dry_run=engine_dry_run,
        missing=missing,
        pace=pace,
        skip_invalid=skip_invalid,
        prefix=idempotency_prefix,
        state=state or progress_file(recipients),
        address=address_of(bus, address),
        yes=yes,
    )
    screen = CampaignScreen(Console())
    try:
        code = _run(screen, options)
    except (EngineError, ClientError, BotoCoreError, OSError) as error:
        screen.say(str(error), bad=True)
        code = 1
    except KeyboardInterrupt:
        screen.say("Stopped; nothing was sent.")
        code = INTERRUPTED
    raise typer.Exit(code)


def _run(screen: CampaignScreen, options: SendOptions) -> int:
    """The exit code."""
    name = options.recipients.name
    if options.missing and options.prefix is None:
        saved_progress(options.recipients, options.state)  # or every row would count as never seen
    saved = options.progress()
    plan = options.plan(saved.prefix)
    with screen.checking(name) as show_rows:
        found = survey(plan, show_rows)
    screen.survey(found)
    campaign = Campaign(plan, saved, options.saved_to, _now)
    if not found.rows:
        screen.say(f"There are no recipients in {name}.", bad=True)
        return 1
    if found.bad and not options.skip_invalid:
        screen.refusal(found)
        return 1
    if options.dry_run:
        screen.dry_run(found, options.bus)
        return 0
    if options.missing:
        return _send_missing(screen, options, plan, campaign, found.good)
    if saved.finished:
        screen.say(
            f"All of {name} was accepted before, as campaign {saved.prefix}. To ask again for what was lost,"
            " add --missing. To send it anew, give another --idempotency-prefix or delete"
            f" {options.state}."
        )
        return 0
    return _send(screen, options, plan, campaign, found.good)


_sleep = asyncio.sleep


def _now() -> datetime:
    return datetime.now(UTC)


def _send(screen: CampaignScreen, options: SendOptions, plan: Plan, campaign: Campaign, total: int) -> int:
    """The exit code: 0 only where everything was accepted, or the day's share of it."""

    async def publish(show: Callable[[PublishProgress], None]) -> tuple[PacedRun, PublishReport | None]:
        async with options.client() as emails:
            await emails.check_bus()
            run = PacedRun(
                campaign=campaign,
                emails=emails,
                pace=options.pace,
                first_counts=lambda: _first_counts(options, plan),
                say=screen.say,
                now=_now,
                sleep=_sleep,
            )
            return run, await _interruptible(run.run(show), screen, campaign, lambda: run.waiting)

    with screen.publishing(total, campaign.done) as show:
        run, report = asyncio.run(publish(show))
    if report is None:
        screen.say(RESUME)
        return INTERRUPTED
    whole = campaign.whole or run.halted is not None
    screen.summary(report, before=campaign.skipped, refused=campaign.refused, whole=whole)
    if run.halted:
        screen.say(run.halted, bad=run.failed)
    if campaign.stopping:
        return INTERRUPTED
    return 1 if run.failed or not report.complete else 0


def _send_missing(
    screen: CampaignScreen, options: SendOptions, plan: Plan, campaign: Campaign, total: int
) -> int:
    """The exit code: 0 only where everything was accepted."""

    async def publish(show: Callable[[int], None]) -> PublishReport | None:
        async with connect(options.address) as stack, options.client() as emails:
            if not options.yes and (waiting := await _waiting(stack)):
                screen.say(
                    f"{waiting:,} emails wait in the queues, and the ledger sees an email when its turn has"
                    " come: they would be asked for again, though not sent twice. Wait until they have left,"
                    " or give --yes. Nothing was sent.",
                    bad=True,
                )
                raise typer.Exit(1)
            await emails.check_bus()
            rows = unseen(plan, options.source, await open_ledger(stack), show)
            return await _interruptible(
                campaign.run_again(emails, lambda _: None, rows), screen, campaign, lambda: False
            )

    with screen.looking_up(total) as show:
        report = asyncio.run(publish(show))
    if report is None or campaign.stopping:
        screen.say(RESUME)
        return INTERRUPTED
    screen.say("Of what the ledger has never seen:")
    screen.summary(report, before=0, refused=campaign.refused, whole=campaign.whole)
    return 0 if report.complete else 1


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
