"""The Jinja environment that templates run in: nothing but data can be reached, and no render can run away.

Jinja's own sandbox keeps code from escaping; it does not keep a render from taking all time or memory. So
every render has a budget, and everything that can grow or repeat pays from it before or right after the fact:
loops by what they will go through, operators, filters, tests and calls by the size of what goes in and comes
out. Whatever is multiplied (`*`, `**`, `replace`, `center`, format widths, …) is foreseen before it is done.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import Any, Final, NoReturn

import jinja2.runtime
from jinja2 import StrictUndefined, TemplateAssertionError, Undefined, nodes, pass_context
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Cycler, Joiner, Namespace, _PassArg
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from engine.domain.metering import (
    CALL,
    ELEMENT,
    OPERATION,
    Meter,
    foresee_filter,
    foresee_method,
    foresee_operator,
    weigh,
)

# `random` is out because a redelivered request must render the same email; `pprint` and `lipsum` are not for
# emails.
_FILTERS: Final = {name: do for name, do in FILTERS.items() if name not in {"random", "pprint"}}
_GLOBALS: Final = {name: do for name, do in DEFAULT_NAMESPACE.items() if name != "lipsum"}
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


class MeteredContext(Context):
    """A template context that carries its render's meter."""

    meter: Meter

    def derived(self, locals: dict[str, Any] | None = None) -> "MeteredContext":  # noqa: A002 - Jinja's name
        context = super().derived(locals)
        assert isinstance(context, MeteredContext)  # noqa: S101 - made by the environment's context_class
        context.meter = self.meter
        return context


# What most steps of a template are about. None of it is lazy or Jinja's own, which is quicker to see by type.
_ATOMS: Final = frozenset({str, Markup, int, float, bool, type(None)})


def _is_jinjas(value: Any) -> bool:
    return type(value) not in _ATOMS and (callable(value) or isinstance(value, _OF_JINJA))


def _settled(context: MeteredContext, result: Any) -> Any:
    """A result, paid for; lazy ones are gone through now, so that what they take is paid once and in time."""
    if type(result) in _ATOMS:
        context.meter.spend(weigh(result))
        return result
    if isinstance(result, Iterator | KeysView | ValuesView | ItemsView):
        result = list(result)
    if not _is_jinjas(result):
        context.meter.spend(weigh(result))
    return result


def _metered(name: str, do: Any, *, instant: bool) -> Callable[..., Any]:
    """A filter or test that pays. It is no longer folded into a constant, which no meter would see."""
    passes = _PassArg.from_obj(do)

    @pass_context
    def metered(context: MeteredContext, value: Any, *args: Any, **kwargs: Any) -> Any:
        context.meter.spend(OPERATION)
        if not instant:
            context.meter.spend(foresee_filter(name, value, [*args, *kwargs.values()]))
        result = do(*_passed(passes, context), value, *args, **kwargs)
        return result if instant else _settled(context, result)

    return metered


def _passed(passes: _PassArg | None, context: MeteredContext) -> tuple[Any, ...]:
    if passes is _PassArg.context:
        return (context,)
    if passes is _PassArg.eval_context:
        return (context.eval_ctx,)
    return (context.environment,) if passes is _PassArg.environment else ()


@pass_context
def _written(context: MeteredContext, value: Any) -> Any:
    """What `{{ }}` writes: a JSON null writes nothing, because nobody means "Hello None"."""
    context.meter.spend(OPERATION + weigh(value))
    return "" if value is None else value


@pass_context
def _kept(context: MeteredContext, value: Any) -> Any:
    return _settled(context, value)


@pass_context
def _compared(context: MeteredContext, value: Any) -> Any:
    context.meter.spend(ELEMENT if _is_jinjas(value) else ELEMENT + weigh(value))
    return value


@pass_context
def _joined(context: MeteredContext, parts: tuple[Any, ...]) -> Any:
    context.meter.spend(weigh(parts))
    parts = tuple("" if part is None else part for part in parts)
    join = jinja2.runtime.markup_join if context.eval_ctx.autoescape else jinja2.runtime.str_join
    return _settled(context, join(parts))


