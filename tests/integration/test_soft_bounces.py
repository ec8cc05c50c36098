"""The soft bounces of one address. One suite over the real history and the fake one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.support.fake_tables import FakeSoftBounces
from tests.support.real_clients import ONE_AT_A_TIME, items, make_table, opened

from engine.aws.soft_bounces import MOST, SoftBounceItems
from engine.tracking.ports import SoftBounceHistory

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = "ada@example.com"


class Table(NamedTuple):
    client: Any
    name: str

    @property
    def history(self) -> SoftBounceItems:
        return SoftBounceItems(self.client, self.name)


@pytest.fixture
async def table(aws_endpoint: str) -> AsyncIterator[Table]:
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        yield Table(client, await make_table(client, "pk"))


@pytest.fixture(params=["real", "fake"])
def history(request: pytest.FixtureRequest, table: Table) -> SoftBounceHistory:
    return FakeSoftBounces() if request.param == "fake" else table.history


async def test_each_email_to_an_address_counts_once(history: SoftBounceHistory) -> None:
    added = [await history.add(ADA, email_id, NOW) for email_id in ("e1", "e2", "e1", "e3", "e2")]
    assert added == [1, 2, 2, 3, 3]


async def test_each_address_counts_for_itself(history: SoftBounceHistory) -> None:
    await history.add("bob@example.com", "e1", NOW)
    assert await history.add(ADA, "e2", NOW) == 1


async def test_an_email_counts_for_thirty_days(history: SoftBounceHistory) -> None:
    await history.add(ADA, "e1", NOW - 30 * DAY - timedelta(seconds=1))
    await history.add(ADA, "e2", NOW - 30 * DAY)
    assert await history.add(ADA, "e3", NOW) == 2


async def test_reports_count_in_whatever_order_they_come(history: SoftBounceHistory) -> None:
    await history.add(ADA, "e2", NOW)
    assert await history.add(ADA, "e1", NOW - DAY) == 2


async def test_an_email_that_was_delivered_after_all_counts_no_more(history: SoftBounceHistory) -> None:
    await history.add(ADA, "e1", NOW)
    await history.add(ADA, "e2", NOW)
    for _ in range(2):
        await history.remove(ADA, "e1")
    assert await history.add(ADA, "e3", NOW) == 2


async def test_it_counts_no_further_than_twenty(history: SoftBounceHistory) -> None:
    added = [await history.add(ADA, f"e{number}", NOW + number * DAY / 24) for number in range(30)]
    assert added == [*range(1, 21), *[20] * 10]


async def test_none_of_many_at_once_is_lost(history: SoftBounceHistory) -> None:
    counts = await asyncio.gather(*(history.add(ADA, f"e{number}", NOW) for number in range(15)))
    assert max(counts) == 15


async def test_an_address_is_one_item_that_holds_the_latest_and_is_gone_a_month_on(table: Table) -> None:
    for number in range(MOST + 3):
        await table.history.add(ADA, f"e{number}", NOW + number * DAY)
    last = NOW + (MOST + 2) * DAY
    times = {f"e{number}": {"N": str(int((NOW + number * DAY).timestamp()))} for number in range(3, MOST + 3)}
    assert await items(table.client, table.name) == [
        {
            "pk": {"S": "soft-bounces#ada@example.com"},
            "ttl": {"N": str(int((last + 31 * DAY).timestamp()))},  # in seconds
            **times,
        }
    ]


async def test_to_forget_what_is_not_there_leaves_no_item_behind(table: Table) -> None:
    await table.history.remove(ADA, "e1")
    assert await items(table.client, table.name) == []


async def test_a_soft_bounce_is_one_call_however_many_there_were(table: Table) -> None:
    class Watched:
        async def update_item(self, **request: Any) -> Any:
            calls.append(request)
            return await table.client.update_item(**request)

    calls: list[Any] = []
    client: Any = Watched()
    for number in range(MOST):
        await SoftBounceItems(client, table.name).add(ADA, f"e{number}", NOW)
    assert len(calls) == MOST
