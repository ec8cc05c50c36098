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

from engine.cli.campaign.campaign import Campaign, Survey, survey
from engine.cli.campaign.plan import LONGEST_PREFIX, Plan
from engine.cli.campaign.recipients import RecipientsError
from engine.cli.campaign.saved import Identity, Saved, SavedError, begin, digest
from engine.cli.campaign.screen import GO_ON, CampaignScreen
from engine.client import EmailClient, NoSuchBusError, Progress, Report

INTERRUPTED = 130

Template = Annotated[str, typer.Option(help="Template of every row that names none of its own.")]
Recipients = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="FILE.csv with a header, or FILE.jsonl.")
]
Bus = Annotated[str, typer.Option(envvar="EVENT_BUS_NAME", help="The engine's event bus: {Stack}-EmailBus.")]
Source = Annotated[str, typer.Option(help="The application's name; part of every email's identity.")]
Bulk = Annotated[bool, typer.Option("--bulk", help="Send by the bulk lane, never in the way of other mail.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check every row, show the first request, send none.")
]
EngineDryRun = Annotated[
    bool,
    typer.Option("--engine-dry-run", help="Let the engine do all but the send, and tell what would be."),
]
SkipInvalid = Annotated[bool, typer.Option("--skip-invalid", help="Send the good rows all the same.")]
Prefix = Annotated[
    str | None,
    typer.Option(help="Begins every idempotency key; the same prefix and row never send twice."),
]
State = Annotated[Path | None, typer.Option(help="Remembers how far it came; FILE.progress where not given.")]
Region = Annotated[str | None, typer.Option(help="AWS region.")]
Profile = Annotated[str | None, typer.Option(help="AWS profile.")]
EndpointUrl = Annotated[str | None, typer.Option(help="Another EventBridge, such as a local one.")]


class Order(Struct, frozen=True, kw_only=True):
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
        """Raises BotoCoreError for a profile that is not there."""
        session = aioboto3.Session(profile_name=self.profile, region_name=self.region)
        return EmailClient(self.bus, source=self.source, session=session, endpoint_url=self.endpoint_url)

    def begin(self) -> Saved:
        """Where to go on. Raises SavedError."""
        identity = Identity(
            recipients=digest(self.recipients),
            template=self.template,
            bulk=self.bulk,
            bus=self.bus,
            source=self.source,
        )
        name = f"{self.recipients.stem[:60]}-{datetime.now(UTC):%Y%m%d}-{token_hex(4)}"
        saved = begin(self.state, identity, self.prefix, name)
        # A rehearsal by the engine takes nobody from the list, and may be repeated.
        return Saved(identity=identity, prefix=saved.prefix) if self.engine_dry_run else saved

    def plan(self, prefix: str) -> Plan:
        return Plan(
            recipients=self.recipients,
            template=self.template,
            prefix=prefix,
            bulk=self.bulk,
            engine_dry_run=self.engine_dry_run,
        )


def send(
    *,
    template: Template,
    recipients: Recipients,
    bus: Bus,
    source: Source = "sesmailengine-send",
    bulk: Bulk = False,
    dry_run: DryRun = False,
    engine_dry_run: EngineDryRun = False,
    skip_invalid: SkipInvalid = False,
    idempotency_prefix: Prefix = None,
    state: State = None,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Ask for one email to everyone in a file. Run it again to go on after an interruption."""
    if idempotency_prefix is not None and not 1 <= len(idempotency_prefix) <= LONGEST_PREFIX:
        raise typer.BadParameter(f"--idempotency-prefix: expected 1 to {LONGEST_PREFIX} characters")
    order = Order(
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
    raise typer.Exit(_code(CampaignScreen(Console()), order))


def _code(screen: CampaignScreen, order: Order) -> int:
    """The exit code: 0 only where everything was accepted."""
    try:
        return _send(screen, order)
    except (RecipientsError, SavedError, NoSuchBusError, BotoCoreError, OSError) as error:
        screen.say(str(error), bad=True)
        return 1
    except KeyboardInterrupt:
        screen.say("Stopped; nothing was sent.")
        return INTERRUPTED


def _send(screen: CampaignScreen, order: Order) -> int:
    saved = order.begin()
    plan = order.plan(saved.prefix)
    with screen.looking(order.recipients.name) as seen:
        found = survey(plan, seen)
    screen.bad_rows(found)
    if not found.rows:
        screen.say(f"There are no recipients in {order.recipients.name}.", bad=True)
        return 1
    if found.bad and not order.skip_invalid:
        screen.refusal(found)
        return 1
    if order.dry_run:
        screen.rehearsal(found, order.bus)
        return 0
    if saved.finished:
        screen.say(
            f"All of {order.recipients.name} was accepted before, as campaign {saved.prefix}. To send it"
            f" anew, give another --idempotency-prefix or delete {order.state}."
        )
        return 0
    state = None if order.engine_dry_run else order.state
    return _publish(screen, order, found, Campaign(plan, saved, state, time.monotonic))


def _publish(screen: CampaignScreen, order: Order, found: Survey, campaign: Campaign) -> int:
    with screen.sending(found.good, campaign.done_before) as show:
        report = asyncio.run(_run(screen, order, campaign, show))
    if report is None:
        screen.say(GO_ON)
        return INTERRUPTED
    screen.summary(report, before=campaign.skipped, refused=campaign.refused, whole=not campaign.stopping)
    if campaign.stopping:
        return INTERRUPTED
    return 0 if report.complete else 1


async def _run(
    screen: CampaignScreen, order: Order, campaign: Campaign, show: Callable[[Progress], None]
) -> Report | None:
    """The first Ctrl-C reads no further, the second one ends what is under way: None."""
    async with order.client() as emails:
        await emails.check_bus()
        task = asyncio.ensure_future(campaign.run(emails, show))

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
