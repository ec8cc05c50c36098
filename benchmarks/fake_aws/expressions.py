"""DynamoDB's condition and update expressions and its PartiQL, as far as the engine writes them.

Items and values stay in DynamoDB's notation (`{"S": "text"}`). Each text is translated to Python once.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

Item = Mapping[str, Any]
_Evaluate = Callable[[Callable[[str], Any]], Any]
# Python spells these otherwise; what is spelled alike needs no translation.
_SPELLINGS: Final = {"<>": "!=", "=": "==", "AND": "and", "OR": "or", "NOT": "not"}
_ALIKE: Final = frozenset({"<=", ">=", "and"})
_TOKEN: Final = re.compile(r"<=|>=|<>|=|[#:]?[A-Za-z_]\w*")
_BETWEEN: Final = re.compile(r"(\S+) BETWEEN (\S+) AND (\S+)")
_CLAUSE: Final = re.compile(r"\b(SET|ADD|REMOVE|DELETE)\b")
_COMMA: Final = re.compile(r",(?![^(]*\))")  # not within a function's brackets
_INSERT: Final = re.compile(r'INSERT INTO "([^"]+)" VALUE \{(.*)\}')
_UPDATE: Final = re.compile(r'UPDATE "([^"]+)" (.*) WHERE "(\w+)" = \? AND (.*)')


class _Missing:
    """An attribute that is not there: it equals nothing, and no order holds."""

    def __eq__(self, other: object) -> bool:
        return False

    def __lt__(self, other: object) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__
    __hash__ = None  # type: ignore[assignment] # nothing looks it up


_MISSING: Final = _Missing()
_FUNCTIONS: Final[Mapping[str, Any]] = {
    "attribute_exists": lambda value: value is not _MISSING,
    "attribute_not_exists": lambda value: value is _MISSING,
    "if_not_exists": lambda value, otherwise: otherwise if value is _MISSING else value,
    "contains": lambda value, part: value is not _MISSING and part in value,
}


class Statement(NamedTuple):
    """PartiQL in the words of the API: `item` of an INSERT, else the `update` and `condition` of a `key`."""

    table: str
    item: Item | None
    key: Item
    request: Mapping[str, Any]


def holds(request: Mapping[str, Any], item: Item) -> bool:
    """Whether the request's condition is true of the item."""
    condition = request.get("ConditionExpression")
    return condition is None or bool(_translated(condition)(_reader(request, item)))


def updated(request: Mapping[str, Any], item: Item) -> dict[str, Any]:
    """The item after the request's update expression."""
    result, read = dict(item), _reader(request, item)
    names = request.get("ExpressionAttributeNames", {})
    for clause, alias, value in _actions(request["UpdateExpression"]):
        name = names.get(alias, alias)
        if clause == "REMOVE":
            result.pop(name, None)
            continue
        new = value(read)
        if clause == "DELETE":
            new = _python(item[name]) - new if name in item else frozenset()
            if not new:  # a set is never empty
                result.pop(name, None)
                continue
        if clause == "ADD" and name in item:
            old = _python(item[name])
            new = old | new if isinstance(new, frozenset) else old + new
        result[name] = _tagged(new)
    return result


def statement(text: str, parameters: Sequence[Any]) -> Statement:
    """One statement of ExecuteStatement or BatchExecuteStatement."""
    if inserted := _INSERT.fullmatch(text):
        names = re.findall(r"'(\w+)': \?", inserted[2])
        return Statement(inserted[1], dict(zip(names, parameters, strict=True)), {}, {})
    table, update, condition, key = _parsed_update(text)
    values = {f":p{number}": value for number, value in enumerate(parameters)}
    request = {
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }
    return Statement(table, None, {key: values[f":p{update.count(':p')}"]}, request)


@lru_cache(maxsize=1024)
def _parsed_update(text: str) -> tuple[str, str, str, str]:
    """Table, update and condition with the parameters as `:p0`, `:p1`, ..., and the key's name."""
    found = _UPDATE.fullmatch(text)
    if not found:
        raise NotImplementedError(text)
    table, changes, key, others = found.groups()
    sets = re.findall(r'SET "(\w+)" = \?', changes)
    removed = re.findall(r'REMOVE "(\w+)"', changes)
    update = "SET " + ", ".join(f"{name} = :p{number}" for number, name in enumerate(sets))
    if removed:
        update += f" REMOVE {', '.join(removed)}"
    condition = f"attribute_exists({key}) AND {others.replace(chr(34), '')}"
    for number in range(len(sets) + 1, len(sets) + 1 + condition.count("?")):
        condition = condition.replace("?", f":p{number}", 1)
    return table, update, condition, key


def _reader(request: Mapping[str, Any], item: Item) -> Callable[[str], Any]:
    names = request.get("ExpressionAttributeNames", {})
    values = request.get("ExpressionAttributeValues", {})

    def read(token: str) -> Any:
        if token.startswith(":"):
            return _python(values[token])
        attribute = item.get(names.get(token, token))
        return _MISSING if attribute is None else _python(attribute)

    return read


@lru_cache(maxsize=1024)
def _actions(expression: str) -> list[tuple[str, str, _Evaluate]]:
    """Clause, attribute and new value of each part of an update expression."""
    actions = []
    _, *parts = _CLAUSE.split(expression)
    for clause, text in zip(parts[::2], parts[1::2], strict=True):
        for action in _COMMA.split(text):
            name, _, value = action.replace("=", " ", 1).strip().partition(" ")
            actions.append((clause, name, _translated(value.strip() or "0")))
    return actions


@lru_cache(maxsize=1024)
def _translated(expression: str) -> _Evaluate:
    def python(token: re.Match[str]) -> str:
        text = token[0]
        if text in _FUNCTIONS or text in _ALIKE:
            return text
        return _SPELLINGS.get(text) or f"read({text!r})"

    source = _TOKEN.sub(python, _BETWEEN.sub(r"\2 <= \1 and \1 <= \3", expression))
    translated: _Evaluate = eval(f"lambda read: {source}", {"__builtins__": {}, **_FUNCTIONS})  # noqa: S307 - our own functions' expressions, tokens replaced
    return translated


def _python(attribute: Mapping[str, Any]) -> Any:
    """What compares and adds as the attribute does; what only moves keeps its notation."""
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return float(value) if set(value) & set(".eE") else int(value)
        case "S":
            return value
        case "SS":
            return frozenset(value)
        case _:
            return attribute


def _tagged(value: Any) -> Any:
    match value:
        case str():
            return {"S": value}
        case frozenset():
            return {"SS": sorted(value)}
        case int() | float():
            return {"N": repr(value)}
        case _:
            return value
