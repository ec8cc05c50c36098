"""What is held about one person's address: shown whole, or forgotten.

Forgetting blanks the rows of the address and keeps their ids: the same request that comes again must still
find that its email was sent. What stops mail stays, in plain text: the sender looks an address up by itself,
and a hash would have to be looked up beside it for every email (docs/decisions/0022).
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from engine.aws.dynamodb import conditional, get_items
from engine.aws.error_codes import is_code
from engine.aws.payloads import RequestPayloads
from engine.aws.soft_bounces import soft_bounces_key
from engine.operations.ledger_reader import LedgerReader, open_ledger
from engine.operations.person_facts import HeldData, HeldEmail, Receipt
from engine.operations.scheduled import ScheduledEmail, ScheduledMail, open_scheduled
from engine.operations.stack import DeployedStack
from engine.operations.suppression import SuppressionBook, open_book, ses_spellings
from engine.requests.addresses import address_key, spellings
from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.kept_request import kept_request
from engine.tracking.lifecycle import Status
from engine.types import Clock

FORGOTTEN: Final = "forgotten"
_MOST_SCHEDULES: Final = 10_000
_UNDER_WAY: Final = frozenset({Status.SENDING, Status.SENT, Status.SOFT_BOUNCED})
# Whatever may name the person, or repeat what the request or a mail server said.
_BLANKED: Final = (
    "metadata",
    "tags",
    "keptRequest",
    "diagnosticCode",
    "failureReason",
    "idempotencyKey",
    "requestHash",
)
_FROM_SUPPRESSION: Final = ("emailId", "diagnosticCode", "addedBy")


@dataclass(frozen=True)
class PersonalData:
    stack: DeployedStack
    dynamodb: Any
    ledger: LedgerReader
    payloads: RequestPayloads
    book: SuppressionBook
    schedules: ScheduledMail
    clock: Clock

    async def held(self, address: str) -> HeldData:
        found = await self.book.show(address)
        emails = [
            HeldEmail(row=_without_request(row), request=await self._request(row))
            async for page in self.ledger.by_address(address)
            for row in page
        ]
        scheduled, whole = await self._scheduled(found.address)
        return HeldData(
            address=found.address,
            at=iso(self.clock()),
            emails=emails,
            suppression=found.entries,
            ses=found.ses,
            soft_bounces=await self._soft_bounces(found.address),
            scheduled=scheduled,
            all_schedules_read=whole,
        )

    async def forget(self, address: str, *, drop_opt_out: bool) -> Receipt:
        """Blank and delete; may be broken off and run again, and then goes on with what is left."""
        key = address_key(address)
        emails = under_way = requests = 0
        async for page in self.ledger.by_address(address):
            for row in page:
                # The request first: without its address the row would not be found again.
                kept = await self.payloads.remove(row.claim_id or "", row.email_id)
                await self._blank(row)
                emails, requests = emails + 1, requests + (kept or row.kept_request is not None)
                under_way += row.status in _UNDER_WAY
        bounces = bool(await self._soft_bounces(key))
        for spelled in spellings(key):
            await self.dynamodb.delete_item(
                TableName=self.stack.state_table, Key={"pk": {"S": soft_bounces_key(spelled)}}
            )
        scheduled, whole = await self._scheduled(key)
        # One that is due by now is not taken back: it is under way.
        taken_back = [email for email in scheduled if (await self.schedules.cancel(email.email_id)).good]
        return Receipt(
            address_sha256=hashed(key),
            at=iso(self.clock()),
            by=await self.stack.operator(),
            emails=emails,
            under_way=under_way,
            requests=requests,
            soft_bounces=bounces,
            scheduled=len(taken_back),
            all_schedules_read=whole,
            opt_out=await self._opt_out(address, drop=drop_opt_out),
            dropped=drop_opt_out,
        )

    async def _request(self, row: TrackingRow) -> EmailRequest | None:
        return kept_request(row) or await self.payloads.read(row.claim_id or "", row.email_id)

    async def _blank(self, row: TrackingRow) -> None:
        names = {f"#{name}": name for name in _BLANKED}
        await conditional(
            "DynamoDB (EmailTracking)",
            self.dynamodb.update_item(
                TableName=self.stack.tracking_table,
                Key={"emailId": {"S": row.email_id}},
                UpdateExpression=f"SET toEmail = :forgotten REMOVE {', '.join(names)}",
                ConditionExpression="attribute_exists(emailId)",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":forgotten": {"S": FORGOTTEN}},
            ),
        )

    async def _soft_bounces(self, key: str) -> dict[str, int]:
        table = self.stack.state_table
        wanted = [{"pk": soft_bounces_key(spelled)} for spelled in spellings(key)]
        found = await get_items(self.dynamodb, {table: wanted})
        return {
            name: int(value["N"])
            for item in found[table]
            for name, value in item.items()
            if name not in {"pk", "ttl"}
        }

    async def _scheduled(self, key: str) -> tuple[list[ScheduledEmail], bool]:
        """Those to the address, and whether all schedules were read."""
        try:
            waiting = await self.schedules.list(_MOST_SCHEDULES)
        except ClientError as error:
            if is_code(error, "ResourceNotFoundException"):  # a stack of before there were schedules
                return [], True
            raise
        return [email for email in waiting.emails if address_key(email.to) == key], not waiting.more

    async def _opt_out(self, address: str, *, drop: bool) -> list[str]:
        """Keep what stops mail, without what it came of, or drop it from both lists; the types there were."""
        rows = await self.book.table.of_address(address)
        for row in rows:
            if drop:
                await self.book.table.remove(row.email)
                continue
            await conditional(
                "DynamoDB (Suppression)",
                self.dynamodb.update_item(
                    TableName=self.stack.suppression_table,
                    Key={"email": {"S": row.email}},
                    UpdateExpression=f"REMOVE {', '.join(_FROM_SUPPRESSION)}",
                    ConditionExpression="attribute_exists(email)",
                ),
            )
        if drop:
            for spelled in ses_spellings(address):
                await self.book.ses.remove(spelled)
        return sorted({row.suppression_type for row in rows})


async def open_personal_data(stack: DeployedStack, clock: Clock) -> PersonalData:
    dynamodb = await stack.client("dynamodb")
    return PersonalData(
        stack,
        dynamodb,
        await open_ledger(stack),
        RequestPayloads(dynamodb, stack.state_table, clock),
        await open_book(stack, clock),
        await open_scheduled(stack),
        clock,
    )


def hashed(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _without_request(row: TrackingRow) -> dict[str, Any]:
    held = msgspec.to_builtins(msgspec.structs.replace(row, kept_request=None))
    return {name: value for name, value in held.items() if value not in (None, [], {})}
