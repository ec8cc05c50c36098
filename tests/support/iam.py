"""IAM's evaluation, as far as our policies use it: Allow and Deny, wildcards in resources, a few conditions.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from tests.support.aws_calls import Ask

Statement = Mapping[str, Any]

_OPERATORS: Final[dict[str, Callable[[str, str], bool]]] = {
    "StringLike": fnmatchcase,
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
}


def allows(statements: Sequence[Statement], ask: Ask) -> bool:
    """Whether something allows it and nothing denies it."""
    effects = {statement["Effect"] for statement in statements if _fits(statement, ask)}
    return effects == {"Allow"}


def grants(statements: Sequence[Statement]) -> Iterator[tuple[str, str]]:
    """Every action with every resource that it is allowed on."""
    for statement in statements:
        if statement["Effect"] == "Allow":
            yield from _pairs(statement)


def serves(grant: tuple[str, str], ask: Ask) -> bool:
    action, resource = grant
    return fnmatchcase(ask.action.lower(), action.lower()) and fnmatchcase(ask.resource, resource)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pairs(statement: Statement) -> Iterator[tuple[str, str]]:
    for action in listed(statement["Action"]):
        for resource in listed(statement["Resource"]):
            yield action, resource


def _fits(statement: Statement, ask: Ask) -> bool:
    return any(serves(pair, ask) for pair in _pairs(statement)) and all(
        _holds(operator, key, listed(wanted), dict(ask.context))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, key: str, wanted: Sequence[str], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return (key not in context) == (wanted == ["true"])
    negated, plain = "Not" in operator, operator.replace("Not", "").removeprefix("ForAnyValue:")
    if key not in context:  # which satisfies what must not match
        return negated or plain.endswith("IfExists")
    compare = _OPERATORS[plain.removesuffix("IfExists")]
    return any(compare(context[key], one) for one in wanted) is not negated
