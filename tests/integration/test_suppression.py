"""The suppression table."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from tests.support.real_clients import ONE_AT_A_TIME, items, make_table, opened

from engine.aws.suppression import SuppressionList
from engine.errors import ServiceUnavailable
from engine.schemas.rows import SuppressionRow

ADA = SuppressionRow(
    email="ada@example.com",
    suppression_type="bounce",
    reason="hard-bounce",
    added_to_suppression_date="2026-11-24T08:00:00.000Z",
)


class Table(NamedTuple):
    client: Any
    name: str

    @property
    def list(self) -> SuppressionList:
        return SuppressionList(self.client, self.name)


@pytest.fixture
async def table(aws_endpoint: str) -> AsyncIterator[Table]:
    async with opened("dynamodb", aws_endpoint, ONE_AT_A_TIME) as client:
        yield Table(client, await make_table(client, "email"))


async def test_an_address_that_was_added_is_found_with_its_reason(table: Table) -> None:
    await table.list.add(ADA)
    found = await table.list.find({"ada@example.com", "bob@example.com"})
    assert found == {"ada@example.com": ADA}


async def test_attributes_are_named_as_the_contract_says(table: Table) -> None:
    await table.list.add(ADA)
    assert await items(table.client, table.name) == [
        {
            "email": {"S": "ada@example.com"},
            "suppressionType": {"S": "bounce"},
            "reason": {"S": "hard-bounce"},
            "addedToSuppressionDate": {"S": "2026-11-24T08:00:00.000Z"},
        }
    ]


async def test_the_first_of_many_reasons_stays(table: Table) -> None:
    await table.list.add(ADA)
    later = SuppressionRow(email=ADA.email, suppression_type="complaint", reason="complaint")
    await asyncio.gather(*(table.list.add(later) for _ in range(5)))
    assert await table.list.find([ADA.email]) == {ADA.email: ADA}


async def test_nothing_is_asked_about_nobody() -> None:
    no_client: Any = None
    assert await SuppressionList(no_client, "table").find([]) == {}


async def test_an_address_that_is_named_twice_is_asked_about_once(table: Table) -> None:
    """DynamoDB refuses a batch with the same key twice."""
    await table.list.add(ADA)
    assert await table.list.find([ADA.email, ADA.email]) == {ADA.email: ADA}


async def test_more_addresses_than_one_call_takes_are_found_all_the_same(table: Table) -> None:
    addresses = [f"a{number}@example.com" for number in range(230)]
    suppressed = addresses[::20]
    await asyncio.gather(*(table.list.add(SuppressionRow(email=address)) for address in suppressed))
    assert set(await table.list.find(addresses)) == set(suppressed)


async def test_a_row_that_a_person_put_there_by_hand_suppresses(table: Table) -> None:
    await table.client.put_item(TableName=table.name, Item={"email": {"S": "eve@example.com"}})
    found = await table.list.find(["eve@example.com"])
    assert found["eve@example.com"].suppression_type == "manual"


class Denied:
    async def put_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutItem")


async def test_an_address_that_could_not_be_added_is_no_silence() -> None:
    client: Any = Denied()
    with pytest.raises(ServiceUnavailable, match=r"\(Suppression\) PutItem answered AccessDeniedException"):
        await SuppressionList(client, "table").add(ADA)


async def test_a_row_written_by_hand_suppresses_whatever_else_it_holds(table: Table) -> None:
    item = {"email": {"S": "ada@example.com"}, "reason": {"N": "7"}, "addedToSuppressionDate": {"M": {}}}
    await table.client.put_item(TableName=table.name, Item=item)
    assert (await table.list.find({"ada@example.com"})).keys() == {"ada@example.com"}
