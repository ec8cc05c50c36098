"""Between frozen rows and DynamoDB's attribute values.

boto3's own serializer goes through Decimal and a type dispatch for every value; rows hold only what is below.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

Row = TypeVar("Row", bound=msgspec.Struct)
Item = dict[str, "AttributeValueTypeDef"]

CONDITION_FAILED: Final = "ConditionalCheckFailedException"


def attribute(value: object) -> "AttributeValueTypeDef":
    """One value in DynamoDB's notation."""
    match value:
        case str():
            return {"S": value}
        case bool():  # before int: a bool is one
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case bytes():
            return {"B": value}
        case frozenset():
            return {"SS": sorted(value)}
        case Mapping():
            return {"M": {key: attribute(item) for key, item in value.items()}}
        case _:
            raise TypeError(f"no DynamoDB attribute for {type(value).__name__}")


def plain(value: Mapping[str, Any]) -> object:
    """The Python value of an attribute; a number without a fraction is an int."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content) if content.lstrip("-").isdigit() else float(content)
        case "M":
            return {key: plain(item) for key, item in content.items() if "NULL" not in item}
        case "L":
            return [plain(item) for item in content]
        case "SS":
            return frozenset(content)
        case _:
            return content


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
        return _from_odd(values, kind)


def _from_odd(values: Mapping[str, object], kind: type[Row]) -> Row:
    readable = {}
    for field in msgspec.structs.fields(kind):
        with suppress(KeyError, msgspec.ValidationError):
            readable[field.encode_name] = msgspec.convert(values[field.encode_name], field.type, strict=False)
    try:
        return msgspec.convert(readable, kind)
    except msgspec.ValidationError as error:
        raise ServiceUnavailable(f"DynamoDB holds a {kind.__name__} that cannot be read: {error}") from None
