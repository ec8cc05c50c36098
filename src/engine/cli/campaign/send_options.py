"""What `sesmailengine send` was told, and what follows from it."""

from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import aioboto3
from msgspec import Struct

from engine.cli.campaign.pacing import Pace
from engine.cli.campaign.plan import Plan
from engine.cli.campaign.progress import CampaignIdentity, SavedProgress, begin, digest
from engine.client import EmailClient
from engine.operations.stack import StackAddress

BUS: str = "-EmailBus"


class SendOptions(Struct, frozen=True, kw_only=True):
    """The command's options. `bus`: the stack's own unless another was named."""

    template: str
    recipients: Path
    bus: str
    source: str
    bulk: bool
    campaign: str | None
    topic: str | None
    strict: bool
    dry_run: bool
    engine_dry_run: bool
    missing: bool
    pace: Pace
    skip_invalid: bool
    prefix: str | None
    state: Path
    address: StackAddress
    yes: bool

    def client(self) -> EmailClient:
        """Raises BotoCoreError for a profile that does not exist."""
        session = aioboto3.Session(profile_name=self.address.profile, region_name=self.address.region)
        return EmailClient(
            self.bus, source=self.source, session=session, endpoint_url=self.address.endpoint_url
        )

    def progress(self) -> SavedProgress:
        """The progress to resume from. Raises ProgressError."""
        identity = CampaignIdentity(
            recipients=digest(self.recipients),
            template=self.template,
            bulk=self.bulk,
            bus=self.bus,
            source=self.source,
            campaign=self.campaign,
            topic=self.topic,
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
            campaign=self.campaign,
            topic=self.topic,
            engine_dry_run=self.engine_dry_run,
        )


def address_of(bus: str | None, address: StackAddress) -> StackAddress:
    """The stack that a bus belongs to, where one is named and its name says so."""
    if bus is None or not bus.endswith(BUS):
        return address
    return StackAddress(
        stack=bus.removesuffix(BUS),
        region=address.region,
        profile=address.profile,
        endpoint_url=address.endpoint_url,
    )
