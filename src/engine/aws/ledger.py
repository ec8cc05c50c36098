"""The tracking table. Every write is conditional, so that late and repeated reports can't turn a row back.

One row alone is claimed by PutItem, whose refusal brings the row that is there; several go 25 a
BatchExecuteStatement, and the rows in their way are read together.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from engine.aws.dynamodb import (
    ConditionFailed,
    Statement,
    attribute,
    conditional,
    execute,
    from_item,
    get_items,
    to_item,
)
from engine.aws.error_codes import service_errors
from engine.errors import FailureCode, Refusal, ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.ledger import Advance, Move
from engine.tracking.lifecycle import RANK, Status

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

SES_MESSAGE_ID_INDEX: Final = "ses-message-id-index"
_SERVICE: Final = "DynamoDB (EmailTracking)"

_NAMES: Final = dict(zip(TrackingRow.__struct_fields__, TrackingRow.__struct_encode_fields__, strict=True))
Claimed = TrackingRow | ServiceUnavailable | None
# The same rule as tracking.lifecycle.can_transition, in DynamoDB's words.
_CAN_TRANSITION: Final = (
    "attribute_exists(emailId) AND (attribute_not_exists(#statusRank) OR #statusRank < :statusRank"
    " OR (#status = :bounced AND :status = :complained))"
)


class TrackingLedger:
    """Implements `SenderLedger` and `FeedbackLedger`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    # -- the sender's ------------------------------------------------------------------------------------

    async def claim(self, rows: Sequence[TrackingRow]) -> list[Claimed]:
        if len(rows) == 1:
            return [await self._claim_alone(rows[0])]
        statements = []
        for row in rows:
            item = to_item(row)
            fields = ", ".join(f"'{name}': ?" for name in item)
            statements.append(
                Statement(f'INSERT INTO "{self._table}" VALUE {{{fields}}}', list(item.values()))
            )
        pairs = list(zip(rows, await execute(self._client, statements), strict=True))
        taken = [row.email_id for row, outcome in pairs if outcome is False]
        gone = ServiceUnavailable("a row was there when it was claimed, and gone when it was read")
        there: dict[str, Claimed] = dict.fromkeys(taken, gone)
        try:
            keys = {self._table: [{"emailId": email_id} for email_id in taken]}
            # Consistently: the rows may be from a moment ago.
            for item in (await get_items(self._client, keys, consistent=True))[self._table]:
                there[item["emailId"]["S"]] = _row_or_error(item)
        except ServiceUnavailable as error:
            there = dict.fromkeys(taken, error)
        return [
            outcome if isinstance(outcome, ServiceUnavailable) else _unless_own(there.get(row.email_id), row)
            for row, outcome in pairs
        ]

    async def _claim_alone(self, row: TrackingRow) -> Claimed:
        try:
            put = await conditional(
                _SERVICE,
                self._client.put_item(
                    TableName=self._table,
                    Item=to_item(row),
                    ConditionExpression="attribute_not_exists(emailId)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ),
            )
            if isinstance(put, ConditionFailed):
                return _unless_own(_row_behind(put, row.email_id), row)
        except ServiceUnavailable as error:
            return error
        return None

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        unchanged = "attribute_not_exists(leaseUntil)" if seen_lease is None else "leaseUntil = :seen"
        values: dict[str, object] = {":lease": row.lease_until, ":claim": row.claim_id, ":rank": 0}
        if seen_lease is not None:
            values[":seen"] = seen_lease
        # Our own claim fits as well: the SDK repeats a call whose answer was lost.
        condition = f"statusRank = :rank AND ({unchanged} OR claimId = :claim)"
        update = "SET leaseUntil = :lease, claimId = :claim"
        if row.kept_request is not None:
            values[":kept"] = row.kept_request
            update += ", keptRequest = :kept"
        return await self._update(row.email_id, update, condition, values)

    async def release(self, email_id: str, lease: float) -> None:
        values = {":lease": lease, ":rank": 0}
        await self._update(
            email_id, "REMOVE leaseUntil", "statusRank = :rank AND leaseUntil = :lease", values
        )

    async def record(self, moves: Sequence[Move]) -> None:
        if len(moves) == 1:
            (move,) = moves
            changes = _changes(move.to, move.at, move.refusal, move.template_version, move.topic)
            update, names, values = _update_expression(move.to, changes, move.ses_message_id, move.refusal)
            await self._update(move.email_id, update, "#statusRank < :statusRank", values, names)
            return
        statements = []
        for move in moves:
            changes = _changes(move.to, move.at, move.refusal, move.template_version, move.topic)
            if move.ses_message_id:
                changes["sesMessageId"] = move.ses_message_id
            sets = " ".join(f'SET "{name}" = ?' for name in changes)
            removes = " ".join(f'REMOVE "{name}"' for name in _obsolete(move.to, move.refusal))
            where = 'WHERE "emailId" = ? AND "statusRank" < ?'
            parameters = [attribute(value) for value in (*changes.values(), move.email_id, RANK[move.to])]
            statements.append(Statement(f'UPDATE "{self._table}" {sets} {removes} {where}', parameters))
        for outcome in await execute(self._client, statements):
            if isinstance(outcome, ServiceUnavailable):
                raise outcome

    # -- both --------------------------------------------------------------------------------------------

    async def read(self, email_id: str) -> TrackingRow | None:
        with service_errors(_SERVICE):
            answer = await self._client.get_item(
                TableName=self._table, Key={"emailId": {"S": email_id}}, ConsistentRead=True
            )
        item = answer.get("Item")
        return _row(item) if item else None

    async def _update(
        self,
        email_id: str,
        update: str,
        condition: str,
        values: Mapping[str, object],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether the condition held and the row was written."""
        request: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        written = await conditional(
            _SERVICE,
            self._client.update_item(
                TableName=self._table,
                Key={"emailId": {"S": email_id}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={name: attribute(value) for name, value in values.items()},
                **request,
            ),
        )
        return not isinstance(written, ConditionFailed)

    # -- feedback's --------------------------------------------------------------------------------------

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
        move = f"{to}:{fingerprint}"
        changes = _changes(to, at, refusal)
        update, names, values = _update_expression(to, changes, ses_message_id, refusal)
        values |= {
            ":move": frozenset({move}),
            ":bounced": Status.BOUNCED.value,
            ":complained": Status.COMPLAINED.value,
        }
        written = await conditional(
            _SERVICE,
            self._client.update_item(
                TableName=self._table,
                Key={"emailId": {"S": email_id}},
                UpdateExpression=f"{update} ADD moves :move",
                ConditionExpression=_CAN_TRANSITION,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: attribute(value) for name, value in values.items()},
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
        )
        if isinstance(written, ConditionFailed):
            row = _row_behind(written, email_id)
            return Advance(row, Status(row.status), moved=False, already_published=move in row.moves)
        before = _row(written["Attributes"])
        # The row as the update left it, without reading it again.
        changes["moves"] = before.moves | {move}
        if ses_message_id and not before.ses_message_id:
            changes["sesMessageId"] = ses_message_id
        item = written["Attributes"] | {name: attribute(value) for name, value in changes.items()}
        kept = {name: value for name, value in item.items() if name not in _obsolete(to, refusal)}
        return Advance(_row(kept), Status(before.status), moved=True)

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        names = {f"#{name}": name for name in attributes}
        values = {f":{name}": value for name, value in attributes.items()}
        sets = ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in attributes)
        await self._update(email_id, f"SET {sets}", "attribute_exists(emailId)", values, names)

    async def mark(self, email_id: str, what: str) -> bool:
        return await self._update(
            email_id,
            "ADD moves :mark",
            "attribute_exists(emailId) AND NOT contains(moves, :what)",
            {":mark": frozenset({what}), ":what": what},
        )


def _row_behind(failed: ConditionFailed, email_id: str) -> TrackingRow:
    """The row that made a condition fail."""
    if failed.item is None:
        raise LookupError(f"no tracking row {email_id}")
    return _row(failed.item)


def _row(item: Mapping[str, Any]) -> TrackingRow:
    """The row. Raises ServiceUnavailable where its status can't be read: to guess might send it twice."""
    row = from_item(item, TrackingRow)
    if "status" in item and item["status"].get("S") not in RANK:
        raise ServiceUnavailable(
            f"{_SERVICE} holds row {row.email_id} with a status that is none of ours; correct it"
        )
    return row


def _row_or_error(item: Mapping[str, Any]) -> TrackingRow | ServiceUnavailable:
    try:
        return _row(item)
    except ServiceUnavailable as error:
        return error


def _unless_own(there: Claimed, row: TrackingRow) -> Claimed:
    """What is in a claim's way: not the claim itself, for the SDK repeats a write whose answer was lost."""
    own = isinstance(there, TrackingRow) and row.claim_id is not None and there.claim_id == row.claim_id
    return None if own else there


def _changes(
    to: Status,
    at: datetime,
    refusal: Refusal | None,
    template_version: str | None = None,
    topic: str | None = None,
) -> dict[str, object]:
    """The attributes that say in which status a row is, since when, by which template and, if failed, why."""
    changes: dict[str, object] = {"status": to.value, "statusRank": RANK[to], _NAMES[f"{to}_at"]: iso(at)}
    if refusal:
        changes |= {"failureCode": refusal.code.value, "failureReason": refusal.message}
    if template_version:
        changes["templateVersion"] = template_version
    if topic:
        changes["topic"] = topic
    return changes


def _obsolete(to: Status, refusal: Refusal | None) -> tuple[str, ...]:
    """The attributes that end with a move: the claim and, where nothing can follow, the kept request.

    Its suppression may turn out to be a mistake, and the email be asked for again.
    """
    suppressed = refusal is not None and refusal.code is FailureCode.SUPPRESSED
    ends = RANK[to] > RANK[Status.SOFT_BOUNCED] and not suppressed
    return ("leaseUntil", "keptRequest") if ends else ("leaseUntil",)


def _update_expression(
    to: Status, changes: Mapping[str, object], ses_message_id: str | None, refusal: Refusal | None
) -> tuple[str, dict[str, str], dict[str, object]]:
    """The update that moves a row, with its names and values."""
    sets = [f"#{name} = :{name}" for name in changes]
    values = {f":{name}": value for name, value in changes.items()}
    if ses_message_id:  # the first one stays: an email whose outcome was unknown may have been sent twice
        sets.append("sesMessageId = if_not_exists(sesMessageId, :sesMessageId)")
        values[":sesMessageId"] = ses_message_id
    update = f"SET {', '.join(sets)} REMOVE {', '.join(_obsolete(to, refusal))}"
    return update, {f"#{name}": name for name in changes}, values
