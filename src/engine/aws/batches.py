"""Batch calls of DynamoDB: many items or statements a call, and the rest of it when some are left undone.

BatchWriteItem takes no conditions, and transactions cost double and fail together; PartiQL statements in a
batch do neither: each has its own condition and its own outcome.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct

from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

T = TypeVar("T")
Key = Mapping[str, str]
"""Of an item whose key attributes are strings, by their names."""

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
STATEMENT_LIMIT: Final = 25
_ROUNDS: Final = 4
# What DynamoDB says of an INSERT on a key that exists, and of a WHERE that does not hold.
_NOT_DONE: Final = frozenset({"DuplicateItem", "ConditionalCheckFailed"})


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def get_items(
    client: "DynamoDBClient", keys: Mapping[str, Iterable[Key]], *, consistent: bool = False
) -> dict[str, list[Any]]:
    """The items that exist among these keys, by table and in no order; each key may be named once.

    Raises ServiceUnavailable unless every key was looked for.
    """
    found: dict[str, list[Any]] = {table: [] for table in keys}
    for part in chunks([(table, key) for table, some in keys.items() for key in some], GET_LIMIT):
        request: Any = {}
        for table, key in part:
            wanted = request.setdefault(table, {"Keys": [], "ConsistentRead": consistent})
            wanted["Keys"].append({name: {"S": value} for name, value in key.items()})
        for _ in range(_ROUNDS):
            with service_errors(f"DynamoDB ({', '.join(request)})"):
                answer = await client.batch_get_item(RequestItems=request)
            for table, items in answer["Responses"].items():
                found[table] += items
            request = answer.get("UnprocessedKeys")
            if not request:
                break
        else:
            raise ServiceUnavailable(
                f"DynamoDB ({', '.join(request)}) BatchGetItem left keys unread {_ROUNDS} times"
            )
    return found


async def put_items(client: "DynamoDBClient", table: str, items: Sequence[Any]) -> None:
    """Write items whole, without conditions. Raises ServiceUnavailable when any may be unwritten."""
    for part in chunks(items, WRITE_LIMIT):
        request: Any = {table: [{"PutRequest": {"Item": item}} for item in part]}
        for _ in range(_ROUNDS):
            with service_errors(f"DynamoDB ({table})"):
                answer = await client.batch_write_item(RequestItems=request)
            request = answer.get("UnprocessedItems")
            if not request:
                break
        else:
            raise ServiceUnavailable(
                f"DynamoDB ({table}) BatchWriteItem left items unwritten {_ROUNDS} times"
            )


class Statement(Struct, frozen=True):
    """PartiQL with a `?` for each parameter, in DynamoDB's notation."""

    text: str
    parameters: Sequence[Any]


Outcome = bool | ServiceUnavailable
"""Done; not done, because the key exists or the condition does not hold; or no answer."""


async def execute(client: "DynamoDBClient", statements: Sequence[Statement]) -> list[Outcome]:
    """An outcome for each statement, in order; a call that fails leaves those of other calls standing."""
    parts = await asyncio.gather(*(_execute(client, part) for part in chunks(statements, STATEMENT_LIMIT)))
    return [outcome for part in parts for outcome in part]


async def _execute(client: "DynamoDBClient", statements: Sequence[Statement]) -> list[Outcome]:
    request: Any = [{"Statement": each.text, "Parameters": each.parameters} for each in statements]
    try:
        with service_errors("DynamoDB"):
            answer = await client.batch_execute_statement(Statements=request)
    except ServiceUnavailable as error:
        return [error for _ in statements]
    outcomes: list[Outcome] = []
    for response in answer["Responses"]:
        code = response.get("Error", {}).get("Code")
        if code is None or code in _NOT_DONE:
            outcomes.append(code is None)
        else:
            outcomes.append(ServiceUnavailable(f"DynamoDB BatchExecuteStatement answered {code}"))
    return outcomes
