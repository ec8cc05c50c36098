"""The tracking table. Every write is conditional, so that late and repeated news can't turn a row back."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.exceptions import ClientError

from engine.aws.dynamodb import CONDITION_FAILED, attribute, from_item, to_item
from engine.aws.error_codes import is_code, service_errors
from engine.errors import Refusal, ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.ledger import Advance, Move
from engine.tracking.lifecycle import RANK, Status, is_soft_bounce

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

TO_EMAIL_INDEX: Final = "to-email-timestamp-index"
SES_MESSAGE_ID_INDEX: Final = "ses-message-id-index"
_BATCH_GET_LIMIT: Final = (
    100  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
)
_SERVICE: Final = "DynamoDB (EmailTracking)"

_REACHED_AT: Final = {
    Status.SENT: "sentAt",
    Status.SOFT_BOUNCED: "softBouncedAt",
    Status.DELIVERED: "deliveredAt",
    Status.OPENED: "openedAt",
    Status.FAILED: "failedAt",
    Status.BOUNCED: "bouncedAt",
    Status.COMPLAINED: "complainedAt",
}
# The same rule as tracking.lifecycle.can_transition, in DynamoDB's words.
_CAN_TRANSITION: Final = (
    "attribute_exists(emailId) AND (attribute_not_exists(statusRank) OR statusRank < :rank"
    " OR (#status = :bounced AND :to = :complained))"
)


class TrackingLedger:
    """Implements `SenderLedger` and `FeedbackLedger`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        return list(await asyncio.gather(*map(self._insert, rows)))

    async def _insert(self, row: TrackingRow) -> TrackingRow | ServiceUnavailable | None:
        try:
            return await self._insert_or_read(row)
        except ServiceUnavailable as error:
            return error  # one row's trouble is no reason to give up the others

    async def _insert_or_read(self, row: TrackingRow) -> TrackingRow | None:
        with service_errors(_SERVICE):
            try:
                await self._client.put_item(
                    TableName=self._table,
                    Item=to_item(row),
                    ConditionExpression="attribute_not_exists(emailId)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
                there = await self._row_behind(error, row.email_id)
                return None if is_own(there, row) else there
        return None

    async def _row_behind(self, error: ClientError, email_id: str) -> TrackingRow:
        """The row that made a condition fail; not every emulator returns it with the error."""
        item = cast("Mapping[str, Any] | None", error.response.get("Item"))
        row = from_item(item, TrackingRow) if item else await self.read(email_id)
        if row is None:
            raise LookupError(f"no tracking row {email_id}")
        return row

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        unchanged = "attribute_not_exists(leaseUntil)" if seen_lease is None else "leaseUntil = :seen"
        values = {
            ":lease": attribute(row.lease_until),
            ":claim": attribute(row.claim_id),
            ":rank": attribute(0),
        }
        if seen_lease is not None:
            values[":seen"] = attribute(seen_lease)
        # Our own claim fits as well: the SDK repeats a call whose answer was lost.
        condition = f"statusRank = :rank AND ({unchanged} OR claimId = :claim)"
        return await self._update(
            row.email_id, "SET leaseUntil = :lease, claimId = :claim", condition, values
        )

    async def release(self, email_id: str, lease: float) -> None:
        values = {":lease": attribute(lease), ":rank": attribute(0)}
        await self._update(
            email_id, "REMOVE leaseUntil", "statusRank = :rank AND leaseUntil = :lease", values
        )

    async def record(self, moves: Sequence[Move]) -> None:
        await asyncio.gather(*map(self._record, moves))

    async def _record(self, move: Move) -> None:
        changes = reached(move.to, move.at) | reasons(move.refusal)
        expression, names, values = _move_expression(move.to, changes, move.ses_message_id)
        await self._update(move.email_id, expression, _CAN_TRANSITION, values, names)

    async def _update(
        self,
        email_id: str,
        expression: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the condition held and the row was written."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"emailId": {"S": email_id}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        if names:
            request["ExpressionAttributeNames"] = names
        with service_errors(_SERVICE):
            try:
                await self._client.update_item(**request)
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
                return False
        return True

    async def read(self, email_id: str) -> TrackingRow | None:
        with service_errors(_SERVICE):
            answer = await self._client.get_item(
                TableName=self._table, Key={"emailId": {"S": email_id}}, ConsistentRead=True
            )
        item = answer.get("Item")
        return from_item(item, TrackingRow) if item else None

    async def find_by_ses_message_id(self, ses_message_id: str) -> TrackingRow | None:
        with service_errors(_SERVICE):
            answer = await self._client.query(
                TableName=self._table,
                IndexName=SES_MESSAGE_ID_INDEX,
                KeyConditionExpression="sesMessageId = :id",
                ExpressionAttributeValues={":id": {"S": ses_message_id}},
                Limit=1,
            )
        for item in answer["Items"]:
            return await self.read(item["emailId"]["S"])
        return None

    async def advance(
        self,
        email_id: str,
        to: Status,
        *,
        at: datetime,
        fingerprint: str,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> Advance:
        changes = reached(to, at) | reasons(refusal)
        move = f"{to}:{fingerprint}"
        expression, names, values = _move_expression(to, changes, ses_message_id)
        with service_errors(_SERVICE):
            try:
                answer = await self._client.update_item(
                    TableName=self._table,
                    Key={"emailId": {"S": email_id}},
                    UpdateExpression=f"{expression} ADD moves :move",
                    ConditionExpression=_CAN_TRANSITION,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values | {":move": attribute(frozenset({move}))},
                    ReturnValues="ALL_OLD",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
                row = await self._row_behind(error, email_id)
                return Advance(row, Status(row.status), moved=False, already_published=move in row.moves)
        before = from_item(answer["Attributes"], TrackingRow)
        if ses_message_id and not before.ses_message_id:
            changes["sesMessageId"] = ses_message_id
        return Advance(_with(before, changes, move), Status(before.status), moved=True)

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        names = {f"#n{i}": name for i, name in enumerate(attributes)}
        values = {f":n{i}": attribute(value) for i, value in enumerate(attributes.values())}
        sets = ", ".join(f"#n{i} = if_not_exists(#n{i}, :n{i})" for i in range(len(names)))
        await self._update(email_id, f"SET {sets}", "attribute_exists(emailId)", values, names)

    async def mark(self, email_id: str, what: str) -> bool:
        return await self._update(
            email_id,
            "ADD moves :mark",
            "attribute_exists(emailId) AND NOT contains(moves, :what)",
            {":mark": attribute(frozenset({what})), ":what": attribute(what)},
        )

    async def soft_bounces_since(self, to_email: str, since: datetime, enough: int) -> int:
        found = 0
        async for email_ids in self._emails_to(to_email, since):
            found += sum(map(is_soft_bounce, await self._read_all(email_ids)))
            if found >= enough:
                return enough
        return found

    async def _emails_to(self, to_email: str, since: datetime) -> AsyncIterator[list[str]]:
        """Pages of email ids, newest first."""
        start: dict[str, Any] = {}
        while True:
            with service_errors(_SERVICE):
                page = await self._client.query(
                    TableName=self._table,
                    IndexName=TO_EMAIL_INDEX,
                    KeyConditionExpression="toEmail = :to AND #timestamp >= :since",
                    ExpressionAttributeNames={"#timestamp": "timestamp"},
                    ExpressionAttributeValues={":to": {"S": to_email}, ":since": {"S": iso(since)}},
                    ScanIndexForward=False,
                    Limit=_BATCH_GET_LIMIT,
                    **start,
                )
            yield [item["emailId"]["S"] for item in page["Items"]]
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def _read_all(self, email_ids: list[str]) -> list[TrackingRow]:
        """Rows by key: the index holds no status, so that a status update does not pay for the index."""
        rows = await asyncio.gather(*map(self.read, email_ids))
        return [row for row in rows if row]


def is_own(there: TrackingRow, row: TrackingRow) -> bool:
    """Whether the row that is there is the very claim: the SDK repeats a write whose answer was lost."""
    return row.claim_id is not None and there.claim_id == row.claim_id


def reached(to: Status, at: datetime) -> dict[str, object]:
    """The attributes that say that a row is in a status, and since when."""
    return {"status": to.value, "statusRank": RANK[to], _REACHED_AT[to]: iso(at)}


def reasons(refusal: Refusal | None) -> dict[str, object]:
    """The attributes that say why an email failed."""
    if refusal is None:
        return {}
    return {"failureCode": refusal.code.value, "failureReason": refusal.message}


def _move_expression(
    to: Status, changes: Mapping[str, object], ses_message_id: str | None
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The update that moves a row, with its names and values; it ends the claim as well."""
    values = {
        ":rank": attribute(RANK[to]),
        ":to": attribute(to.value),
        ":bounced": attribute(Status.BOUNCED.value),
        ":complained": attribute(Status.COMPLAINED.value),
    }
    values |= {f":v{i}": attribute(value) for i, value in enumerate(changes.values())}
    names = {f"#v{i}": name for i, name in enumerate(changes)}
    assignments = [f"#v{i} = :v{i}" for i in range(len(changes))]
    if ses_message_id:
        values[":message"] = attribute(ses_message_id)
        assignments.append("sesMessageId = if_not_exists(sesMessageId, :message)")
    return (
        f"SET {', '.join(assignments)} REMOVE leaseUntil",
        names | {"#status": "status"},
        values,
    )


def _with(row: TrackingRow, changes: Mapping[str, object], move: str) -> TrackingRow:
    """The row as the update left it, without reading it again."""
    item = to_item(row) | {name: attribute(value) for name, value in changes.items()}
    item["moves"] = attribute(row.moves | {move})
    item.pop("leaseUntil", None)
    return from_item(item, TrackingRow)
