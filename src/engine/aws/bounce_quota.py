"""The day's counters in the State table: `quota#<date>#<shard>`.

One item takes 1,000 writes a second; the shards keep several environments from meeting on one. The system's
randomness picks them: environments restored from one snapshot would all draw the same from Python's own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from engine.aws.batches import SharedReads
from engine.aws.error_codes import service_errors
from engine.tracking.bounce_quota import QuotaReading

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

SHARDS: Final = 4
_KEPT: Final = timedelta(days=3)


class DailyCounters:
    """Implements `BounceQuota`; its cost does not grow with the day's sends.

    `reads`: shared with other tables.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        pick: Callable[[int], int] = secrets.randbelow,
        *,
        reads: SharedReads | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._pick = pick
        self._reads = reads or SharedReads(client)

    async def read(self, date: str) -> QuotaReading:
        keys = [{"pk": f"quota#{date}#{shard}"} for shard in range(SHARDS)]
        items = await self._reads.get(self._table, keys)
        return QuotaReading(sends=_total(items, "sends"), bounces=_total(items, "bounces"))

    async def count_sends(self, date: str, sends: int) -> None:
        await self._add(date, "sends", sends)

    async def count_bounce(self, date: str) -> None:
        await self._add(date, "bounces", 1)

    async def _add(self, date: str, counter: str, amount: int) -> None:
        day = datetime.fromisoformat(date).replace(tzinfo=UTC)
        with service_errors("DynamoDB (State)"):
            await self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"quota#{date}#{self._pick(SHARDS)}"}},
                UpdateExpression="SET #ttl = if_not_exists(#ttl, :ttl) ADD #counter :amount",
                ExpressionAttributeNames={"#ttl": "ttl", "#counter": counter},
                ExpressionAttributeValues={
                    ":ttl": {"N": str(int((day + _KEPT).timestamp()))},
                    ":amount": {"N": str(amount)},
                },
            )


def _total(items: list[Any], counter: str) -> int:
    return sum(int(item[counter]["N"]) for item in items if counter in item)
