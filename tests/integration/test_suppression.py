"""The suppression table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
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


class BreaksOff:
    """Takes so many writes and answers no more, as when the function is killed."""

    def __init__(self, client: Any, writes: int) -> None:
        self._client, self._left = client, writes

    async def put_item(self, **request: Any) -> Any:
        if not self._left:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, "PutItem")
        self._left -= 1
        return await self._client.put_item(**request)


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_an_opt_out_is_not_lost_where_the_move_breaks_off(table: Table, writes: int) -> None:
    opt_out = replace(ADA, suppression_type="unsubscribe")
    await table.client.put_item(TableName=table.name, Item=to_item(opt_out))
    breaking: Any = BreaksOff(table.client, writes)
    with suppress(ServiceUnavailable, ClientError):
        await SuppressionList(breaking, table.name).add(ADA)
    await table.list.add(ADA)  # the report comes again
    found = {item["email"]["S"]: item for item in await items(table.client, table.name)}
    assert found == {
        ADA.email: to_item(ADA),
        f"*#{ADA.email}": {**to_item(opt_out), "email": {"S": f"*#{ADA.email}"}},
    }


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
