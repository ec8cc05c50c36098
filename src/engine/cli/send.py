"""`sesmailengine send`: a campaign from a file."""

import re
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from engine.cli.campaign.asked import progress_file
from engine.cli.campaign.ending import Ending
from engine.cli.campaign.pacing import Pace
from engine.cli.campaign.plan import LONGEST_PREFIX
from engine.cli.campaign.run import run_campaign
from engine.cli.campaign.screen import CampaignScreen
from engine.cli.campaign.send_options import SendOptions, address_of
from engine.cli.operate.command import INTERRUPTED, JsonOption, StackOption, YesOption, print_facts
from engine.cli.options import EndpointOption, ProfileOption, RegionOption
from engine.cli.spans import span
from engine.errors import EngineError
from engine.operations.ses_account import MOST_BOUNCES, MOST_COMPLAINTS
from engine.operations.stack import DEFAULT_STACK, StackAddress
from engine.schemas.request import CAMPAIGN_PATTERN, TOPIC_PATTERN


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
    topic: Annotated[
        str | None, typer.Option(help="What people can unsubscribe from, for rows that name no topic.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse bulk mail without a topic, instead of a warning.")
    ] = False,
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
    json: JsonOption = False,
) -> None:
    """Request one email for every row of a file. Run it again to go on after an interruption."""
    if idempotency_prefix is not None and not 1 <= len(idempotency_prefix) <= LONGEST_PREFIX:
        raise typer.BadParameter(f"--idempotency-prefix: expected 1 to {LONGEST_PREFIX} characters")
    if campaign is not None and not re.search(CAMPAIGN_PATTERN, campaign):
        raise typer.BadParameter("--campaign: expected 1 to 64 of A-Z a-z 0-9 _ -")
    if topic is not None and not re.search(TOPIC_PATTERN, topic):
        raise typer.BadParameter("--topic: expected 1 to 64 of a-z 0-9 -")
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
        topic=topic,
        strict=strict,
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
    screen = CampaignScreen(Console(stderr=json))
    try:
        ending = run_campaign(screen, options)
    except (EngineError, ClientError, BotoCoreError, OSError) as error:
        ending = Ending(1, str(error))
    except KeyboardInterrupt:
        ending = Ending(INTERRUPTED, "Stopped; nothing was sent.")
    if json:
        print_facts(Console(), ending.facts, ending.verdict)
    else:
        screen.say(ending.sentence, bad=ending.code == 1)
    raise typer.Exit(ending.code)
