"""The suppression table."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.support.real_clients import ONE_AT_A_TIME, items, make_table, opened

from engine.aws.dynamodb import from_item, to_item
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
    (item,) = await items(table.client, table.name)
    assert from_item(item, SuppressionRow) == ADA


async def test_an_opt_out_under_the_bare_address_outlives_a_bounce(table: Table) -> None:
    """Whoever lifts the bounce some day must not lift the opt-out with it."""
    opt_out = {"email": {"S": ADA.email}, "suppressionType": {"S": "unsubscribe"}, "reason": {"S": "page"}}
    await table.client.put_item(TableName=table.name, Item=opt_out)
    await table.list.add(ADA)
    found = {item["email"]["S"]: item for item in await items(table.client, table.name)}
    assert from_item(found.pop(ADA.email), SuppressionRow) == ADA
    assert found == {f"*#{ADA.email}": opt_out | {"email": {"S": f"*#{ADA.email}"}}}


class EndedMeanwhile:
    """The opt-out's person comes back just after it was seen."""

    def __init__(self, table: Table) -> None:
        self._client, self._name = table
        self.transact_write_items = self._client.transact_write_items

    async def put_item(self, **request: Any) -> Any:
        try:
            return await self._client.put_item(**request)
        finally:
            await self._client.delete_item(TableName=self._name, Key={"email": {"S": ADA.email}})


async def test_an_opt_out_that_ends_while_it_is_moved_is_not_brought_back(table: Table) -> None:
    opt_out = SuppressionRow(email=ADA.email, suppression_type="unsubscribe")
    await table.client.put_item(TableName=table.name, Item=to_item(opt_out))
    client: Any = EndedMeanwhile(table)
    with pytest.raises(ServiceUnavailable, match="TransactionCanceledException"):
        await SuppressionList(client, table.name).add(ADA)
    assert await items(table.client, table.name) == []
    await table.list.add(ADA)  # whoever was told of the failure tries again
    assert await items(table.client, table.name) == [to_item(ADA)]


class Denied:
    async def put_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutItem")


async def test_an_address_that_could_not_be_added_is_no_silence() -> None:
    client: Any = Denied()
    with pytest.raises(ServiceUnavailable, match=r"\(Suppression\) PutItem answered AccessDeniedException"):
        await SuppressionList(client, "table").add(ADA)


async def test_an_address_that_spells_somebodys_opt_out_leaves_it_alone(table: Table) -> None:
    opt_out = SuppressionRow(email="news#ada@example.com", suppression_type="unsubscribe")
    await table.client.put_item(TableName=table.name, Item=to_item(opt_out))
    await table.list.add(replace(ADA, email="news#ada@example.com"))
    assert await items(table.client, table.name) == [to_item(opt_out)]
