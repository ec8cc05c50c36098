"""The line's item: DynamoDB's and the simulation's hold to one specification."""

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

from engine.aws.rate_item import RateTable, StateRateTable
from engine.errors import ServiceUnavailable
from engine.rate.gcra import ABSURD, SECOND, Claim, Line, bulk_claim, transactional_claim

NOW = 1_795_507_200 * SECOND
LEAD = 10_000


def transactional(now: int = NOW, length: int = 20_000, patience: int = 20 * SECOND) -> Claim:
    return transactional_claim(now, length, now + LEAD, now + patience)


def bulk(now: int = NOW, length: int = 300_000, share: float = 0.8) -> Claim:
    return bulk_claim(now, length, now + LEAD, now + 20 * SECOND, share, urgency=0.0)


@pytest.fixture(params=["DynamoDB", "simulation"])
async def table(request: pytest.FixtureRequest, aws_endpoint: str) -> AsyncIterator[RateTable]:
    if request.param == "simulation":
        yield SimulatedTable(random.Random(1))  # noqa: S311 - dice
        return
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        yield StateRateTable(client, await make_table(client, "pk"))


async def test_a_line_that_nobody_made_is_empty(table: RateTable) -> None:
    answer = await table.read()
    assert (answer.done, answer.line) == (True, Line())


async def test_an_empty_line_begins_at_the_earliest_moment(table: RateTable) -> None:
    assert not (await table.append(transactional())).done
    answer = await table.restart(transactional())
    assert answer.done
    assert answer.line == Line(until=NOW + LEAD + 20_000)
    assert (await table.read()).line == answer.line


async def test_a_claim_is_put_behind_the_one_before(table: RateTable) -> None:
    await table.restart(transactional())
    assert not (await table.restart(transactional())).done
    answer = await table.append(transactional(NOW + 1_000))
    assert answer.done
    assert answer.line.until == NOW + LEAD + 40_000


async def test_a_line_that_lies_behind_is_taken_up_at_the_earliest_moment(table: RateTable) -> None:
    await table.restart(transactional())
    later = NOW + SECOND
    refused = await table.append(transactional(later))
    assert (refused.done, refused.line.until) == (False, NOW + LEAD + 20_000)
    assert (await table.restart(transactional(later))).line.until == later + LEAD + 20_000


async def test_a_line_longer_than_the_patience_refuses_and_shows_itself(table: RateTable) -> None:
    long = await table.restart(transactional(length=3 * SECOND))
    refused = await table.append(transactional(patience=2 * SECOND))
    assert (refused.done, refused.line) == (False, long.line)


async def test_bulk_mail_waits_while_its_share_of_the_look_ahead_is_handed_out(table: RateTable) -> None:
    first = await table.restart(bulk(length=350_000))
    assert (first.line.bulk_claims, first.line.bulk_due) == (1, NOW + 3_500_000)
    refused = await table.append(bulk())
    assert (refused.done, refused.line) == (False, first.line)
    assert (await table.append(transactional())).done
    assert (await table.append(bulk(NOW + 100_000))).done


async def test_bulk_mail_that_is_due_stands_in_line_like_any_other(table: RateTable) -> None:
    await table.restart(transactional(length=5 * SECOND))
    first = await table.append(bulk(length=100_000))
    assert first.done, "no bulk mail before: it is due"
    assert not (await table.append(bulk(NOW + 999_999))).done
    assert (await table.append(bulk(NOW + SECOND))).done


async def test_a_line_from_a_broken_clock_is_begun_anew(table: RateTable) -> None:
    await table.restart(transactional(NOW + 2 * ABSURD))
    assert not (await table.append(transactional())).done
    assert (await table.restart(transactional())).line.until == NOW + LEAD + 20_000


async def test_a_throttle_is_kept_for_all_and_another_in_the_same_second_is_not(table: RateTable) -> None:
    answer = await table.close(0.9, NOW)
    assert (answer.done, answer.line.openness, answer.line.throttled_at) == (True, 0.9, NOW)
    refused = await table.close(0.5, NOW + SECOND - 1)
    assert (refused.done, refused.line.openness) == (False, 0.9)
    assert (await table.close(0.81, NOW + SECOND)).line.openness == 0.81
    await table.restart(bulk())
    assert (await table.read()).line.openness == 0.81


async def test_what_ses_told_one_environment_travels_with_its_claim(table: RateTable) -> None:
    claim = bulk_claim(NOW, 1, NOW, NOW + SECOND, 0.8, 0.0)
    told = Claim(
        **{name: getattr(claim, name) for name in claim.__struct_fields__} | {"told": 50.5, "told_at": 7}
    )
    await table.restart(told)
    answer = await table.append(transactional())
    assert (answer.line.rate, answer.line.rate_at) == (50.5, 7)


async def test_every_answer_says_the_time(table: RateTable) -> None:
    answers = [await table.read(), await table.restart(bulk()), await table.restart(bulk())]
    assert [answer.done for answer in answers] == [True, True, False]
    assert all(answer.date and answer.date > 1_700_000_000 for answer in answers)


async def test_the_item_goes_by_itself_a_day_later(aws_endpoint: str) -> None:
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        name = await make_table(client, "pk")
        await StateRateTable(client, name).restart(transactional())
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
    table = StateRateTable(client, "State")
    for call in (table.read(), table.append(bulk()), table.restart(bulk()), table.close(0.9, NOW)):
        with pytest.raises(ServiceUnavailable, match=r"DynamoDB \(State\)"):
            await call


class Dated:
    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers

    async def get_item(self, **_: Any) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPHeaders": self.headers}}


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ({"date": "Tue, 24 Nov 2026 08:00:01 GMT"}, 1_795_507_201),
        ({"date": "Tue, 24 Nov 2026 08:00:01 -0000"}, 1_795_507_201),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
async def test_a_date_is_read_where_there_is_one(headers: dict[str, str], date: int | None) -> None:
    client: Any = Dated(headers)
    assert (await StateRateTable(client, "State").read()).date == date


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * SECOND), st.integers(1, SECOND)), max_size=30))
def test_whatever_is_claimed_stretches_never_overlap(claims: list[tuple[bool, int, int]]) -> None:
    async def play() -> list[tuple[int, int]]:
        table, now, stretches = SimulatedTable(random.Random(1)), NOW, []  # noqa: S311 - dice
        for is_bulk, later, length in claims:
            now += later
            claim = bulk(now, length) if is_bulk else transactional(now, length)
            for write in (table.append, table.restart):
                answer = await write(claim)
                if answer.done:
                    stretches.append((answer.line.until - length, answer.line.until))
                    break
        return stretches

    stretches = run_virtually(play())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(stretches))
