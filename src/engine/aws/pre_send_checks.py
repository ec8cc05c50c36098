"""What decides whether mail may go out: the day's counters for the bounce quota, and suppression.

The counters are items `quota#<date>#<shard>` of the State table. One item takes 1,000 writes a second; the
shards keep several environments from meeting on one. The system's randomness picks them: environments
restored from one snapshot would all draw the same from Python's own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

import secrets
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from engine.aws.dynamodb import from_item, get_items
from engine.aws.error_codes import service_errors
from engine.requests.addresses import address_key, spellings
from engine.schemas.rows import SuppressionRow
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.ports import PreSendChecks

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


SHARDS: Final = 4
_KEPT: Final = timedelta(days=3)


# Whole numbers that a division takes; what another hand wrote there counts for nothing.
_Count = Annotated[int, Meta(ge=0, le=10**15)]


class _Counter(Struct, frozen=True):
    sends: _Count = 0
    bounces: _Count = 0


def counter_keys(date: str) -> list[str]:
    """The keys of a day's counters: reading them costs the same however much was sent."""
    return [f"quota#{date}#{shard}" for shard in range(SHARDS)]


def quota_reading(counters: Iterable[Any]) -> QuotaReading:
    """A day's counters, as DynamoDB items, added up."""
    shards = [from_item(item, _Counter) for item in counters]
    return QuotaReading(sum(shard.sends for shard in shards), sum(shard.bounces for shard in shards))


class DailyCounters:
    """Implements `BounceQuota`. `pick`: draws a number below the one given."""

    def __init__(
        self, client: "DynamoDBClient", table: str, pick: Callable[[int], int] = secrets.randbelow
    ) -> None:
        self._client = client
        self._table = table
        self._pick = pick

    async def count_sends(self, date: str, recipients: int) -> None:
        await self._add(date, "sends", recipients)

    async def count_bounce(self, date: str) -> None:
        await self._add(date, "bounces", 1)

    async def _add(self, date: str, counter: str, amount: int) -> None:
        gone = datetime.fromisoformat(date).replace(tzinfo=UTC) + _KEPT
        with service_errors("DynamoDB (State)"):
            await self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": counter_keys(date)[self._pick(SHARDS)]}},
                UpdateExpression="SET #ttl = if_not_exists(#ttl, :ttl) ADD #counter :amount",
                ExpressionAttributeNames={"#ttl": "ttl", "#counter": counter},
                ExpressionAttributeValues={
                    ":ttl": {"N": str(int(gone.timestamp()))},
                    ":amount": {"N": str(amount)},
                },
            )


class PreSendTables:
    """Implements `PreSendReader`. A batch that asks for more keys than a call takes makes several calls."""

    def __init__(self, client: "DynamoDBClient", *, suppression_table: str, state_table: str) -> None:
        self._client = client
        self._suppression = suppression_table
        self._state = state_table

    async def read(self, addresses: Collection[str], date: str) -> PreSendChecks:
        emails = {spelling for address in addresses for spelling in spellings(address)}
        keys = {
            self._suppression: [{"email": email} for email in sorted(emails)],
            self._state: [{"pk": key} for key in counter_keys(date)],
        }
        found = await get_items(self._client, keys)
        rows = [from_item(item, SuppressionRow) for item in found[self._suppression]]
        suppressed = {address_key(row.email): row for row in rows}
        return PreSendChecks(suppressed, quota_reading(found[self._state]))
