"""DynamoDB: rows as items and back, conditional writes, and batches.

BatchWriteItem takes no conditions, and transactions cost double and fail together; PartiQL statements in a
batch do neither: each has its own condition and its own outcome.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer  # type: ignore[import-untyped] # boto3 ships no types
from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code, service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef


T = TypeVar("T")
Row = TypeVar("Row", bound=msgspec.Struct)
Item = dict[str, "AttributeValueTypeDef"]

Key = Mapping[str, str]
"""Of an item whose key attributes are strings, by their names."""

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
STATEMENT_LIMIT: Final = 25
_ROUNDS: Final = 4
# What DynamoDB says of an INSERT on a key that exists, and of a WHERE that does not hold.
_NOT_DONE: Final = frozenset({"DuplicateItem", "ConditionalCheckFailed"})

CONDITION_FAILED: Final = "ConditionalCheckFailedException"

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


class ConditionFailed(msgspec.Struct, frozen=True):
    """Nothing was written. `item`: what is there, if anything is and the call asked for it."""

    item: Mapping[str, Any] | None


async def conditional(service: str, write: Awaitable[T]) -> T | ConditionFailed:
    """The answer to a write, or that its condition did not hold. Raises ServiceUnavailable."""
    with service_errors(service):
        try:
            return await write
        except ClientError as error:
            if not is_code(error, CONDITION_FAILED):
                raise
            return ConditionFailed(error.response.get("Item"))  # type: ignore[arg-type] # not in its stub


def attribute(value: object) -> "AttributeValueTypeDef":
    """One value in DynamoDB's notation. Raises TypeError for what DynamoDB can't hold."""
    # boto3 takes no float, which could lose digits on its way through text; this text is exact.
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    encoded: AttributeValueTypeDef = _serializer.serialize(exact)
    return encoded


def plain(value: Mapping[str, Any]) -> object:
    """The Python value of an attribute; a number without a fraction is an int."""
    match _deserializer.deserialize(value):
        case Decimal() as number:
            return int(number) if number == number.to_integral_value() else float(number)
        case Binary() as binary:
            return binary.value
        case other:
            return other


def to_item(row: msgspec.Struct) -> Item:
    """A row as an item; None and empty sets, which DynamoDB refuses in keys and sets, are left out."""
    fields = zip(row.__struct_fields__, row.__struct_encode_fields__, strict=True)
    values = ((name, getattr(row, field)) for field, name in fields)
    return {name: attribute(value) for name, value in values if value is not None and value != frozenset()}


def from_item(item: Mapping[str, Any], kind: type[Row]) -> Row:
    """An item as a row; unknown attributes and nulls are passed over, and so are those of a wrong type.

    A row may come from an older version or another hand; one odd attribute must not stop its email, nor a
    batch that it is part of. Raises ServiceUnavailable where the key itself can't be read.
    """
    values = {name: plain(value) for name, value in item.items() if "NULL" not in value}
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError:
        readable = {}
    for field in msgspec.structs.fields(kind):
        with suppress(KeyError, msgspec.ValidationError):
            readable[field.encode_name] = msgspec.convert(values[field.encode_name], field.type, strict=False)
    try:
        return msgspec.convert(readable, kind)
    except msgspec.ValidationError as error:
        raise ServiceUnavailable(f"DynamoDB holds a {kind.__name__} that cannot be read: {error}") from None


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
