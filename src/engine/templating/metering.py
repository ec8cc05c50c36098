"""What a render may cost: a budget, what weighs how much, and what must be foreseen because it multiplies."""

import re
from collections.abc import Iterable, Sequence
from string import Formatter
from typing import Any, Final

from jinja2 import Undefined
from markupsafe import Markup, escape

# The unit is a character written. The whole budget takes a second of a full core, and a table of 2,000 rows a
# tenth of it.
BUDGET: Final = 10_000_000
MAX_VALUE: Final = 2_000_000
OPERATION: Final = 50
CALL: Final = 200
ELEMENT: Final = 8
_MAX_GROWTH: Final = 10_000_000
_MAX_WIDTH: Final = 9_999
_MAX_BITS: Final = 1_024
_MAX_PRECISION: Final = 100

# These take several times longer for each character than the rest.
_COSTLY: Final = frozenset({"groupby", "map", "max", "min", "sort", "unique", "urlize", "wordwrap"})
_COSTLY_FACTOR: Final = 16
# What these take, or whether they are refused, is about more than the size of what goes in.
_SPECIAL: Final = _COSTLY | {"format", "list", "round", "sum", "title"}
# What these make is at most their input times their largest argument.
_GROWING: Final = frozenset(
    {
        "batch",
        "center",
        "indent",
        "join",
        "ljust",
        "replace",
        "rjust",
        "slice",
        "tojson",
        "urlize",
        "wordwrap",
    }
    | {"zfill"}
)
# What these look up in every element is a path, of names between dots and commas.
_BY_PATH: Final = frozenset(
    {"groupby", "join", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"}
)
_SHORT_PATH: Final = 3
# These make a list of a text, of its every character or word, before anybody can weigh it.
_SPLITTING: Final = frozenset({"join", "list", "slice", "title"})
# These look for one text in another the slow way, with as many steps as both lengths multiplied.
_SEARCHING: Final = frozenset(
    {"lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip", "trim"}
)
_STEPS_A_UNIT: Final = 100
# What may end a sentence and so is no part of an address: urlize looks at each, and at all that follow it.
_URL_ENDINGS: Final = re.compile(r"(?:[)>.,\n]|&gt;)+")
_PRINTF_WIDTH: Final = re.compile(r"%(\([^()]*\))?[#0\- +]*(\*|\d{5,}|\d*\.(\*|\d{5,}))|%\([^()]*\(")


class Unfit(Exception):  # noqa: N818 - becomes a template error, in the words it carries
    """A template tried something that could take all time or memory, or wrote out what is not data."""


class Meter:
    """What is left of a render's budget."""

    __slots__ = ("left",)

    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget

    def spend(self, amount: int) -> None:
        self.left = left = self.left - amount
        if left < 0:
            raise Unfit(
                "the template does more work than an email may take: too many loops, or too large ones"
            )


def weigh(value: Any) -> int:
    """About how many characters a value takes to write out. Raises Unfit where it is too large or no data."""
    # A template's every step comes by here, nearly always with one of these.
    kind = type(value)
    if kind is str or kind is Markup:
        return len(value) if len(value) <= MAX_VALUE else _fitting(len(value))
    if kind is int:
        return _fitting_int(value)
    if value is None or kind is bool or kind is float:
        return ELEMENT
    return _weigh_other(value)


def _weigh_other(value: Any) -> int:
    if isinstance(value, str):
        return _fitting(len(value))
    total = 0
    pending = [value]
    # Counting ends at the limit, because a list that holds another twice, and so on, never would.
    while pending:
        one = pending.pop()
        if isinstance(one, Undefined) and one is not value:
            str(one)  # raises its own error: in a list it would be written out in silence
        total += _own_weight(one)
        _fitting(total)
        if isinstance(one, dict):
            total += _weigh_atoms(one, pending) + _weigh_atoms(one.values(), pending)
        elif isinstance(one, list | tuple):
            total += _weigh_atoms(one, pending)
    return _fitting(total)


def _weigh_atoms(values: Iterable[Any], pending: list[Any]) -> int:
    """What texts and numbers weigh, of which most values are made; all else goes to `pending`."""
    total = 0
    for one in values:
        kind = type(one)
        if kind is str or kind is Markup:
            total += len(one)
        elif kind is int:
            total += _fitting_int(one)
        elif one is None or kind is bool or kind is float:
            total += ELEMENT
        else:
            pending.append(one)
    return total


def _own_weight(one: Any) -> int:
    if isinstance(one, str):
        return len(one)
    if isinstance(one, bool | float) or one is None or isinstance(one, Undefined):
        return ELEMENT
    if isinstance(one, int):
        return _fitting_int(one)
    if isinstance(one, dict):
        return ELEMENT * (2 * len(one) + 1)
    if isinstance(one, list | tuple | range):
        return ELEMENT * (len(one) + 1)
    raise Unfit(f"a {type(one).__name__} can't be written out or kept in a list")


def _fitting(size: int) -> int:
    if size > MAX_VALUE:
        raise Unfit(f"a value grows over {MAX_VALUE:,} characters")
    return size


def _fitting_int(number: int) -> int:
    bits = number.bit_length()
    if bits > _MAX_BITS:
        raise Unfit("a number grows over 300 digits")
    return ELEMENT + bits // 3


def _foresee_growth(name: str, value: Any, arguments: Sequence[Any]) -> None:
    """Refuse to multiply a value when the product could be huge."""
    if isinstance(value, Markup):
        # It escapes what comes in, which takes five characters for one.
        arguments = [escape(one) if isinstance(one, str) else one for one in arguments]
    weight = max(weigh(value), 1)
    factor = max((_factor(argument) for argument in arguments), default=1)
    if name == "tojson" and arguments:
        # Each level indents what is in it.
        factor *= _depth(value)
    _foresee_product(weight * factor)


def _depth(value: Any) -> int:
    """How many lists and objects are inside one another. To be weighed before, so that there is an end."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [inner for one in level for inner in _inside(one) if isinstance(inner, dict | list | tuple)]
    return depth


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _foresee_product(size: int) -> None:
    if size > _MAX_GROWTH:
        raise Unfit(f"a value would grow over {MAX_VALUE:,} characters")


def _factor(argument: Any) -> int:
    return abs(argument) if isinstance(argument, int) else weigh(argument)


def _foresee_fields(template: str, fields: int, arguments: Sequence[Any]) -> None:
    largest = _MAX_WIDTH + sum(weigh(argument) for argument in arguments)
    if len(template) + fields * largest > _MAX_GROWTH:
        raise Unfit(f"a formatted text would grow over {MAX_VALUE:,} characters")


def _foresee_printf(template: str, arguments: Sequence[Any]) -> None:
    if _PRINTF_WIDTH.search(template):
        raise Unfit(f"a format's width must be a number up to {_MAX_WIDTH:,}")
    _foresee_fields(template, template.count("%"), arguments)


def _foresee_braces(template: str, arguments: Sequence[Any]) -> None:
    for _, _, spec, _ in Formatter().parse(template):
        if spec and ("{" in spec or re.search(r"\d{5,}", spec)):
            raise Unfit(f"a format's width must be a number up to {_MAX_WIDTH:,}")
    _foresee_fields(template, template.count("{"), arguments)


def is_by_size(name: str) -> bool:
    """Whether a filter without arguments takes what its value weighs."""
    return name not in _SPECIAL and name not in _GROWING


def foresee_filter(name: str, value: Any, arguments: Sequence[Any]) -> int:
    """What a filter takes. Raises Unfit where it would multiply its input beyond measure."""
    weight = weigh(value)
    if name == "format":
        _foresee_printf(str(value), arguments)
    elif name in _GROWING:
        _foresee_growth(name, value, arguments)
    elif name == "round" and any(_factor(one) > _MAX_PRECISION for one in arguments if isinstance(one, int)):
        raise Unfit(f"round takes a precision up to {_MAX_PRECISION}")
    elif name == "sum" and any(isinstance(one, list | tuple) for one in arguments):
        # sum(start=[]) copies what it has so far for every element.
        raise Unfit("sum adds numbers only")
    if name in _SPLITTING and isinstance(value, str):
        _fitting(ELEMENT * len(value))
    cost = sum(weigh(one) for one in arguments) + _repeated(name, value, weight, arguments)
    return cost + weight * (_COSTLY_FACTOR if name in _COSTLY else 1)


def _repeated(name: str, value: Any, weight: int, arguments: Sequence[Any]) -> int:
    """What a filter takes besides, where it goes through its value, or an element of it, again and again."""
    cost = 0
    if name == "wordwrap":
        # textwrap takes the square of its longest word.
        cost = _COSTLY_FACTOR * (weight * weight // 2_000)
    elif name == "urlize":
        steps = sum(len(run) ** 2 for run in _URL_ENDINGS.findall(str(value)))
        cost = _COSTLY_FACTOR * (steps // _STEPS_A_UNIT)
    elif name in _SEARCHING:
        cost = _search(weight, arguments)
    elif name in _BY_PATH and isinstance(value, str | dict | list | tuple | range):
        steps = max((one.count(".") + one.count(",") for one in arguments if isinstance(one, str)), default=0)
        cost = len(value) * max(steps - _SHORT_PATH, 0) * 2 * ELEMENT
    return cost


def _search(weight: int, arguments: Sequence[Any]) -> int:
    return weight * sum(weigh(one) for one in arguments) // _STEPS_A_UNIT


def foresee_operator(operator: str, left: Any, right: Any) -> None:
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "%" and isinstance(left, str):
        _foresee_printf(left, [right])
    elif operator == "**" and numbers and left.bit_length() * abs(right) > _MAX_BITS:
        raise Unfit("a number grows over 300 digits")
    elif operator == "*" and not numbers:
        _foresee_product(_factor(left) * _factor(right))


def foresee_method(method: Any, arguments: Sequence[Any]) -> int:
    """What calling a method of a text or list takes; `format` comes wrapped by Jinja's sandbox."""
    bound = getattr(method, "__wrapped__", method)
    receiver = getattr(bound, "__self__", None)
    if not isinstance(receiver, str | list | tuple):
        return 0
    if bound.__name__ in {"format", "format_map"}:
        _foresee_braces(str(receiver), arguments)
    elif bound.__name__ in _GROWING:
        _foresee_growth(bound.__name__, receiver, arguments)
    weight = weigh(receiver)
    return weight + (_search(weight, arguments) if bound.__name__ in _SEARCHING else 0)
