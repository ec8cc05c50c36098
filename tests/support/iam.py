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
        _holds(operator, listed(wanted), [value for name, value in ask.context if name == key])
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, wanted: Sequence[str], values: Sequence[str]) -> bool:
    """`values`: those that the call has for the condition's key; a key may have several."""
    if operator == "Null":
        return (not values) == (wanted == ["true"])
    for_all = operator.startswith("ForAllValues:")
    plain = operator.removeprefix("ForAnyValue:").removeprefix("ForAllValues:")
    negated, plain = "Not" in plain, plain.replace("Not", "")
    if not values:  # which satisfies what must not match, and what must hold for all of none
        return negated or for_all or plain.endswith("IfExists")
    compare = _OPERATORS[plain.removesuffix("IfExists")]
    matches = [any(compare(value, one) for one in wanted) for value in values]
    return (all(matches) if for_all else any(matches)) is not negated
