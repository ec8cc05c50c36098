"""Who gets no mail, by our table and by SES's account list, and the way back after a mistake."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code
from engine.aws.event_bus import put_events
from engine.aws.soft_bounces import soft_bounces_key
from engine.errors import FailureCode
from engine.operations.actions import telling
from engine.operations.ledger_reader import LedgerReader, open_ledger
from engine.operations.ses_list import Reason, SesEntry, SesList, open_ses_list
from engine.operations.stack import DeployedStack
from engine.operations.suppression_table import TYPES, Entry, SuppressionTable, entry, open_suppression
from engine.requests.addresses import address_key, spellings
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.schemas.times import iso
from engine.tracking.kept_request import kept_request
from engine.tracking.lifecycle import Status
from engine.types import Clock

SES_LIST_REASON: Final = "ses-list"
_SES_REASONS: Final[dict[str, Reason]] = {"bounce": "BOUNCE", "complaint": "COMPLAINT"}


class Origin(Struct, frozen=True, kw_only=True, rename="camel"):
    """The email that a suppression came of."""

    email_id: str
    status: str
    template_name: str
    timestamp: str


class Suppression(Struct, frozen=True, kw_only=True, rename="camel"):
    """Both lists on one address. `came_of`: as far as the ledger still knows."""

    address: str
    entries: list[Entry]
    ses: list[SesEntry]
    came_of: list[Origin]

    @property
    def stops_all(self) -> bool:
        return bool(self.ses) or any(each.topic is None for each in self.entries)


class Listed(Struct, frozen=True, kw_only=True, rename="camel"):
    entries: list[Entry]
    more: bool


class Removed(Struct, frozen=True, kw_only=True, rename="camel"):
    """`left`: what still binds the address, its unsubscriptions. `resent`: the new email's idempotency key.

    `resend_problem`: why nothing was asked for again, where it was wanted. `soft_bounces_stay`: these
    credentials may not delete them.
    """

    address: str
    ours: list[str]
    ses: list[str]
    left: list[Entry]
    soft_bounces_stay: bool = False
    resent: str | None = None
    resend_problem: str | None = None


@dataclass(frozen=True)
class SuppressionBook:
    """Both lists, the ledger and the soft bounces of one stack. What changes a list is told on the bus."""

    stack: DeployedStack
    table: SuppressionTable
    ses: SesList
    ledger: LedgerReader
    clock: Clock

    async def show(self, address: str) -> Suppression:
        rows = await self.table.of_address(address)
        found = [await self.ses.read(each) for each in ses_spellings(address)]
        ses = [each for each in found if each]
        emails = await self.ledger.read(row.email_id for row in rows if row.email_id)
        for each in ses:
            if each.message_id:
                emails |= {email.email_id: email for email in await self.ledger.by_ses_id(each.message_id)}
        return Suppression(
            address=address_key(address),
            entries=[entry(row) for row in rows],
            ses=list({each.address: each for each in ses}.values()),
            came_of=[_origin(email) for email in emails.values()],
        )

    async def list(self, kinds: Sequence[str], since: datetime | None, limit: int) -> Listed:
        """The newest rows of these types, or of all."""
        found: list[Entry] = []
        for kind in kinds or TYPES:
            mine: list[Entry] = []
            async for page in self.table.by_type(kind, since=since, page_size=min(limit + 1, 1000)):
                mine += [entry(row) for row in page]
                if len(mine) > limit:
                    break
            found += mine[: limit + 1]
        found.sort(key=lambda each: each.since, reverse=True)
        return Listed(entries=found[:limit], more=len(found) > limit)

    async def add(self, address: str, because: str, *, also_ses: bool) -> Suppression:
        """Stop all mail to an address. A row that does so already keeps its reason."""
        added = Entry(
            address=address_key(address),
            type="manual",
            reason=because,
            since=iso(self.clock()),
            added_by=await self.stack.operator(),
        )
        async with telling(self.stack, "suppression-add", because, self.clock, scope=added.address):
            await self.table.add(added)
            if also_ses:
                await self.ses.put(added.address, "BOUNCE")
        return await self.show(address)

    async def remove(self, address: str, *, resend: bool) -> Removed:
        """Take the address off both lists, and forget its soft bounces, of which one more would suppress it.

        What the person has unsubscribed from stays: that is their own wish.
        """
        key = address_key(address)
        rows = await self.table.of_address(address)
        async with telling(self.stack, "suppression-remove", "", self.clock, scope=key) as record:
            done = await self._remove(address, rows)
            if resend:
                done = await self._resend(done)
            if not (done.ours or done.ses or done.resent):
                record.scope = None
        return done

    async def _remove(self, address: str, rows: Sequence[SuppressionRow]) -> Removed:
        going = [row for row in rows if row.suppression_type != "unsubscribe"]
        for row in going:
            await self.table.remove(row.email)
        ses = [each for each in ses_spellings(address) if await self.ses.remove(each)]
        return Removed(
            address=address_key(address),
            ours=[row.email for row in going],
            ses=ses,
            left=[entry(row) for row in rows if row not in going],
            soft_bounces_stay=not await self._forget_soft_bounces(address),
        )

    async def _forget_soft_bounces(self, address: str) -> bool:
        """Whether these credentials may."""
        dynamodb = await self.stack.client("dynamodb")
        try:
            for key in spellings(address_key(address)):
                await dynamodb.delete_item(
                    TableName=self.stack.state_table, Key={"pk": {"S": soft_bounces_key(key)}}
                )
        except ClientError as error:
            if is_code(error, "AccessDeniedException"):
                return False
            raise
        return True

    async def _resend(self, done: Removed) -> Removed:
        refused = await self._refused_last(done.address)
        if refused is None:
            problem = "no email to the address was refused as suppressed, as far back as rows are kept"
            return msgspec.structs.replace(done, resend_problem=problem)
        request = kept_request(refused)
        if request is None:
            problem = (
                f"the request of {refused.email_id} is not kept, as it was too large to lie in its row."
                " Publish it again under another idempotency key"
            )
            return msgspec.structs.replace(done, resend_problem=problem)
        again = resend_key(refused)
        left = await put_events(
            await self.stack.client("events"),
            [
                {
                    "EventBusName": self.stack.event_bus,
                    "Source": refused.original_source,
                    "DetailType": REQUEST_DETAIL_TYPE,
                    "Detail": msgspec.json.encode(
                        msgspec.structs.replace(request, idempotency_key=again)
                    ).decode(),
                }
            ],
        )
        if left:
            return msgspec.structs.replace(
                done, resend_problem=f"{self.stack.event_bus} did not take the request: {left[0].code}"
            )
        return msgspec.structs.replace(done, resent=again)

    async def _refused_last(self, address: str) -> TrackingRow | None:
        async for page in self.ledger.by_address(address):
            for row in page:
                if row.status == Status.FAILED and row.failure_code == FailureCode.SUPPRESSED:
                    return row
        return None


async def open_book(stack: DeployedStack, clock: Clock) -> SuppressionBook:
    return SuppressionBook(
        stack, await open_suppression(stack), await open_ses_list(stack), await open_ledger(stack), clock
    )


def ses_spellings(address: str) -> tuple[str, ...]:
    """How SES may know an address: as it is given, and as its key."""
    return tuple(dict.fromkeys((address.strip(), *spellings(address_key(address)))))


def resend_key(refused: TrackingRow) -> str:
    """The idempotency key under which a refused email is asked for again: the same, however often."""
    return f"resend:{refused.email_id}"


def ses_reason(kind: str) -> Reason:
    """What SES calls a type; it knows two reasons only."""
    return _SES_REASONS.get(kind, "BOUNCE")


def _origin(email: TrackingRow) -> Origin:
    return Origin(
        email_id=email.email_id,
        status=email.status,
        template_name=email.template_name,
        timestamp=email.timestamp,
    )
