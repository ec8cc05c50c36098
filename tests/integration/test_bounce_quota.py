"""The day's counters of recipients and hard bounces."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from tests.support.real_clients import ONE_AT_A_TIME, items, make_table, opened

from engine.aws.dynamodb import get_items
from engine.aws.pre_send_checks import SHARDS, DailyCounters, counter_keys, quota_reading
from engine.errors import ServiceUnavailable
from engine.tracking.bounce_quota import QuotaReading

TODAY = "2026-11-24"


class Table(NamedTuple):
    client: Any
    name: str

    def counters(self, shard: int = 0) -> DailyCounters:
        return DailyCounters(self.client, self.name, lambda _: shard)

    async def read(self) -> QuotaReading:
        keys = [{"pk": key} for key in counter_keys(TODAY)]
        return quota_reading((await get_items(self.client, {self.name: keys}))[self.name])


@pytest.fixture
async def table(aws_endpoint: str) -> AsyncIterator[Table]:
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        yield Table(client, await make_table(client, "pk"))


async def test_a_day_begins_at_nothing(table: Table) -> None:
    assert await table.read() == QuotaReading(sends=0, bounces=0)


async def test_counts_add_up_over_all_shards(table: Table) -> None:
    for shard in range(SHARDS):
        await table.counters(shard).count_sends(TODAY, 10 + shard)
    await table.counters(1).count_bounce(TODAY)
    await table.counters(3).count_bounce(TODAY)
    assert await table.read() == QuotaReading(sends=46, bounces=2)


async def test_no_count_is_lost_when_many_count_at_once(table: Table) -> None:
    counters = DailyCounters(table.client, table.name)
    await asyncio.gather(*(counters.count_sends(TODAY, 3) for _ in range(20)))
    assert (await table.read()).sends == 60


async def test_each_day_has_counters_of_its_own(table: Table) -> None:
    await table.counters().count_sends("2026-11-23", 5)
    assert await table.read() == QuotaReading(sends=0, bounces=0)


async def test_a_counter_is_gone_three_days_on_and_its_time_to_live_is_in_seconds(table: Table) -> None:
    await table.counters(2).count_sends(TODAY, 1)
    await table.counters(2).count_bounce(TODAY)
    gone = int(datetime(2026, 11, 27, tzinfo=UTC).timestamp())
    assert await items(table.client, table.name) == [
        {
            "pk": {"S": "quota#2026-11-24#2"},
            "sends": {"N": "1"},
            "bounces": {"N": "1"},
            "ttl": {"N": str(gone)},
        }
    ]


class Throttled:
    async def update_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "UpdateItem")


async def test_a_count_that_was_not_taken_is_said() -> None:
    client: Any = Throttled()
    with pytest.raises(ServiceUnavailable, match=r"\(State\) UpdateItem answered ThrottlingException"):
        await DailyCounters(client, "table").count_bounce(TODAY)
