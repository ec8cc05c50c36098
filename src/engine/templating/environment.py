"""The Jinja environment that templates run in: its sandbox, by its documented API, with limits.

Templates reach data and harmless methods of data, nothing else.
"""

from typing import Any, Final

import jinja2
from jinja2 import StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.templating.limits import (
    LimitError,
    charge,
    charge_call,
    check_operation,
    check_result,
    count_steps,
    limit_method,
    limited,
)
from engine.templating.nulls import Null
from engine.templating.palette import palette
from engine.templating.rewriting import LimitInserter

# All of Jinja's but `random`, because a redelivered request must render the same email, and `pprint`.
# These look at a value without going through it.
_INSTANT_FILTERS: Final = frozenset({"attr", "count", "d", "default", "first", "last", "length"})
_FILTERS: Final = frozenset(
    {"abs", "batch", "capitalize", "center", "dictsort", "e", "escape", "filesizeformat", "float"}
    | {"forceescape", "format", "groupby", "indent", "int", "items", "join", "list", "lower", "map", "max"}
    | {"min", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice"}
    | {"sort", "string", "striptags", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"}
    | {"urlencode", "urlize", "wordcount", "wordwrap", "xmlattr"}
)
# Tests that go through what they are given; all others look at it without.
_TESTS: Final = frozenset(
    {"lower", "upper", "in", "eq", "==", "equalto", "ne", "!=", "lt", "<", "lessthan", "le", "<=", "gt", ">"}
    | {"greaterthan", "ge", ">="}
)
_METHODS: Final[dict[type, frozenset[str]]] = {
    str: frozenset(
        {"capitalize", "casefold", "center", "count", "endswith", "find", "format", "format_map", "index"}
        | {"isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace"}
        | {"istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix"}
        | {"removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split"}
        | {"splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "grouper", "index", "list"}),  # `grouper` and `list` are of groupby's pairs
    int: frozenset({"is_integer"}),
    float: frozenset({"is_integer"}),
}
# A text up to so long is printed for the cost of the step that prints it.
_SHORT: Final = 50


def finalize(value: Any) -> Any:
    """What `{{ }}` prints: of None nothing, because nobody means "Hello None"; no lists and no methods."""
    if isinstance(value, str):
        if len(value) > _SHORT:
            charge(len(value))
    elif value is None:
        return ""
    elif not isinstance(value, Undefined | int | float):
        name = getattr(value, "__name__", type(value).__name__)
        if callable(value):
            raise LimitError(
                f"{name} is a method or macro, no field of the data: to call it, write () after it"
            )
        raise LimitError(f"a {name} can't be printed whole: loop over it, or name a part of it")
    return value


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Where templates are compiled: no loader, strict about undefined names."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        # Jinja's optimizer folds constants, of which templates have few, in a tenth of the time of compiling.
        super().__init__(autoescape=autoescape, undefined=StrictUndefined, finalize=finalize, optimized=False)
        del self.globals["lipsum"]
        self.globals["dict"] = lambda *pairs, **fields: check_result(dict(*pairs, **fields))
        self.globals["palette"] = limited("palette", palette)
        self.filters = {
            **{name: self.filters[name] for name in _INSTANT_FILTERS},
            **{name: limited(name, self.filters[name]) for name in _FILTERS},
            "count steps": count_steps,
            "charge call": charge_call,
            "limit method": limit_method,
            "check result": check_result,
        }
        tests: dict[str, Any] = self.tests
        tests |= {name: limited(name, tests[name]) for name in _TESTS}
        self.tests["none"] = lambda value: value is None or isinstance(value, Null)
        # Whatever else JSON can't hold has been refused by then.
        self.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": lambda _null: None}

    def from_source(self, source: str, filename: str) -> jinja2.Template:
        """Compile a template, to be rendered inside `render_budget()`; raises TemplateSyntaxError."""
        tree = LimitInserter().visit(self.parse(source, filename, filename))
        code = self.compile(tree, filename, filename)
        return jinja2.Template.from_code(self, code, self.globals)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        check_operation(operator, (left, right))
        return check_result(super().call_binop(context, operator, left, right))
