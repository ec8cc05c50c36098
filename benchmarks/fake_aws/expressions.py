"""DynamoDB's condition and update expressions over numbers and strings, as far as the State table needs them.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

Item = dict[str, Any]  # numbers and strings
_MISSING: Final = math.nan  # an attribute that is not there: it equals nothing, and no order holds
# Python spells these otherwise; what is spelled alike needs no translation.
_SPELLINGS: Final = {"<>": "!=", "=": "==", "AND": "and", "OR": "or", "NOT": "not"}
_TOKEN: Final = re.compile(r"<=|>=|<>|=|[#:]?[A-Za-z_]\w*")
_BETWEEN: Final = re.compile(r"(\S+) BETWEEN (\S+) AND (\S+)")
_CLAUSE: Final = re.compile(r"\b(SET|ADD|REMOVE)\b")
_COMMA: Final = re.compile(r",(?![^(]*\))")  # not within a function's brackets


def plain(attributes: Mapping[str, Any]) -> Item:
    """The numbers and strings among the attributes, without their type tags; whole numbers stay whole."""
    item: Item = {name: value["S"] for name, value in attributes.items() if "S" in value}
    for name, value in attributes.items():
        if text := value.get("N"):
            item[name] = float(text) if set(text) & set(".eE") else int(text)
    return item


def tagged(item: Item) -> dict[str, Any]:
    return {
        name: {"S": value} if isinstance(value, str) else {"N": repr(value)} for name, value in item.items()
    }


def holds(request: Mapping[str, Any], item: Item) -> bool:
    """Whether the request's condition is true of the item."""
    return bool(_evaluate(request.get("ConditionExpression", "0 = 0"), request, item))


def updated(request: Mapping[str, Any], item: Item) -> Item:
    """The item after the request's update expression."""
    result = dict(item)
    _, *parts = _CLAUSE.split(request["UpdateExpression"])
    for clause, text in zip(parts[::2], parts[1::2], strict=True):
        for action in _COMMA.split(text):
            name, _, value = action.replace("=", " ").strip().partition(" ")
            name = request.get("ExpressionAttributeNames", {}).get(name, name)
            if clause == "REMOVE":
                result.pop(name, None)
            else:
                evaluated = _evaluate(value.strip(), request, item)
                result[name] = item.get(name, 0) + evaluated if clause == "ADD" else evaluated
    return result


def _evaluate(expression: str, request: Mapping[str, Any], item: Item) -> Any:
    names = request.get("ExpressionAttributeNames", {})
    values = plain(request.get("ExpressionAttributeValues", {}))
    functions = {
        "attribute_exists": lambda value: value is not _MISSING,
        "attribute_not_exists": lambda value: value is _MISSING,
        "if_not_exists": lambda value, otherwise: otherwise if value is _MISSING else value,
    }

    def python(token: re.Match[str]) -> str:
        text = token[0]
        if text.startswith(":"):
            return repr(values[text])
        if text in functions or text in {"<=", ">=", "and"}:
            return text
        return _SPELLINGS.get(text) or repr(item.get(names.get(text, text), _MISSING))

    translated = _TOKEN.sub(python, _BETWEEN.sub(r"\2 <= \1 and \1 <= \3", expression))
    return eval(translated, {"__builtins__": {}, repr(_MISSING): _MISSING, **functions})  # noqa: S307 - our own functions' expressions, tokens replaced
