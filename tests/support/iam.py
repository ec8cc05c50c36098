"""IAM's evaluation, as far as the stack's roles use it: Allow, wildcards in resources, three conditions.

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
}


def allows(statements: Sequence[Statement], ask: Ask) -> bool:
    return any(_fits(statement, ask) for statement in statements)


def grants(statements: Sequence[Statement]) -> Iterator[tuple[str, str]]:
    """Every action with every resource that it is allowed on."""
    for statement in statements:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, resource


def serves(grant: tuple[str, str], ask: Ask) -> bool:
    action, resource = grant
    return action == ask.action and fnmatchcase(ask.resource, resource)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits(statement: Statement, ask: Ask) -> bool:
    assert statement["Effect"] == "Allow"
    return any(serves(grant, ask) for grant in grants([statement])) and all(
        _holds(operator, key, listed(wanted), dict(ask.context))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, key: str, wanted: Sequence[str], context: Mapping[str, str]) -> bool:
    if key not in context:
        return operator.endswith("IfExists")
    compare = _OPERATORS[operator.removesuffix("IfExists")]
    return any(compare(context[key], one) for one in wanted)
