"""The rate state's item: DynamoDB's and the simulation's hold to one specification."""

import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from benchmarks.gate.fake_aws import SimulatedTable
from benchmarks.gate.virtual_time import run_virtually
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from tests.support.real_clients import ONE_AT_A_TIME, items, make_table, opened

from engine.aws.rate_item import KEY, RateItem
from engine.errors import ServiceUnavailable
from engine.rate.gcra import SECOND, TOO_FAR_AHEAD, Availability, RateState, SlotRequest, availability
from engine.rate.shared_state import RateTable

NOW = 1_795_507_200 * SECOND
IDLE, OPEN = Availability.IDLE, Availability.OPEN


def transactional(now: int = NOW, length: int = 20_000, patience: int = 20 * SECOND) -> SlotRequest:
    return SlotRequest(now=now, length=length, latest=now + patience)


def bulk(now: int = NOW, length: int = 300_000) -> SlotRequest:
    return SlotRequest(
        now=now,
        length=length,
        latest=now + 20 * SECOND,
        bulk_limit=now + 320_000,
        next_bulk_tat=now + 10 * length,
    )


@pytest.fixture(params=["DynamoDB", "simulation"])
async def table(request: pytest.FixtureRequest, aws_endpoint: str) -> AsyncIterator[RateTable]:
    if request.param == "simulation":
        yield SimulatedTable(random.Random(1))  # noqa: S311 - dice
        return
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        yield RateItem(client, await make_table(client, "pk"))


async def test_a_state_that_nobody_wrote_is_empty(table: RateTable) -> None:
    assert await table.read() == RateState()


async def test_an_idle_rate_is_handed_out_from_now_on(table: RateTable) -> None:
    assert not (await table.claim(transactional(), OPEN)).granted
    answer = await table.claim(transactional(), IDLE)
    assert answer.granted
    assert answer.state == RateState(tat=NOW + 20_000)
    assert await table.read() == answer.state


async def test_a_claim_is_put_behind_the_one_before(table: RateTable) -> None:
    await table.claim(transactional(), IDLE)
    assert not (await table.claim(transactional(), IDLE)).granted
    answer = await table.claim(transactional(NOW + 1_000), OPEN)
    assert answer.granted
    assert answer.state.tat == NOW + 40_000


async def test_a_tat_that_lies_behind_is_taken_up_now(table: RateTable) -> None:
    await table.claim(transactional(), IDLE)
    later = NOW + SECOND
    refused = await table.claim(transactional(later), OPEN)
    assert (refused.granted, refused.state.tat) == (False, NOW + 20_000)
    assert (await table.claim(transactional(later), IDLE)).state.tat == later + 20_000


async def test_a_tat_beyond_the_patience_refuses_and_shows_itself(table: RateTable) -> None:
    long = await table.claim(transactional(length=3 * SECOND), IDLE)
    refused = await table.claim(transactional(patience=2 * SECOND), OPEN)
    assert (refused.granted, refused.state) == (False, long.state)


async def test_bulk_mail_waits_while_its_look_ahead_is_handed_out(table: RateTable) -> None:
    first = await table.claim(bulk(length=350_000), IDLE)
    assert first.state.bulk_tat == NOW + 3_500_000
    refused = await table.claim(bulk(), OPEN)
    assert (refused.granted, refused.state) == (False, first.state)
    assert (await table.claim(transactional(), OPEN)).granted
    assert (await table.claim(bulk(NOW + 100_000), OPEN)).granted


async def test_bulk_mail_whose_floor_is_due_is_put_behind_any_other(table: RateTable) -> None:
    await table.claim(transactional(length=5 * SECOND), IDLE)
    first = await table.claim(bulk(length=100_000), OPEN)
    assert first.granted, "no bulk mail before: it is due"
    assert not (await table.claim(bulk(NOW + 999_999), OPEN)).granted
    assert (await table.claim(bulk(NOW + SECOND), OPEN)).granted


async def test_a_tat_from_a_broken_clock_is_begun_anew(table: RateTable) -> None:
    await table.claim(transactional(NOW + 2 * TOO_FAR_AHEAD), IDLE)
    assert not (await table.claim(transactional(), OPEN)).granted
    assert (await table.claim(transactional(), IDLE)).state.tat == NOW + 20_000


async def test_a_throttle_is_kept_for_all_and_another_at_the_same_time_is_not(table: RateTable) -> None:
    state = await table.decrease(0.9, NOW, seen=0)
    assert (state.rate_factor, state.throttled_at) == (0.9, NOW)
    assert (await table.decrease(0.5, NOW + 100, seen=0)).rate_factor == 0.9
    assert (await table.decrease(0.81, NOW + SECOND, seen=NOW)).rate_factor == 0.81
    await table.claim(bulk(), IDLE)
    assert (await table.read()).rate_factor == 0.81


async def test_what_ses_told_one_environment_is_there_for_all_and_the_latest_word_holds(
    table: RateTable,
) -> None:
    await table.publish_rate(50.5, 7)
    await table.publish_rate(14, 6)
    answer = await table.claim(transactional(), IDLE)
    assert (answer.state.rate, answer.state.rate_at) == (50.5, 7)


async def test_the_item_of_an_older_version_is_read_and_goes_on(aws_endpoint: str) -> None:
    numbers = {"until": NOW + SECOND, "bulkDue": NOW, "bulkClaims": 7, "rate": 50, "rateAt": 9}
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        name = await make_table(client, "pk")
        await client.put_item(
            TableName=name, Item={**KEY, **{key: {"N": str(value)} for key, value in numbers.items()}}
        )
        answer = await RateItem(client, name).claim(transactional(), OPEN)
    assert answer.state == RateState(tat=NOW + SECOND + 20_000, bulk_tat=NOW, rate=50, rate_at=9)


async def test_the_item_goes_by_itself_a_day_later(aws_endpoint: str) -> None:
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        name = await make_table(client, "pk")
        await RateItem(client, name).claim(transactional(), IDLE)
        (item,) = await items(client, name)
    assert item["pk"] == {"S": "rate#line"}
    assert item["ttl"] == {"N": str(NOW // SECOND + 86_400)}


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def update_item(self, **_: Any) -> None:
        raise self.error

    get_item = update_item


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "UpdateItem"),
        EndpointConnectionError(endpoint_url="http://x"),
    ],
)
async def test_a_table_that_fails_is_unavailable(error: Exception) -> None:
    client: Any = Broken(error)
    table = RateItem(client, "State")
    calls = (table.read(), table.claim(bulk(), OPEN), table.decrease(0.9, NOW, 0), table.publish_rate(14, 1))
    for call in calls:
        with pytest.raises(ServiceUnavailable, match=r"DynamoDB \(State\)"):
            await call


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * SECOND), st.integers(1, SECOND)), max_size=30))
def test_whatever_is_claimed_stretches_never_overlap(claims: list[tuple[bool, int, int]]) -> None:
    async def play() -> list[tuple[int, int]]:
        table, now, stretches = SimulatedTable(random.Random(1)), NOW, []  # noqa: S311 - dice
        for is_bulk, later, length in claims:
            now += later
            request = bulk(now, length) if is_bulk else transactional(now, length)
            answer = await table.claim(request, availability(table.state, request))
            if answer.granted:
                stretches.append((answer.state.tat - length, answer.state.tat))
        return stretches

    stretches = run_virtually(play())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(stretches))
