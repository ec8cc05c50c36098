"""Batch calls of DynamoDB: several items a call, and the rest of it when DynamoDB leaves some undone."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.aws.errors import service_errors
from engine.domain.failures import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

T = TypeVar("T")

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
_ROUNDS: Final = 4


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def get_items(
    client: "DynamoDBClient", table: str, keys: Iterable[dict[str, str]], *, consistent: bool = False
) -> list[Any]:
    """The items that exist among these string keys, in no order."""
    wanted = [{name: {"S": value} for name, value in key.items()} for key in keys]
    parts = await asyncio.gather(
        *(_get(client, table, part, consistent) for part in chunks(wanted, GET_LIMIT))
    )
    return [item for part in parts for item in part]


async def _get(
    client: "DynamoDBClient",
    table: str,
    keys: Sequence[Any],
    consistent: bool,  # noqa: FBT001 - private, its only caller names it
) -> list[Any]:
    found: list[Any] = []
    request: Any = {table: {"Keys": list(keys), "ConsistentRead": consistent}}
    for _ in range(_ROUNDS):
        with service_errors(f"DynamoDB ({table})"):
            answer = await client.batch_get_item(RequestItems=request)
        found += answer["Responses"].get(table, [])
        request = answer.get("UnprocessedKeys")
        if not request:
            return found
    raise ServiceUnavailable(f"DynamoDB ({table}) BatchGetItem left keys unread {_ROUNDS} times")


async def put_items(client: "DynamoDBClient", table: str, items: Sequence[Any]) -> None:
    """Write items whole, without conditions."""
    await asyncio.gather(*(_put(client, table, part) for part in chunks(items, WRITE_LIMIT)))


async def _put(client: "DynamoDBClient", table: str, items: Sequence[Any]) -> None:
    request: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
    for _ in range(_ROUNDS):
        with service_errors(f"DynamoDB ({table})"):
            answer = await client.batch_write_item(RequestItems=request)
        request = answer.get("UnprocessedItems")
        if not request:
            return
    raise ServiceUnavailable(f"DynamoDB ({table}) BatchWriteItem left items unwritten {_ROUNDS} times")
