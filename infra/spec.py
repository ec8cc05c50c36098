"""Specification of a setting, said once: for CDK context, for the CloudFormation parameter, for a person."""

import re
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final

from msgspec import Struct

# CloudFormation matches a parameter's pattern with Java's regular expressions, Python with its own: these
# stay within what both read alike. Domains are lower-case: the sender's policy compares them as they stand.
_DOMAIN: Final = r"[a-z0-9-]+(\.[a-z0-9-]+)+"
ADDRESS: Final = rf"[^\s@,<>\"()]+@{_DOMAIN}"
DOMAIN_OR_NONE: Final = rf"({_DOMAIN})?"
ADDRESS_OR_NONE: Final = rf"({ADDRESS})?"
SENDERS: Final = rf"(([^\s@,<>\"()]+@)?{_DOMAIN}(,([^\s@,<>\"()]+@)?{_DOMAIN})*)?"
_TOPIC: Final = r"[a-z0-9-]{1,64}=[^,=]{1,80}"
TOPICS: Final = rf"({_TOPIC}(,{_TOPIC})*)?"
POOL_OR_NONE: Final = r"[A-Za-z0-9_-]*"
REASONS_OR_NONE: Final = "(BOUNCE|COMPLAINT|BOUNCE,COMPLAINT)?"
ONE_LINE: Final = r"[^\x00-\x1f\x7f]*"
# CloudFormation knows no yes and no.
SWITCH: Final = ("true", "false")


class Spec(Struct, frozen=True, kw_only=True):
    """`expected` finishes the sentence "it must be …"; `group` is the heading it stands under."""

    group: str
    description: str
    expected: str
    kind: type[str] | type[int] | type[float]
    least: float | None = None
    most: float | None = None
    choices: tuple[str | int, ...] = ()
    pattern: str = ""
    longest: int | None = None
    required: bool = False
    parameter: bool = True
    # What only the template must hold to: CloudFormation can't calculate, so it chooses from a list.
    parameter_choices: tuple[int, ...] = ()

    def read(self, raw: object) -> Any:
        """A value of context, which on the command line is always text. Raises ValueError."""
        value = _READERS[self.kind](raw)
        if not self.takes(value):
            raise ValueError(f"expected {self.expected}")
        return value

    def takes(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, str):
            return self.longest is None or len(value) <= self.longest
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def text(default: str, group: str, description: str, expected: str, **more: Any) -> Any:
    return _field(default, Spec(group=group, description=description, expected=expected, kind=str, **more))


def choice(default: str | int, group: str, description: str, choices: tuple[str | int, ...]) -> Any:
    expected = f"one of {', '.join(map(str, choices))}"
    kind = int if isinstance(default, int) else str
    return _field(
        default, Spec(group=group, description=description, expected=expected, kind=kind, choices=choices)
    )


def number(  # noqa: PLR0917 -- a table's row, read positionally
    default: float, group: str, description: str, expected: str, least: float, most: float, **more: Any
) -> Any:
    """A whole number where the default is one."""
    spec = Spec(
        group=group,
        description=description,
        expected=expected,
        kind=type(default),
        least=least,
        most=most,
        **more,
    )
    return _field(default, spec)


def _field(default: object, spec: Spec) -> Any:
    return field(default=default, metadata={"spec": spec})


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("expected text")  # noqa: TRY004 -- whoever reads context turns ValueError into a listed problem
    return raw.strip()


def _whole(raw: object) -> int:
    if re.fullmatch(r"-?\d+", str(raw).strip()) is None:
        raise ValueError("expected a whole number")
    return int(str(raw))


def _number(raw: object) -> float:
    try:
        value = float(str(raw))
    except ValueError:
        raise ValueError("expected a number") from None
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 -- only NaN differs from itself
        raise ValueError("expected a number")
    return value


_READERS: Final[dict[Any, Callable[[object], Any]]] = {str: _text, int: _whole, float: _number}
