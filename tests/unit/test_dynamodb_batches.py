"""Batch calls of DynamoDB, which may leave some of a batch undone. Moto never does; a stand-in does here."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from engine.aws.dynamodb import GET_LIMIT, WRITE_LIMIT, Statement, chunks, execute, get_items, put_items
from engine.errors import ServiceUnavailable

KEYS = [{"pk": f"k{number}"} for number in range(10)]
ITEMS = [{"pk": {"S": f"k{number}"}} for number in range(10)]


class Reluctant:
    """Does at most `most` of what a call asks for, and lists how much each call asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.asked: list[int] = []
        self.written: list[Any] = []

    async def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:
        keys = RequestItems["table"]["Keys"]
        self.asked.append(len(keys))
        left = keys[self._most :]
        return {
            "Responses": {"table": keys[: self._most]},
            "UnprocessedKeys": {"table": {"Keys": left}} if left else {},
        }

    async def batch_write_item(self, *, RequestItems: Any) -> dict[str, Any]:
        puts = RequestItems["table"]
        self.asked.append(len(puts))
        self.written += [put["PutRequest"]["Item"] for put in puts[: self._most]]
        left = puts[self._most :]
        return {"UnprocessedItems": {"table": left} if left else {}}


def reluctant(most: int) -> Any:
    return Reluctant(most)


async def test_keys_left_unread_are_asked_for_again() -> None:
    client = reluctant(4)
    assert await get_items(client, {"table": KEYS}) == {"table": ITEMS}
    assert client.asked == [10, 6, 2]


async def test_items_left_unwritten_are_written_again_and_no_other() -> None:
    client = reluctant(4)
    await put_items(client, "table", ITEMS)
    assert client.written == ITEMS
    assert client.asked == [10, 6, 2]


async def test_keys_that_stay_unread_are_an_unavailable_service_and_no_missing_item() -> None:
    """To take an address for free of suppression because DynamoDB was busy would be wrong."""
    client = reluctant(2)
    with pytest.raises(ServiceUnavailable, match=r"BatchGetItem left keys unread 4 times"):
        await get_items(client, {"table": KEYS})
    assert client.asked == [10, 8, 6, 4]


async def test_items_that_stay_unwritten_are_an_unavailable_service() -> None:
    with pytest.raises(ServiceUnavailable, match=r"BatchWriteItem left items unwritten 4 times"):
        await put_items(reluctant(2), "table", ITEMS)


async def test_a_call_carries_no_more_than_dynamodb_takes() -> None:
    reader, writer = reluctant(1000), reluctant(1000)
    await get_items(reader, {"table": [{"pk": f"k{number}"} for number in range(2 * GET_LIMIT + 1)]})
    await put_items(writer, "table", [{"pk": {"S": f"k{number}"}} for number in range(WRITE_LIMIT + 1)])
    assert (reader.asked, writer.asked) == ([100, 100, 1], [25, 1])


async def test_for_nothing_no_call_is_made() -> None:
    client = reluctant(1)
    assert await get_items(client, {"table": []}) == {"table": []}
    await put_items(client, "table", [])
    assert client.asked == []


async def test_the_items_of_several_tables_come_in_one_call() -> None:
    class Tables:
        async def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:
            asked.append({table: len(wanted["Keys"]) for table, wanted in RequestItems.items()})
            return {"Responses": {table: wanted["Keys"] for table, wanted in RequestItems.items()}}

    asked: list[dict[str, int]] = []
    client: Any = Tables()
    found = await get_items(client, {"one": KEYS[:2], "other": KEYS[:1], "third": []})
    assert found == {"one": ITEMS[:2], "other": ITEMS[:1], "third": []}
    assert asked == [{"one": 2, "other": 1}]


class Throttled:
    async def batch_get_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "BatchGetItem")

    async def batch_write_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "BatchWriteItem")


async def test_a_refused_batch_names_table_operation_and_code() -> None:
    client: Any = Throttled()
    with pytest.raises(ServiceUnavailable, match=r"^DynamoDB \(table\) BatchGetItem answered Throttling"):
        await get_items(client, {"table": KEYS})
    with pytest.raises(ServiceUnavailable, match=r"^DynamoDB \(table\) BatchWriteItem answered Throttling"):
        await put_items(client, "table", ITEMS)


def test_chunks_hold_everything_in_order() -> None:
    assert [list(chunk) for chunk in chunks(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


# -- statements ----------------------------------------------------------------------------------------------

STATEMENTS = [Statement("INSERT", [{"S": f"e{number}"}]) for number in range(60)]
Answer = Callable[[Sequence[Any]], list[dict[str, Any]]]


class Scripted:
    """Answers calls in turn as it is told, and the rest with success."""

    def __init__(self, *script: Exception | Answer) -> None:
        self._script = list(script)
        self.asked: list[int] = []

    async def batch_execute_statement(self, *, Statements: Sequence[Any]) -> dict[str, Any]:
        self.asked.append(len(Statements))
        step = self._script.pop(0) if self._script else all_done
        if isinstance(step, Exception):
            raise step
        return {"Responses": step(Statements)}


def all_done(statements: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"TableName": "table"} for _ in statements]


def all_but_first(code: str) -> Answer:
    return lambda statements: [{"Error": {"Code": code}}, *all_done(statements[1:])]


def scripted(*script: Exception | Answer) -> Any:
    return Scripted(*script)


async def test_more_statements_than_a_call_takes_go_in_several() -> None:
    client = scripted()
    assert await execute(client, STATEMENTS) == [True] * 60
    assert client.asked == [25, 25, 10]


async def test_no_statement_is_no_call() -> None:
    client = scripted()
    assert await execute(client, []) == []
    assert client.asked == []


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchExecuteStatement"),
        ReadTimeoutError(endpoint_url="x"),
    ],
    ids=str,
)
async def test_a_call_that_fails_is_no_answer_for_its_own_statements_alone(error: Exception) -> None:
    outcomes = await execute(scripted(error), STATEMENTS)
    assert [isinstance(outcome, ServiceUnavailable) for outcome in outcomes] == [True] * 25 + [False] * 35
    assert outcomes[25:] == [True] * 35


@pytest.mark.parametrize("code", ["DuplicateItem", "ConditionalCheckFailed"])
async def test_a_statement_whose_condition_does_not_hold_is_not_done(code: str) -> None:
    assert await execute(scripted(all_but_first(code)), STATEMENTS[:3]) == [False, True, True]


@pytest.mark.parametrize("code", ["ThrottlingError", "InternalServerError", "AccessDenied"])
async def test_a_statement_without_an_answer_stands_alone(code: str) -> None:
    """A role that may do no PartiQL is answered so, too: with 200, and AccessDenied for each statement."""
    failed, *others = await execute(scripted(all_but_first(code)), STATEMENTS[:3])
    assert others == [True, True]
    assert isinstance(failed, ServiceUnavailable)
    assert str(failed) == f"DynamoDB BatchExecuteStatement answered {code}"
