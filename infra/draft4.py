"""JSON Schema of draft 2020-12, as msgspec writes it, in the words of draft 4.

The EventBridge schema registry takes OpenAPI 3 and JSONSchemaDraft4 only:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-schema.html
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

DIALECT: Final = "http://json-schema.org/draft-04/schema#"

# What the engine's shapes use. What is not here is refused, so that no constraint is lost in silence.
_SAME: Final = frozenset(
    {
        "additionalProperties", "allOf", "anyOf", "description", "enum", "format", "items",
        "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "oneOf", "pattern",
        "title", "type",
    }
)  # fmt: skip


def draft4(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The whole schema, without an id. Raises ValueError for a keyword that has no known counterpart."""
    whole = {name: value for name, value in schema.items() if name not in {"$schema", "$id"}}
    return {"$schema": DIALECT, **_converted(whole)}


def _converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _SAME:
            converted[keyword] = _value(value)
        elif keyword in _OTHERS:
            converted |= _OTHERS[keyword](value)
        else:
            raise ValueError(f"{keyword!r} has no counterpart in draft 4 that is known here")
    if "$ref" in converted and len(converted) > 1:  # draft 4 reads nothing beside a reference
        return {"allOf": [{"$ref": converted.pop("$ref")}], **converted}
    return converted


def _each(schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _converted(schema) for name, schema in schemas.items()}


def _value(value: Any) -> Any:
    """A schema, several, or anything else as it is."""
    if isinstance(value, Mapping):
        return _converted(value) if value else {}
    if isinstance(value, list):
        return [_converted(item) if isinstance(item, Mapping) else item for item in value]
    return value


_OTHERS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "$defs": lambda schemas: {"definitions": _each(schemas)},
    "$ref": lambda reference: {"$ref": reference.replace("#/$defs/", "#/definitions/")},
    "const": lambda value: {"enum": [value]},
    "default": lambda value: {"default": value},
    "exclusiveMinimum": lambda limit: {"minimum": limit, "exclusiveMinimum": True},
    "exclusiveMaximum": lambda limit: {"maximum": limit, "exclusiveMaximum": True},
    "properties": lambda schemas: {"properties": _each(schemas)},
    "required": lambda names: {"required": names} if names else {},  # draft 4 knows no empty list here
}