@pass_context
def _each(context: MeteredContext, value: Any, body: int) -> Any:
    """What a loop goes through, paid for in advance; `body` is the text that every round writes."""
    if not isinstance(value, str | dict | list | tuple | range):
        value = list(value)
    context.meter.spend(len(value) * (OPERATION + body))
    return value


# Names with a space, so that no template can call them and no filter of its own can take their place.
_HOOKS: Final = {"is kept": _kept, "is compared": _compared, "is joined": _joined, "for each": _each}


class _Metering(NodeTransformer):
    """Puts the hooks where Jinja has none, and refuses what a template of one file can't have."""

    def __init__(self, environment: jinja2.Environment, filename: str | None) -> None:
        self._environment = environment
        self._filename = filename

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's naming
        if node.recursive:
            self._refuse(node, "recursive loops are not supported; use a macro that calls itself")
        written = sum(len(data.data) for data in _texts(node.body))
        self.generic_visit(node)
        node.iter = self._hook("for each", node.iter, nodes.Const(written))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return self._hook("is joined", nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.expr = self._hook("is compared", node.expr)
        for operand in node.ops:
            operand.expr = self._hook("is compared", operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return self._hook("is kept", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return self._hook("is kept", node)

    visit_Dict = visit_List  # noqa: N815 - as above

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        return self._hook("is kept", node) if node.ctx == "load" else node

    def visit_Include(self, node: nodes.Node) -> NoReturn:  # noqa: N802 - as above
        self._refuse(node, f"{type(node).__name__.lower()} is not supported: a template is one file")

    visit_Import = visit_FromImport = visit_Extends = visit_Include  # noqa: N815 - as above

    def _hook(self, name: str, node: Any, *arguments: nodes.Expr) -> nodes.Filter:
        hooked = nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)
        hooked.set_environment(self._environment)
        return hooked

    def _refuse(self, node: nodes.Node, complaint: str) -> NoReturn:
        raise TemplateAssertionError(complaint, node.lineno, self._filename, self._filename)


def _texts(body: list[nodes.Node]) -> Iterator[nodes.TemplateData]:
    """The literal text of a loop's body, without that of loops inside, which pay themselves."""
    for node in body:
        if isinstance(node, nodes.TemplateData):
            yield node
        elif not isinstance(node, nodes.For):
            yield from _texts(list(node.iter_child_nodes()))


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Where templates are compiled: no loader, strict about undefined names, a meter on everything."""

    context_class = MeteredContext
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, *, autoescape: bool) -> None:
        # Without Jinja's optimizer: it folds constants, of which little is left here, for a sixth of the time
        # that compiling takes, and the first email of every template waits for that.
        super().__init__(autoescape=autoescape, undefined=StrictUndefined, finalize=_written, optimized=False)
        self.globals = {**_GLOBALS, "range": self.globals["range"]}
        self.filters = {
            name: _metered(name, do, instant=name in _INSTANT_FILTERS) for name, do in _FILTERS.items()
        }
        self.filters |= _HOOKS
        self.tests = {name: _metered(name, do, instant=name in _INSTANT_TESTS) for name, do in TESTS.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Metering(self, filename).visit(tree)
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`order.items` is the caller's field where there is one, and only then the method of that name."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, names in _METHODS:
            if isinstance(obj, kind):
                return attr in names
        return isinstance(obj, _OF_JINJA) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        assert isinstance(context, MeteredContext)  # noqa: S101 - context_class above
        context.meter.spend(OPERATION + weigh(left) + weigh(right))
        foresee_operator(operator, left, right)
        return _settled(context, super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        assert isinstance(context, MeteredContext)  # noqa: S101 - context_class above
        # The compiler hands on a loop's or block's own variables in two arguments of its own.
        named = (one for name, one in kwargs.items() if name not in {"_loop_vars", "_block_vars"})
        arguments = [*args, *named]
        context.meter.spend(CALL + sum(weigh(one) for one in arguments if not _is_jinjas(one)))
        context.meter.spend(foresee_method(obj, arguments))
        return _settled(context, super().call(context, obj, *args, **kwargs))
