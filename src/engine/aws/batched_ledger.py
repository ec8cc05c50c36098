"""The sender's ledger for batches: 25 claims or records a call, each with its own condition and outcome."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.aws.batches import get_items
from engine.aws.dynamodb import from_item, to_item
from engine.aws.ledger import TrackingLedger, is_own, reached, reasons
from engine.aws.statements import BatchStatements, Statement, insert, update
from engine.errors import ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.tracking.ledger import Move
from engine.tracking.lifecycle import RANK

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

Claimed = TrackingRow | ServiceUnavailable | None


class BatchedLedger:
    """Implements `SenderLedger`. What can't be shared goes to the ledger that writes one by one."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._single = TrackingLedger(client, table)
        self._statements = BatchStatements(client)

    async def claim(self, rows: Sequence[TrackingRow]) -> list[Claimed]:
        done = await self._statements.run([insert(self._table, to_item(row)) for row in rows])
        if done is None:
            return await self._single.claim(rows)
        taken = [row.email_id for row, outcome in zip(rows, done, strict=True) if outcome is False]
        there = await self._read_all(taken)
        return [
            _claimed(row, there) if outcome is False else (None if outcome is True else outcome)
            for row, outcome in zip(rows, done, strict=True)
        ]

    async def record(self, moves: Sequence[Move]) -> None:
        """Claimed rows only: their rank is there and below that of `sent` and `failed`."""
        done = await self._statements.run([self._move(move) for move in moves])
        if done is None:
            await self._single.record(moves)
            return
        for outcome in done:
            if isinstance(outcome, ServiceUnavailable):
                raise outcome

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        return await self._single.reclaim(row, seen_lease)

    async def release(self, email_id: str, lease: float) -> None:
        await self._single.release(email_id, lease)

    async def read(self, email_id: str) -> TrackingRow | None:
        return await self._single.read(email_id)

    def _move(self, move: Move) -> Statement:
        sets = reached(move.to, move.at) | reasons(move.refusal)
        if move.ses_message_id:
            sets["sesMessageId"] = move.ses_message_id
        key = ("emailId", move.email_id)
        return update(self._table, key, sets, remove="leaseUntil", rank_below=RANK[move.to])

    async def _read_all(self, email_ids: Sequence[str]) -> dict[str, TrackingRow] | ServiceUnavailable:
        """Consistently: the rows may be from a moment ago."""
        try:
            keys = [{"emailId": email_id} for email_id in email_ids]
            items = await get_items(self._client, self._table, keys, consistent=True)
        except ServiceUnavailable as error:
            return error
        rows = (from_item(item, TrackingRow) for item in items)
        return {row.email_id: row for row in rows}


def _claimed(row: TrackingRow, there: dict[str, TrackingRow] | ServiceUnavailable) -> Claimed:
    """What stands in the way of a claim."""
    if isinstance(there, ServiceUnavailable):
        return there
    found = there.get(row.email_id)
    if found is None:
        return ServiceUnavailable("a row was taken when it was claimed, and gone when it was read")
    return None if is_own(found, row) else found
