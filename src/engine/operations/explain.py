"""What became of one email: everything that is known, and what it means."""

import asyncio
from datetime import datetime

from msgspec import Struct

from engine.operations.asking import Unknown, ask, known
from engine.operations.brakes import open_brakes
from engine.operations.emails import FoundEmail, describe_row
from engine.operations.ledger_reader import open_ledger
from engine.operations.ses_list import SesEntry, open_ses_list
from engine.operations.stack import DeployedStack
from engine.operations.suppression_table import open_suppression
from engine.operations.timeline import Moment, timeline
from engine.requests.addresses import address_key, spellings
from engine.requests.email_job import retry_id
from engine.schemas.request import EmailRequest, Lane
from engine.schemas.rows import BrakeRow, SuppressionRow, TrackingRow
from engine.tracking.brakes import brake_keys
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key, opt_out_keys


class EmailFacts(Struct, frozen=True, kw_only=True):
    """`attempts`: rows, the first attempt first. `ses_listing`: None where SES does not list the address."""

    attempts: list[TrackingRow]
    suppressed: list[SuppressionRow] = []
    ses_listing: SesEntry | Unknown | None = None
    brakes: list[BrakeRow] = []

    @property
    def row(self) -> TrackingRow:
        """The attempt that counts: the last one."""
        return self.attempts[-1]

    @property
    def blocking(self) -> SuppressionRow | None:
        """The row that stops all mail to the address, if there is one."""
        return next((row for row in self.suppressed if row.suppression_type != UNSUBSCRIBE), None)


class EmailHistory(Struct, frozen=True, kw_only=True, rename="camel"):
    """The facts for people and programs: none of what the email said."""

    email: FoundEmail
    attempts: list[FoundEmail]
    timeline: list[Moment]
    suppressed: list[SuppressionRow]
    ses_listing: SesEntry | None
    ses_listing_unknown: str | None
    brakes: list[BrakeRow]


def history(facts: EmailFacts, now: datetime) -> EmailHistory:
    unknown = facts.ses_listing.why if isinstance(facts.ses_listing, Unknown) else None
    return EmailHistory(
        email=describe_row(facts.row, now),
        attempts=[describe_row(row, now) for row in facts.attempts],
        timeline=timeline(facts.attempts, facts.suppressed),
        suppressed=facts.suppressed,
        ses_listing=known(facts.ses_listing),
        ses_listing_unknown=unknown,
        brakes=facts.brakes,
    )


async def email_facts(stack: DeployedStack, subject: str) -> EmailFacts | None:
    """`subject`: an email id, or an address for the newest email to it. None: the ledger has no such email.

    Raises ServiceUnavailable.
    """
    ledger = await open_ledger(stack)
    if "@" in subject:
        newest: list[TrackingRow] = await anext(ledger.by_address(subject, page=1), [])
        found = newest[0] if newest else None
    else:
        found = (await ledger.read([subject])).get(subject)
    if found is None:
        return None
    original = found.original_email_id or found.email_id
    rows = await ledger.read([original, found.email_id, retry_id(original, 1)])
    attempts = sorted(rows.values(), key=lambda row: row.retry_attempt)
    async with asyncio.TaskGroup() as group:
        suppressed = group.create_task(_suppressed(stack, found))
        listing = group.create_task(ask(_ses_listing(stack, found.to_email)))
        brakes = group.create_task(_brakes(stack, found))
    return EmailFacts(
        attempts=attempts,
        suppressed=suppressed.result(),
        ses_listing=listing.result(),
        brakes=brakes.result(),
    )


async def _brakes(stack: DeployedStack, row: TrackingRow) -> list[BrakeRow]:
    """Those in the email's way, the one that applies first."""
    request = EmailRequest(
        to=row.to_email,
        template_name=row.template_name,
        campaign=row.campaign,
        priority="bulk" if row.lane == Lane.BULK else "transactional",
    )
    keys = brake_keys(request)
    found = await (await open_brakes(stack)).read(keys)
    return [found[key] for key in keys if key in found]


async def _suppressed(stack: DeployedStack, email: TrackingRow) -> list[SuppressionRow]:
    """Our own rows about its address: for all mail, for every topic, and for the email's own."""
    topic, keys = email.topic, []
    for address in spellings(address_key(email.to_email)):
        keys += [address, *(opt_out_keys(topic, address) if topic else [opt_out_key(address)])]
    return await (await open_suppression(stack)).read(keys)


async def _ses_listing(stack: DeployedStack, address: str) -> SesEntry | None:
    """Of the account; SES's global list can't be asked.

    https://docs.aws.amazon.com/ses/latest/dg/sending-email-global-suppression-list.html
    """
    return await (await open_ses_list(stack)).read(address)
