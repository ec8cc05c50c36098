"""Between frozen rows and DynamoDB's attribute values, and the answer of a conditional write."""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from boto3.dynamodb.types import (  # type: ignore[import-untyped] # boto3 ships no types
    Binary,
    TypeDeserializer,
    TypeSerializer,
)
from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code, service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

T = TypeVar("T")
Row = TypeVar("Row", bound=msgspec.Struct)
Item = dict[str, "AttributeValueTypeDef"]

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
