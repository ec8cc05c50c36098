"""The Jinja environment that templates run in: nothing but data can be reached, and no render can run away.

Jinja's own sandbox keeps code from escaping; it does not keep a render from taking all time or memory. So
every render has a budget, and everything that can grow or repeat pays from it before or right after the fact:
loops by what they will go through, operators, filters, tests and calls by the size of what goes in and comes
out. Whatever is multiplied (`*`, `**`, `replace`, `center`, format widths, …) is foreseen before it is done.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import jinja2.runtime
from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS
from jinja2.lexer import TokenStream
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.tests import TESTS
from jinja2.utils import Cycler, Joiner, Namespace, _PassArg
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined] # it names no inner parts

from engine.templating.metering import (
    CALL,
    ELEMENT,
    MAX_VALUE,
    OPERATION,
    Meter,
    foresee_filter,
    foresee_method,
    foresee_operator,
    is_by_size,
    weigh,
)
from engine.templating.template_code import MeteringGenerator, OneFileParser
from engine.templating.template_lexer import tokens_of

# `random` is out because a redelivered request must render the same email; `pprint` and `lipsum` are not for
# emails.
_FILTERS: Final = {name: do for name, do in FILTERS.items() if name not in {"random", "pprint"}}
# What templates see besides their data.
GLOBALS: Final[Mapping[str, Any]] = MappingProxyType(
    {name: do for name, do in DEFAULT_NAMESPACE.items() if name != "lipsum"} | {"range": safe_range}
)
# These look at a value without going through it.
_INSTANT_FILTERS: Final = frozenset({"attr", "count", "d", "default", "first", "last", "length"})
_INSTANT_TESTS: Final = frozenset(
    {
        "boolean",
        "callable",
        "defined",
        "divisibleby",
        "even",
        "false",
        "filter",
        "float",
        "integer",
        "iterable",
    }
    | {"mapping", "none", "number", "odd", "sameas", "sequence", "string", "test", "true", "undefined"}
)
_STR_METHODS: Final = frozenset(
    {
        "capitalize",
        "casefold",
        "center",
        "count",
        "endswith",
        "find",
        "format",
        "format_map",
        "index",
        "isalnum",
    }
    | {"isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper"}
    | {"join", "ljust", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind"}
    | {"rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip"}
    | {"swapcase", "title", "upper", "zfill"}
)
_METHODS: Final[tuple[tuple[type | tuple[type, ...], frozenset[str]], ...]] = (
    (str, _STR_METHODS),
    (dict, frozenset({"get", "items", "keys", "values"})),
    # `grouper` and `list` are what `groupby` names its pairs.
    ((list, tuple), frozenset({"count", "grouper", "index", "list"})),
    ((int, float), frozenset({"is_integer"})),
)
_OF_JINJA: Final = (
    BlockReference,
    Cycler,
    Joiner,
    LoopContext,
    Macro,
    Namespace,
    TemplateReference,
    Undefined,
)

# What is in here is a field's name only where the data says so.
_DICT_ATTRIBUTES: Final = frozenset(dir(dict))
# What of these is no method and has no underscore is there for templates.
_OPEN: Final = frozenset({LoopContext, Namespace})


class MeteredContext(Context):
    """A template context that carries its render's meter."""

    meter: Meter

    def derived(self, locals: dict[str, Any] | None = None) -> "MeteredContext":  # noqa: A002 - Jinja's name
        # It copies them all.
        self.meter.spend(CALL + ELEMENT * len(self.blocks) + len(self.parent) + len(self.vars))
        context = super().derived(locals)
        assert isinstance(context, MeteredContext)  # noqa: S101 - made by the environment's context_class
        context.meter = self.meter
        return context


# What most steps of a template are about. None of it is lazy or Jinja's own, which is quicker to see by type.
_PLAIN: Final = frozenset({str, Markup, int, float, bool, type(None), list, tuple, dict})


def _is_jinjas(value: Any) -> bool:
    return type(value) not in _PLAIN and (callable(value) or isinstance(value, _OF_JINJA))


# Of two numbers up to here, +, -, * and the rest make none of many digits.
_SMALL: Final = 1 << 64


def _is_small(value: Any) -> bool:
    """A number of which no operator but a power makes one worth weighing."""
    return type(value) is float or (type(value) is int and -_SMALL < value < _SMALL)


# The hooks, which `engine.templating.template_code` writes into a template's code.


def escaped(meter: Meter, value: Any) -> str:
    """What `{{ }}` writes into HTML: a JSON null writes nothing, because nobody means "Hello None".

    What is paid is what comes out, because it is held, and escaping makes five characters of one.
    """
    # Most of what emails say. `escape` makes a Markup of it, which takes ten times the escaping.
    if type(value) is str and len(value) <= MAX_VALUE:
        text = _escape_inner(value)
        meter.left = left = meter.left - OPERATION - len(text)
        if left < 0:
            meter.spend(0)
        return text
    weight = weigh(value)
    text = "" if value is None else escape(value)
    meter.spend(OPERATION + max(weight, len(text)))
    return text


def written(meter: Meter, value: Any) -> str:
    """The same where nothing is escaped."""
    if type(value) is str and len(value) <= MAX_VALUE:
        meter.left = left = meter.left - OPERATION - len(value)
        if left < 0:
            meter.spend(0)
        return value
    weight = weigh(value)
    text = "" if value is None else str(value)
    meter.spend(OPERATION + max(weight, len(text)))
    return text


