"""Batch calls of DynamoDB, which may leave some of a batch undone. Moto never does; a stand-in does here."""

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.aws.batches import GET_LIMIT, WRITE_LIMIT, SharedReads, chunks, get_items, put_items
from engine.errors import ServiceUnavailable

KEYS = [{"pk": f"k{number}"} for number in range(10)]
ITEMS = [{"pk": {"S": f"k{number}"}} for number in range(10)]


class Reluctant:
    """Does at most `most` of what a call asks for, and lists how much each call asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.asked: list[int] = []
        self.written: list[Any] = []

    async def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        keys = RequestItems["table"]["Keys"]
        self.asked.append(len(keys))
        left = keys[self._most :]
        return {
            "Responses": {"table": keys[: self._most]},
            "UnprocessedKeys": {"table": {"Keys": left}} if left else {},
        }

    async def batch_write_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        puts = RequestItems["table"]
        self.asked.append(len(puts))
        self.written += [put["PutRequest"]["Item"] for put in puts[: self._most]]
        left = puts[self._most :]
        return {"UnprocessedItems": {"table": left} if left else {}}


def reluctant(most: int) -> Any:
    return Reluctant(most)


async def test_keys_left_unread_are_asked_for_again() -> None:
    client = reluctant(4)
    assert await get_items(client, "table", KEYS) == ITEMS
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
        await get_items(client, "table", KEYS)
    assert client.asked == [10, 8, 6, 4]


async def test_items_that_stay_unwritten_are_an_unavailable_service() -> None:
    with pytest.raises(ServiceUnavailable, match=r"BatchWriteItem left items unwritten 4 times"):
        await put_items(reluctant(2), "table", ITEMS)


async def test_a_call_carries_no_more_than_dynamodb_takes() -> None:
    reader, writer = reluctant(1000), reluctant(1000)
    await get_items(reader, "table", [{"pk": f"k{number}"} for number in range(2 * GET_LIMIT + 1)])
    await put_items(writer, "table", [{"pk": {"S": f"k{number}"}} for number in range(WRITE_LIMIT + 1)])
    assert (reader.asked, writer.asked) == ([100, 100, 1], [25, 1])


async def test_for_nothing_no_call_is_made() -> None:
    client = reluctant(1)
    assert await get_items(client, "table", []) == []
    await put_items(client, "table", [])
    assert client.asked == []


class Tables:
    """Holds items by table and string key, and lists what each call asked for."""

    def __init__(self, **items: list[Any]) -> None:
        self.items = items
        self.asked: list[dict[str, int]] = []

    async def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
        self.asked.append({table: len(wanted["Keys"]) for table, wanted in RequestItems.items()})
        found = {
            table: [item for item in self.items[table] if {"pk": item["pk"]} in wanted["Keys"]]
            for table, wanted in RequestItems.items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}


def tables(**items: list[Any]) -> Any:
    return Tables(**items)


def item(key: str, body: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "body": {"S": body}}


async def test_reads_of_one_moment_share_a_call_and_each_gets_its_own_items() -> None:
    client = tables(one=[item("a", "1"), item("b", "2")], other=[item("a", "3")])
    reads = SharedReads(client)
    answers = await asyncio.gather(
        reads.get("one", [{"pk": "a"}, {"pk": "missing"}]),
        reads.get("other", [{"pk": "a"}]),
        reads.get("one", [{"pk": "b"}, {"pk": "a"}]),
    )
    assert list(answers) == [[item("a", "1")], [item("a", "3")], [item("a", "1"), item("b", "2")]]
    assert client.asked == [{"one": 3, "other": 1}]


async def test_a_read_of_a_later_moment_has_a_call_of_its_own_and_one_for_nothing_has_none() -> None:
    client = tables(one=[item("a", "1")])
    reads = SharedReads(client)
    assert await reads.get("one", []) == []
    for _ in range(2):
        assert await reads.get("one", [{"pk": "a"}]) == [item("a", "1")]
    assert client.asked == [{"one": 1}, {"one": 1}]


async def test_reads_that_share_carry_no_more_than_dynamodb_takes() -> None:
    client = tables(one=[], other=[])
    reads = SharedReads(client)
    many = [{"pk": f"k{number}"} for number in range(GET_LIMIT)]
    await asyncio.gather(reads.get("one", many), reads.get("other", many[:4]))
    assert client.asked == [{"one": 100}, {"other": 4}]


async def test_a_read_that_fails_is_told_to_all_who_shared_it() -> None:
    client: Any = Throttled()
    reads = SharedReads(client)
    answers = await asyncio.gather(
        reads.get("one", [{"pk": "a"}]), reads.get("other", [{"pk": "a"}]), return_exceptions=True
    )
    assert [str(answer) for answer in answers] == [
        "DynamoDB (one, other) BatchGetItem answered ThrottlingException"
    ] * 2


async def test_an_answer_that_makes_no_sense_leaves_nobody_waiting() -> None:
    class Odd:
        async def batch_get_item(self, **_: Any) -> dict[str, Any]:
            return {"Responses": {"one": [{"body": {"S": "whose?"}}]}}

    client: Any = Odd()
    reading = asyncio.create_task(SharedReads(client).get("one", [{"pk": "a"}]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert isinstance(reading.exception(), KeyError)


async def test_whoever_no_longer_waits_for_a_read_leaves_the_others_theirs() -> None:
    client = tables(one=[item("a", "1")])
    reads = SharedReads(client)
    gone = asyncio.create_task(reads.get("one", [{"pk": "a"}]))
    waiting = asyncio.create_task(reads.get("one", [{"pk": "a"}]))
    await asyncio.sleep(0)
    gone.cancel()
    assert await waiting == [item("a", "1")]
    assert gone.cancelled()


class Throttled:
    async def batch_get_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "BatchGetItem")

    async def batch_write_item(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "BatchWriteItem")


async def test_a_refused_batch_names_table_operation_and_code() -> None:
    client: Any = Throttled()
    with pytest.raises(ServiceUnavailable, match=r"^DynamoDB \(table\) BatchGetItem answered Throttling"):
        await get_items(client, "table", KEYS)
    with pytest.raises(ServiceUnavailable, match=r"^DynamoDB \(table\) BatchWriteItem answered Throttling"):
        await put_items(client, "table", ITEMS)


def test_chunks_hold_everything_in_order() -> None:
    assert [list(chunk) for chunk in chunks(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
