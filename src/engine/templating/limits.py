"""Limits of a render: one budget for all its steps, and a largest size for every value that it makes.

Authors own the bucket that templates come from, so this is for mistakes, and for data that multiplies them;
behind it is the function's time-out: docs/decisions/0014-templates-run-in-jinjas-sandbox.md.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from inspect import unwrap
from itertools import chain, islice
from math import prod
from typing import Any, Final

import jinja2
from jinja2 import TemplateRuntimeError, Undefined, nodes, pass_context

# All in characters. To spend the whole budget takes at most a second of a core.
BUDGET: Final = 10_000_000
MAX_SIZE: Final = 1_000_000
_MAX_GROWTH: Final = 10_000_000
# In bits, some 6,000 digits: JSON brings 4,300 at most. To divide, hash or subtract such a number takes no
# longer than a step may, so only what makes them larger is watched.
_LONGEST_NUMBER: Final = 20_000
_OPERATION_COST: Final = 50
_MAX_WIDTH: Final = 999
_URL_ENDINGS: Final = re.compile(r"(?:[)>.,]|&gt;)+")
# What Jinja itself hands to filters, besides the template's values.
_FROM_JINJA: Final = (jinja2.Environment, jinja2.Environment.context_class, nodes.EvalContext)

_budget_left: ContextVar[int] = ContextVar("budget_left")


class LimitError(TemplateRuntimeError):
    """A template does something that could take all time or memory, or that is not for data."""


@contextmanager
def render_budget() -> Iterator[None]:
    """Give one budget to all that is rendered inside. Outside, nothing that charges it can run."""
    token = _budget_left.set(BUDGET)
    try:
        yield
    finally:
        _budget_left.reset(token)


def charge(cost: int) -> None:
    """Take so many characters from the budget. Raises LimitError where nothing is left."""
    left = _budget_left.get() - cost
    if left < 0:
        raise LimitError(
            "the template does more work than an email may take: too many loops, or too large ones"
        )
    _budget_left.set(left)


def count_steps(values: Iterable[Any] | None, cost: int) -> Iterator[Any]:
    """Go through what a loop goes through, charging every step before it is taken; null is empty."""
    for value in () if values is None else values:
        charge(cost)
        yield value


def size_of(value: Any) -> int:
    """Count characters and digits, and for every element its depth, which is how far JSON may indent it.

    Raises LimitError for what is too large or not data, and an undefined name's error wherever one is inside.
    """
    if isinstance(value, str) and len(value) <= MAX_SIZE:
        return 1 + len(value)
    size, depth, level = 0, 1, [value]
    while level:
        collections: list[Collection[Any]] = []
        for one in level:
            size += depth
            if isinstance(one, str):
                size += len(one)
            elif isinstance(one, int):
                size += _digits(one)
            elif isinstance(one, Undefined):
                str(one)
            elif isinstance(one, Collection):
                collections.append(one.items() if isinstance(one, dict) else one)
            elif one is not None and not isinstance(one, float):
                raise LimitError(f"a {type(one).__name__} is not data: no filter, operator or list takes it")
        if size > MAX_SIZE:
            raise LimitError(f"a value grows over {MAX_SIZE:,} characters")
        level = list(islice(chain.from_iterable(collections), MAX_SIZE))
        depth += 1
    return size


def _digits(number: int) -> int:
    if number.bit_length() > _LONGEST_NUMBER:
        raise LimitError(f"a number grows over {_LONGEST_NUMBER:,} bits")
    return number.bit_length() // 3


def check_result(value: Any) -> Any:
    """Charge for a value that a template made, and return it; lazy ones are made whole first."""
    if not isinstance(value, str) and isinstance(value, Iterator):
        value = list(islice(value, MAX_SIZE // 2))  # more are too many for `size_of`
    charge(size_of(value))
    return value


def check_operation(name: str, values: Sequence[Any]) -> None:
    """Charge for what a filter, method or operator is given and will do.

    Raises LimitError before it makes far too much, or takes far too many steps.
    """
    sizes = [size_of(value) for value in values]
    charge(_OPERATION_COST + sum(sizes))
    predict = _GROWTH.get(name)
    if predict is not None:
        growth = predict(values, sizes)
        if growth > _MAX_GROWTH:
            raise LimitError(f"{name} would make a value grow over {MAX_SIZE:,} characters")
        charge(growth // 10)


# At most how many characters come out, or steps are taken, from the values and their sizes.


def _of_sizes(_: Sequence[Any], sizes: Sequence[int]) -> int:
    """A size times a size, as `replace` makes."""
    return prod(sorted(sizes)[-2:])


def _of_numbers(values: Sequence[Any], sizes: Sequence[int]) -> int:
    """A size times a number, as `center` makes."""
    if all(isinstance(value, int | float) for value in values):
        return 0
    pairs = zip(values, sizes, strict=True)
    return prod(sorted(abs(value) if isinstance(value, int) else size for value, size in pairs)[-2:])


def _of_paths(values: Sequence[Any], sizes: Sequence[int]) -> int:
    """A path of attributes for every element, as `sort` follows."""
    paths = [value for value in values[1:] if isinstance(value, str)]
    return sizes[0] * max((path.count(".") + path.count(",") for path in paths), default=0)


def _of_format(wide: str, field: str, values: Sequence[Any], sizes: Sequence[int]) -> int:
    """Every field as wide as may be, or as long as all that is put in."""
    template = values[0]
    if not isinstance(template, str):
        return 0
    if re.search(wide, template):
        raise LimitError(f"a format's width must be a number up to {_MAX_WIDTH}")
    return template.count(field) * (_MAX_WIDTH + sum(sizes))


def _of_power(base: Any, exponent: Any) -> int:
    """Long numbers take longer to multiply than to write."""
    if not isinstance(base, int) or not isinstance(exponent, int):
        return 0
    return 100 * base.bit_length() * abs(exponent)


# What takes a width or precision of four digits, or out of an argument, in either language of formats.
_printf: Final = partial(_of_format, r"%(\([^()]*\))?[#0\- +]*(\*|\d{4}|\d*\.(\*|\d{4}))|%\([^()]*\(", "%")
_braces: Final = partial(_of_format, r"\{[^{}:]*:[^{}]*?(\{|\d{4})", "{")
_BY_NUMBER: Final = ("*", "batch", "center", "indent", "ljust", "rjust", "slice", "tojson", "zfill")
_BY_SIZE: Final = ("join", "lstrip", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip")
_BY_PATH: Final = ("groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "unique")
_GROWTH: Final[dict[str, Callable[[Sequence[Any], Sequence[int]], int]]] = {
    **dict.fromkeys(_BY_NUMBER, _of_numbers),
    **dict.fromkeys((*_BY_SIZE, "trim"), _of_sizes),
    **dict.fromkeys(_BY_PATH, _of_paths),
    "%": _printf,
    "format": _printf,
    "str.format": _braces,
    "**": lambda values, _: _of_power(*values),
    "round": lambda values, _: max((_of_power(10, value) for value in values[1:]), default=0),
    # A start that is a list is copied anew for every element.
    "sum": lambda values, sizes: sizes[0] ** 2 if any(isinstance(value, list) for value in values[1:]) else 0,
    # For each character that may end a sentence, it looks at all that follow.
    "urlize": lambda values, _: sum(10 * len(run) ** 2 for run in _URL_ENDINGS.findall(str(values[0]))),
    # For each line, it copies the rest of a long word.
    "wordwrap": lambda _, sizes: sizes[0] ** 2 // 100,
}


def limited(name: str, function: Callable[..., Any], *receiver: Any) -> Callable[..., Any]:
    """A filter, test or method that is charged for what goes in and comes out."""

    # This keeps what `pass_context` and its like have noted on the function.
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        values = (*receiver, *args, *kwargs.values())
        check_operation(name, [value for value in values if not isinstance(value, _FROM_JINJA)])
        return check_result(function(*args, **kwargs))

    return run


def limit_method(value: Any) -> Any:
    """What is about to be called, limited where it is a method of a text or list."""
    method = unwrap(value)  # the sandbox wraps `format`
    receiver = getattr(method, "__self__", None)
    if not isinstance(receiver, str | list):
        return value
    name = "str.format" if method.__name__ in {"format", "format_map"} else method.__name__
    return limited(name, value, receiver)


@pass_context
def charge_call(context: Any, cost: int) -> None:
    """Charge for a macro or block, and for the variables, which a block copies."""
    charge(cost + len(context.parent))