def kept(meter: Meter, result: Any) -> Any:
    """A result, paid for; lazy ones are gone through now, so that what they take is paid once and in time."""
    if type(result) in _PLAIN:
        meter.spend(weigh(result))
        return result
    if isinstance(result, Iterator | KeysView | ValuesView | ItemsView):
        # Of more than this, no list is let through.
        result = list(islice(result, MAX_VALUE // ELEMENT))
    if not _is_jinjas(result):
        meter.spend(weigh(result))
    return result


def compared(meter: Meter, value: Any) -> Any:
    meter.spend(ELEMENT if _is_jinjas(value) else ELEMENT + weigh(value))
    return value


def joined(context: MeteredContext, parts: tuple[Any, ...]) -> Any:
    context.meter.spend(weigh(parts))
    parts = tuple("" if part is None else part for part in parts)
    join = jinja2.runtime.markup_join if context.eval_ctx.autoescape else jinja2.runtime.str_join
    return kept(context.meter, join(parts))


def each(meter: Meter, value: Any, price: int) -> Any:
    """What a loop goes through, paid for in advance; `price` is that of the text and steps of a round."""
    if not isinstance(value, str | dict | list | tuple | range):
        value = list(value)
    meter.spend(len(value) * (OPERATION + price))
    return value


def _metered(name: str, do: Any, *, instant: bool) -> Callable[..., Any]:
    """A filter or test that pays. It is no longer folded into a constant, which no meter would see."""
    passes = _PassArg.from_obj(do)
    by_size = is_by_size(name)

    @pass_context
    def looks(context: MeteredContext, value: Any, *args: Any, **kwargs: Any) -> Any:
        context.meter.spend(OPERATION)
        return do(*_passed(passes, context), value, *args, **kwargs)

    @pass_context
    def works(context: MeteredContext, value: Any, *args: Any, **kwargs: Any) -> Any:
        meter = context.meter
        if by_size and not args and not kwargs:
            meter.spend(OPERATION + weigh(value))
        else:
            meter.spend(OPERATION)
            meter.spend(foresee_filter(name, value, [*args, *kwargs.values()]))
        if passes is None:
            return kept(meter, do(value, *args, **kwargs))
        return kept(meter, do(*_passed(passes, context), value, *args, **kwargs))

    return looks if instant else works


@pass_context
def _default(context: MeteredContext, value: Any, default_value: Any = "", boolean: bool = False) -> Any:  # noqa: FBT001, FBT002 - Jinja's signature
    """Jinja's filter of this name, of which templates are full."""
    context.meter.spend(OPERATION)
    if isinstance(value, Undefined) or (boolean and not value):
        return default_value
    return value


def _passed(passes: _PassArg | None, context: MeteredContext) -> tuple[Any, ...]:
    if passes is _PassArg.context:
        return (context,)
    if passes is _PassArg.eval_context:
        return (context.eval_ctx,)
    return (context.environment,) if passes is _PassArg.environment else ()


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Where templates are compiled: no loader, strict about undefined names, a meter on everything."""

    code_generator_class = MeteringGenerator
    context_class = MeteredContext
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, *, autoescape: bool) -> None:
        # Without Jinja's optimizer: it folds constants, of which little is left here, for a sixth of the time
        # that compiling takes, and the first email of every template waits for that.
        super().__init__(autoescape=autoescape, undefined=StrictUndefined, optimized=False)
        self.globals = dict(GLOBALS)
        self.filters = {
            name: _metered(name, do, instant=name in _INSTANT_FILTERS) for name, do in _FILTERS.items()
        }
        self.filters |= {"default": _default, "d": _default}
        self.tests = {name: _metered(name, do, instant=name in _INSTANT_TESTS) for name, do in TESTS.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return OneFileParser(self, source, name, filename).parse()

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = tokens_of(source) if state is None else None
        if tokens is None:
            return super()._tokenize(source, name, filename, state)
        return TokenStream(tokens, name, filename)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`order.items` is the caller's field where there is one, and only then the method of that name."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
            if attribute not in _DICT_ATTRIBUTES:
                return self.undefined(obj=obj, name=attribute)
        elif type(obj) in _OPEN and not attribute.startswith("_"):
            value = getattr(obj, attribute, None)
            if value is not None and not callable(value):
                return value
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, names in _METHODS:
            if isinstance(obj, kind):
                return attr in names
        return isinstance(obj, _OF_JINJA) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, MeteredContext)  # noqa: S101 - context_class above
        meter = context.meter
        # Palettes are mixed in templates, number by number.
        if operator != "**" and _is_small(left) and _is_small(right):
            meter.spend(OPERATION + 3 * ELEMENT)
            return super().call_binop(context, operator, left, right)
        meter.spend(OPERATION + weigh(left) + weigh(right))
        foresee_operator(operator, left, right)
        return kept(meter, super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        assert isinstance(context, MeteredContext)  # noqa: S101 - context_class above
        meter = context.meter
        arguments = [*args, *kwargs.values()] if kwargs else args
        cost = CALL
        for one in arguments:
            cost += 0 if _is_jinjas(one) else weigh(one)
        meter.spend(cost)
        meter.spend(foresee_method(obj, arguments))
        return kept(meter, super().call(context, obj, *args, **kwargs))
