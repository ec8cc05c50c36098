"""What decides whether mail may go out: suppression, brakes, and the day's counters for the bounce quota.

The counters are items `quota#<date>#<shard>` of the State table. One item takes 1,000 writes a second; the
shards keep several environments from meeting on one. The system's randomness picks them: environments
restored from one snapshot would all draw the same from Python's own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from engine.aws.dynamodb import ConditionFailed, conditional, from_item, get_items
from engine.aws.error_codes import service_errors
from engine.requests.addresses import address_key, spellings
from engine.schemas.rows import BrakeRow, SuppressionRow
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key
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


def _spelled(opt_outs: Collection[str]) -> dict[str, str]:
    """The keys under which opt-outs may lie, each with the key that is asked for."""
    keys: dict[str, str] = {}
    for key in opt_outs:
        topic, _, address = key.partition("#")
        keys |= {opt_out_key(spelling, topic): key for spelling in spellings(address)}
    return keys


def _opt_outs(rows: Iterable[SuppressionRow], spelled: Mapping[str, str]) -> dict[str, SuppressionRow]:
    """The opt-outs among the rows, by the key that was asked for.

    An address may hold a `#` itself: a row of another type under such a key is about that address.
    """
    return {
        spelled[row.email]: row
        for row in rows
        if row.email in spelled and row.suppression_type == UNSUBSCRIBE
    }


class PreSendTables:
    """Implements `PreSendReader` and `BrakeWriter`.

    A batch that asks for more keys than a call takes makes several calls. Reads are consistent: an address
    that was suppressed, or mail that was stopped, before a read began is in its answer.
    """

    def __init__(self, client: "DynamoDBClient", *, suppression_table: str, state_table: str) -> None:
        self._client = client
        self._suppression = suppression_table
        self._state = state_table

    async def read(
        self, addresses: Collection[str], date: str, brakes: Collection[str], opt_outs: Collection[str]
    ) -> PreSendChecks:
        emails = {spelling for address in addresses for spelling in spellings(address)}
        spelled = _spelled(opt_outs)
        keys = {
            self._suppression: [{"email": email} for email in sorted(emails | spelled.keys())],
            self._state: [{"pk": key} for key in (*counter_keys(date), *sorted(brakes))],
        }
        found = await get_items(self._client, keys, consistent=True)
        rows = [from_item(item, SuppressionRow) for item in found[self._suppression]]
        suppressed: dict[str, SuppressionRow] = {}
        refused = _opt_outs(rows, spelled)
        for row in rows:
            if row.email not in emails:
                continue
            if row.suppression_type == UNSUBSCRIBE:
                refused.setdefault(opt_out_key(address_key(row.email)), row)
            else:
                suppressed[address_key(row.email)] = row
        state = {item["pk"]["S"]: item for item in found[self._state]}
        set_ = {key: from_item(state.pop(key), BrakeRow) for key in brakes if key in state}
        return PreSendChecks(suppressed, quota_reading(state.values()), set_, refused)

    async def read_opt_outs(self, keys: Collection[str]) -> Mapping[str, SuppressionRow]:
        spelled = _spelled(keys)
        wanted = {self._suppression: [{"email": key} for key in sorted(spelled)]}
        found = (await get_items(self._client, wanted, consistent=True))[self._suppression]
        rows = [from_item(item, SuppressionRow) for item in found]
        return _opt_outs(rows, spelled)

    async def read_brakes(self, keys: Collection[str]) -> Mapping[str, BrakeRow]:
        wanted = {self._state: [{"pk": key} for key in sorted(keys)]}
        found = (await get_items(self._client, wanted, consistent=True))[self._state]
        return {item["pk"]["S"]: from_item(item, BrakeRow) for item in found}

    async def set_brake(self, brake: BrakeRow) -> bool:
        values = {"because": brake.because, "by": brake.by, "since": brake.since}
        written = await conditional(
            "DynamoDB (State)",
            self._client.update_item(
                TableName=self._state,
                Key={"pk": {"S": brake.pk}},
                UpdateExpression=f"SET {', '.join(f'#{name} = :{name}' for name in values)}",
                ConditionExpression="attribute_not_exists(pk)",
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
            ),
        )
        return not isinstance(written, ConditionFailed)
