"""`sesmailengine send`: a campaign from a file."""

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import aioboto3
import typer
from botocore.exceptions import BotoCoreError
from msgspec import Struct
from rich.console import Console

from engine.cli.campaign.campaign import Campaign, survey
from engine.cli.campaign.plan import LONGEST_PREFIX, Plan
from engine.cli.campaign.progress import CampaignIdentity, ProgressError, SavedProgress, begin, digest
from engine.cli.campaign.recipients import RecipientsError
from engine.cli.campaign.screen import RESUME, CampaignScreen
from engine.cli.options import BusOption, EndpointOption, ProfileOption, RegionOption
from engine.client import EmailClient, NoSuchBusError, PublishProgress, PublishReport

INTERRUPTED = 130


class SendOptions(Struct, frozen=True, kw_only=True):
    """The command's options."""

    template: str
    recipients: Path
    bus: str
    source: str
    bulk: bool
    dry_run: bool
    engine_dry_run: bool
    skip_invalid: bool
    prefix: str | None
    state: Path
    region: str | None
    profile: str | None
    endpoint_url: str | None

    def client(self) -> EmailClient:
        """Raises BotoCoreError for a profile that does not exist."""
        session = aioboto3.Session(profile_name=self.profile, region_name=self.region)
        return EmailClient(self.bus, source=self.source, session=session, endpoint_url=self.endpoint_url)

    def progress(self) -> SavedProgress:
        """The progress to resume from. Raises ProgressError."""
        identity = CampaignIdentity(
            recipients=digest(self.recipients),
            template=self.template,
            bulk=self.bulk,
            bus=self.bus,
            source=self.source,
        )
        name = f"{self.recipients.stem[:60]}-{datetime.now(UTC):%Y%m%d}-{token_hex(4)}"
        saved = begin(self.state, identity, self.prefix, name)
        # A dry run by the engine sends to nobody, so it marks no row as done and may be repeated.
        return SavedProgress(identity=identity, prefix=saved.prefix) if self.engine_dry_run else saved

    @property
    def saved_to(self) -> Path | None:
        """The progress file; None for a dry run by the engine, which leaves no mark."""
        return None if self.engine_dry_run else self.state

    def plan(self, prefix: str) -> Plan:
        """The campaign under that prefix of its idempotency keys."""
        return Plan(
            recipients=self.recipients,
            template=self.template,
            prefix=prefix,
            bulk=self.bulk,
            engine_dry_run=self.engine_dry_run,
        )


def send(
    *,
    template: Annotated[str, typer.Option(help="Template of every row that names none of its own.")],
    recipients: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="FILE.csv with a header, or FILE.jsonl.")
    ],
    bus: BusOption,
    source: Annotated[
        str, typer.Option(help="The application's name; part of every email's identity.")
    ] = "sesmailengine-send",
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Send by the bulk lane, never in the way of other mail.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row, show the first request, send none.")
    ] = False,
    engine_dry_run: Annotated[
        bool,
        typer.Option("--engine-dry-run", help="Let the engine do all but the send, and report the result."),
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
) -> None:
    """Request one email for every row of a file. Run it again to go on after an interruption."""
    if idempotency_prefix is not None and not 1 <= len(idempotency_prefix) <= LONGEST_PREFIX:
        raise typer.BadParameter(f"--idempotency-prefix: expected 1 to {LONGEST_PREFIX} characters")
    options = SendOptions(
        template=template,
        recipients=recipients,
        bus=bus,
        source=source,
        bulk=bulk,
        dry_run=dry_run,
        engine_dry_run=engine_dry_run,
        skip_invalid=skip_invalid,
        prefix=idempotency_prefix,
        state=state or recipients.with_name(f"{recipients.name}.progress"),
        region=region,
        profile=profile,
        endpoint_url=endpoint_url,
    )
    screen = CampaignScreen(Console())
    try:
        saved = options.progress()
        plan = options.plan(saved.prefix)
        with screen.checking(recipients.name) as show_rows:
            found = survey(plan, show_rows)
        screen.survey(found)
        if not found.rows:
            screen.say(f"There are no recipients in {recipients.name}.", bad=True)
            code = 1
        elif found.bad and not skip_invalid:
            screen.refusal(found)
            code = 1
        elif dry_run:
            screen.dry_run(found, bus)
            code = 0
        elif saved.finished:
            screen.say(
                f"All of {recipients.name} was accepted before, as campaign {saved.prefix}. To send it"
                f" anew, give another --idempotency-prefix or delete {options.state}."
            )
            code = 0
        else:
            code = _send(screen, options, Campaign(plan, saved, options.saved_to, time.monotonic), found.good)
    except (RecipientsError, ProgressError, NoSuchBusError, BotoCoreError, OSError) as error:
        screen.say(str(error), bad=True)
        code = 1
    except KeyboardInterrupt:
        screen.say("Stopped; nothing was sent.")
        code = INTERRUPTED
    raise typer.Exit(code)


def _send(screen: CampaignScreen, options: SendOptions, campaign: Campaign, total: int) -> int:
    """The exit code: 0 only where everything was accepted."""
    with screen.publishing(total, campaign.done_before) as on_progress:
        report = asyncio.run(_publish(screen, options, campaign, on_progress))
    if report is None:
        screen.say(RESUME)
        return INTERRUPTED
    screen.summary(report, before=campaign.skipped, refused=campaign.refused, whole=not campaign.stopping)
    if campaign.stopping:
        return INTERRUPTED
    return 0 if report.complete else 1


async def _publish(
    screen: CampaignScreen,
    options: SendOptions,
    campaign: Campaign,
    on_progress: Callable[[PublishProgress], None],
) -> PublishReport | None:
    """The first Ctrl-C reads no further, the second one cancels the calls under way: None."""
    async with options.client() as emails:
        await emails.check_bus()
        task = asyncio.ensure_future(campaign.run(emails, on_progress))

        def interrupt() -> None:
            if campaign.stopping:
                task.cancel()
            campaign.stop()
            screen.say("Stopping when the calls under way have ended; Ctrl-C again stops at once.")

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        try:
            return await task
        except asyncio.CancelledError:
            return None
