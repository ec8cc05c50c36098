"""The Python that a template becomes: Jinja's, with every step that can grow or repeat paid for where it is.

Rendering is most of an email's time on the CPU, so the code says each thing once: a name that nobody gave is
an `Undefined` from the start and needs no check where it stands, a filter is bound when the module is made,
and what only templates of several files need is not there.

`<p>{{ name | upper }}</p>` becomes, besides what is imported:

    def root(context, missing=missing, environment=environment):
        resolve, meter = context.resolve, context.meter
        if 0: yield None
        l_0_name = resolve('name')
        yield concat((
            '<p>',
            escaped(meter, t_1(context, l_0_name)),
            '</p>',
        ))
    t_1 = environment.filters['upper']

To see what any template becomes, print `environment.compile(source, raw=True)`. Methods here either replace
those of `jinja2.compiler.CodeGenerator`, which is the text to compare them with when Jinja changes, or wrap
them; statements that are not here (`if`, `with`, `set` with a body, `call`, `filter`, the place of a block)
are Jinja's own.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from jinja2 import TemplateAssertionError, nodes
from jinja2.compiler import CodeGenerator, Frame, MacroRef, find_undeclared, operators
from jinja2.idtracking import VAR_LOAD_RESOLVE
from jinja2.nodes import EvalContext
from jinja2.parser import Parser

from engine.templating.metering import OPERATION

# What a step inside a loop, macro or block costs that has no other price, in the units of the meter; to look
# something up can take ten times as long as the rest.
_STEP: Final = 2
_LOOK_UP: Final = 16
# Text and numbers up to here weigh nothing beside the step that they are part of.
_SHORT: Final = 64
# Names that start without `l_` or `t_` can't be a template's.
_PREAMBLE: Final = (
    "from jinja2.runtime import LoopContext, Macro, Markup, Namespace, TemplateReference, identity, missing",
    "from jinja2.runtime import TemplateRuntimeError, Undefined as cond_expr_undefined, internalcode",
    "from engine.templating.environment import compared, each, escaped, joined, kept, written",
    "undefined = environment.undefined",
    "concat = environment.concat",
)


class OneFileParser(Parser):
    """Refuses what a template of one file can't have, and what no meter could follow."""

    def parse(self) -> nodes.Template:
        tree = nodes.Template(self.subparse(), lineno=1)
        # Jinja tells every node, which takes longer than it sounds; only its optimizer asks them.
        tree.environment = self.environment
        return tree

    def parse_for(self) -> nodes.For:
        node = super().parse_for()
        if node.recursive:
            complaint = "recursive loops are not supported; use a macro that calls itself"
            self.fail(complaint, node.lineno, TemplateAssertionError)
        return node

    def parse_include(self) -> NoReturn:
        self._refuse(super().parse_include())

    def parse_import(self) -> NoReturn:
        self._refuse(super().parse_import())

    def parse_from(self) -> NoReturn:
        self._refuse(super().parse_from())

    def parse_extends(self) -> NoReturn:
        self._refuse(super().parse_extends())

    def _refuse(self, node: nodes.Node) -> NoReturn:
        name = type(node).__name__.lower()
        self.fail(f"{name} is not supported: a template is one file", node.lineno, TemplateAssertionError)


class MeteringGenerator(CodeGenerator):
    """Writes the hooks of `templating.environment` into the code; methods are named by Jinja's nodes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # All names in the template, which spares most of them the search for one that is special.
        self._mentioned: set[str] = set()
        # Inside a list and so on that is weighed as a whole.
        self._in_literal = False
        # What a macro has to pay and Jinja leaves no room to write until its buffer is made.
        self._price_due = 0

    # -- The whole

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's
        assert frame is None  # noqa: S101 - a template is in no other
        kinds, self._mentioned = _survey(node)
        if nodes.Block in kinds:
            self._register_blocks(node)
        for line in _PREAMBLE:
            self.writeline(line)
        self.writeline(f"name = {self.name!r}")
        eval_ctx = EvalContext(self.environment, self.name)
        root = Frame(eval_ctx)
        root.toplevel = root.rootlevel = True
        self._function("root", node, root)
        for name, block in self.blocks.items():
            block_frame = Frame(eval_ctx)
            block_frame.block_frame = True
            block_frame.block = name
            self._function(f"block_{name}", block, block_frame)
        self._bind("filters", self.filters, self.environment.filters)
        self._bind("tests", self.tests, self.environment.tests)
        self.writeline(f"blocks = {{{', '.join(f'{name!r}: block_{name}' for name in self.blocks)}}}")
        self.writeline(f"debug_info = {'&'.join(f'{line}={at}' for line, at in self.debug_info)!r}")

    def _register_blocks(self, node: nodes.Template) -> None:
        for block in node.find_all(nodes.Block):
            if block.name in self.blocks:
                self.fail(f"block {block.name!r} defined twice", block.lineno)
            self.blocks[block.name] = block

    def _function(self, name: str, node: nodes.Template | nodes.Block, frame: Frame) -> None:
        block = node if isinstance(node, nodes.Block) else None
        self.writeline(f"def {name}(context, missing=missing, environment=environment):", block, 1)
        self.indent()
        self.writeline("resolve, meter = context.resolve, context.meter")
        self.writeline("if 0: yield None")
        special = ("self",) if block is None else ("self", "super")
        undeclared = find_undeclared(node.body, special) if self._mentioned.intersection(special) else set()
        if "self" in undeclared:
            self.writeline(f"{frame.symbols.declare_parameter('self')} = TemplateReference(context)")
        if block is not None:
            self.writeline(f"meter.spend({OPERATION + _price(node.body, text=1)})")
            if "super" in undeclared:
                ref = frame.symbols.declare_parameter("super")
                self.writeline(f"{ref} = context.super({block.name!r}, {name})")
        frame.symbols.analyze_node(node)
        self.enter_frame(frame)
        self.blockvisit(node.body, frame)
        self.outdent()

    def _bind(self, kind: str, used: dict[str, str], known: Any) -> None:
        for name, identifier in used.items():
            if name in known:
                self.writeline(f"{identifier} = environment.{kind}[{name!r}]")
                continue
            # Inside an `if` it is an error only when it is reached.
            self.writeline("@internalcode")
            self.writeline(f"def {identifier}(*unused):")
            self.indent()
            complaint = f"No {kind[:-1]} named {name!r} found."
            self.writeline(f"raise TemplateRuntimeError({complaint!r})")
            self.outdent()

    # -- Statements

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802 - as above
        # Every value passes one of these two hooks; only the template's own text doesn't. Volatile is the
        # inside of `{% autoescape variable %}`, where no one knows before it renders.
        if frame.eval_ctx.volatile:
            write = "(escaped if context.eval_ctx.autoescape else written)(meter, "
        else:
            write = "escaped(meter, " if frame.eval_ctx.autoescape else "written(meter, "
        single = len(node.nodes) == 1
        start, end = ("yield ", "") if frame.buffer is None else (f"{frame.buffer}.append(", ")")
        if not single:
            # One piece instead of several: each takes its way through the frames and the count of the size.
            self.writeline(f"{start}concat((")
            start, end = "", ","
            self.indent()
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                self.writeline(f"{start}{child.data!r}{end}")
            else:
                self.writeline(start + write, child)
                self.visit(child, frame)
                self.write(")" + end)
        if not single:
            self.outdent()
            self.writeline("))" if frame.buffer is None else ")))")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - as above
        if "loop" in self._mentioned:
            self._refuse_stored_loop(node)
        loop_frame, else_frame = frame.inner(), frame.inner()
        loop_frame.loop_frame = True
        extended = self._is_extended(node)
        loop = loop_frame.symbols.declare_parameter("loop") if extended else ""
        loop_frame.symbols.analyze_node(node, for_branch="body")
        wanted = self._loop_test(node.test, node, frame, loop_frame) if node.test else ""
        if extended:
            self.writeline(f"{loop} = missing")
        nothing = self.temporary_identifier() if node.else_ else ""
        if nothing:
            self.writeline(f"{nothing} = 1")
        self.writeline("for ", node)
        self.visit(node.target, loop_frame)
        self.write(f", {loop} in LoopContext(" if extended else " in ")
        self.write(f"{wanted}(each(meter, " if wanted else "each(meter, ")
        self.visit(node.iter, frame)
        repeated = [node.target, *node.body, *([node.test] if node.test else [])]
        self.write(f", {_price(repeated, text=1)})")
        self.write(f"{')' if wanted else ''}{', undefined)' if extended else ''}:")
        self.indent()
        self.enter_frame(loop_frame)
        self.blockvisit(node.body, loop_frame)
        if nothing:
            self.writeline(f"{nothing} = 0")
        self.outdent()
        self.leave_frame(loop_frame)
        if nothing:
            else_frame.symbols.analyze_node(node, for_branch="else")
            self.writeline(f"if {nothing}:")
            self.indent()
            self.enter_frame(else_frame)
            self.blockvisit(node.else_, else_frame)
            self.leave_frame(else_frame)
            self.outdent()
        if self._assign_stack:
            self._assign_stack[-1].difference_update(loop_frame.symbols.stores)

    def _is_extended(self, node: nodes.For) -> bool:
        """Whether something in the loop's body may ask for `loop`."""
        if "loop" in self._mentioned and find_undeclared(node.body, ("loop",)):
            return True
        return bool(self.blocks) and any(block.scoped for block in node.find_all(nodes.Block))

    def _refuse_stored_loop(self, node: nodes.For) -> None:
        for name in node.find_all(nodes.Name):
            if name.ctx == "store" and name.name == "loop":
                self.fail("Can't assign to special loop variable in for-loop target", name.lineno)

    def _loop_test(self, test: nodes.Node, node: nodes.For, frame: Frame, loop_frame: Frame) -> str:
        """The function that leaves out what a loop's `if` doesn't want.

        Its target is written in the loop's frame, as are Jinja's, so that both have the same names.
        """
        name = self.temporary_identifier()
        test_frame = frame.inner()
        test_frame.symbols.analyze_node(node, for_branch="test")
        self.writeline(f"def {name}(fiter):", test)
        self.indent()
        self.enter_frame(test_frame)
        self.writeline("for ")
        self.visit(node.target, loop_frame)
        self.write(" in fiter:")
        self.indent()
        self.writeline("if ", test)
        self.visit(test, test_frame)
        self.write(":")
        self.indent()
        self.writeline("yield ")
        self.visit(node.target, loop_frame)
        self.outdent(3)
        return name

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:  # noqa: N802 - as above
        if not isinstance(node.target, nodes.Name):
            super().visit_Assign(node, frame)
            return
        self.push_assign_tracking()
        self.newline(node)
        self.visit(node.target, frame)
        self.write(" = ")
        self.visit(node.node, frame)
        self.pop_assign_tracking(frame)

    def pop_assign_tracking(self, frame: Frame) -> None:
        """Blocks alone see variables through the context; nothing that a template calls looks there.

        So `_loop_vars` and `_block_vars`, which Jinja keeps for functions that are passed the context, are
        left out here, in `visit_For` and in `visit_Call`: none of `GLOBALS` is such a function.
        """
        names = self._assign_stack.pop()
        if frame.toplevel and self.blocks:
            for name in sorted(names):
                self.writeline(f"context.vars[{name!r}] = {frame.symbols.ref(name)}")

    def macro_body(self, node: nodes.Macro | nodes.CallBlock, frame: Frame) -> tuple[Frame, MacroRef]:
        self._price_due = _price([*node.args, *node.defaults, *node.body]) + _LOOK_UP * len(node.args)
        return super().macro_body(node, frame)

    def buffer(self, frame: Frame) -> None:
        """Where output is held; in a macro, the first thing it does."""
        super().buffer(frame)
        if self._price_due:
            self.writeline(f"meter.spend({self._price_due})")
            self._price_due = 0

    # -- Expressions

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:  # noqa: N802 - as above
        if node.ctx == "load":
            ref = frame.symbols.ref(node.name)
            load = frame.symbols.find_load(ref)
            # Further in, a macro can outlive the frame of its names, which then are missing.
            # Python takes some letters for others, so that names beyond ASCII can share one variable.
            if load is not None and load[0] == VAR_LOAD_RESOLVE and ref.startswith("l_0_") and ref.isascii():
                self.write(ref)
                return
        super().visit_Name(node, frame)

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:  # noqa: N802 - as above
        self._open_step("filter", node, frame, self.filters, self.environment.filters)
        if node.node is not None:
            self._visit_apart(node.node, frame)
        elif frame.eval_ctx.volatile:
            self.write(f"(Markup if context.eval_ctx.autoescape else identity)(concat({frame.buffer}))")
        else:
            self.write(f"{'Markup' if frame.eval_ctx.autoescape else ''}(concat({frame.buffer}))")
        self._close_step(node, frame)

    def visit_Test(self, node: nodes.Test, frame: Frame) -> None:  # noqa: N802 - as above
        self._open_step("test", node, frame, self.tests, self.environment.tests)
        self._visit_apart(node.node, frame)
        self._close_step(node, frame)

    def _open_step(
        self, kind: str, node: nodes.Filter | nodes.Test, frame: Frame, used: dict[str, str], known: Any
    ) -> None:
        if node.name not in used:
            used[node.name] = self.temporary_identifier()
        if node.name not in known and not frame.soft_frame:
            self.fail(f"No {kind} named {node.name!r}.", node.lineno)
        self.write(f"{used[node.name]}(context, ")

    def _close_step(self, node: nodes.Filter | nodes.Test, frame: Frame) -> None:
        self._apart(self.signature, node, frame)
        self.write(")")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: FBT001, FBT002, N802 - Jinja's signature
        self.write("environment.call(context, ")
        self._visit_apart(node.node, frame)
        self._apart(self.signature, node, frame, {"caller": "caller"} if forward_caller else None)
        self.write(")")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802 - as above
        self.write("(")
        self._compared(node.expr, frame)
        for operand in node.ops:
            self.write(f" {operators[operand.op]} ")
            self._compared(operand.expr, frame)
        self.write(")")

    def _compared(self, node: nodes.Expr, frame: Frame) -> None:
        if _is_short(node):
            self._apart(self.visit, node, frame)
        else:
            self._hooked("compared(meter, ", node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - as above
        self.write("joined(context, (")
        for part in node.nodes:
            self._visit_apart(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - as above
        self.write("environment.getattr(")
        self._visit_apart(node.node, frame)
        self.write(f", {node.attr!r})")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802 - as above
        is_slice = isinstance(node.arg, nodes.Slice)
        self.write("kept(meter, " if is_slice else "environment.getitem(")
        self._visit_apart(node.node, frame)
        self.write("[" if is_slice else ", ")
        self._visit_apart(node.arg, frame)
        self.write("])" if is_slice else ")")

    # What these choose between, or only look at, a list around them may not get: it is weighed by itself.

    def visit_And(self, node: nodes.BinExpr, frame: Frame) -> None:  # noqa: N802 - as above
        self._apart(super().visit_And, node, frame)

    def visit_Or(self, node: nodes.BinExpr, frame: Frame) -> None:  # noqa: N802 - as above
        self._apart(super().visit_Or, node, frame)

    def visit_Not(self, node: nodes.UnaryExpr, frame: Frame) -> None:  # noqa: N802 - as above
        self._apart(super().visit_Not, node, frame)

    def visit_CondExpr(self, node: nodes.CondExpr, frame: Frame) -> None:  # noqa: N802 - as above
        self._apart(super().visit_CondExpr, node, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802 - as above
        self._literal(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802 - as above
        self._literal(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802 - as above
        if node.ctx == "load":
            self._literal(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _literal(self, visit: Callable[..., None], node: nodes.Expr, frame: Frame) -> None:
        """A list and so on in the template's text; what is inside another is weighed with that one."""
        if self._in_literal or _is_short(node):
            visit(node, frame)
            return
        self.write("kept(meter, ")
        self._in_literal = True
        visit(node, frame)
        self._in_literal = False
        self.write(")")

    def _hooked(self, opening: str, node: nodes.Node, frame: Frame) -> None:
        self.write(opening)
        self._visit_apart(node, frame)
        self.write(")")

    def _visit_apart(self, node: nodes.Node, frame: Frame) -> None:
        self._apart(self.visit, node, frame)

    def _apart(self, visit: Callable[..., Any], *arguments: Any) -> None:
        """Visit what is an operand of its own: lists in there are no part of one around it."""
        before, self._in_literal = self._in_literal, False
        visit(*arguments)
        self._in_literal = before


def _survey(tree: nodes.Template) -> tuple[set[type[nodes.Node]], set[str]]:
    """Which kinds of nodes a template has, and which names it mentions at all."""
    kinds: set[type[nodes.Node]] = set()
    names: set[str] = set()
    pending: list[nodes.Node] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Name):
            names.add(node.name)
        else:
            kinds.add(type(node))
            pending.extend(node.iter_child_nodes())
    return kinds, names


def _is_short(node: nodes.Node) -> bool:
    """A constant, or a list of them, that takes next to nothing to compare or keep."""
    if isinstance(node, nodes.List | nodes.Tuple):
        return len(node.items) <= _SHORT // 4 and all(
            isinstance(item, nodes.Const) and _is_short(item) for item in node.items
        )
    if not isinstance(node, nodes.Const):
        return False
    if isinstance(node.value, int):
        return node.value.bit_length() <= _SHORT
    return not isinstance(node.value, str) or len(node.value) <= _SHORT


def _price(body: Iterable[nodes.Node], *, text: int = 0) -> int:
    """What one pass through a body costs besides the hooks in it; `text` is the price of a literal character.

    Loops and blocks inside pay themselves.
    """
    price = 0
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.TemplateData):
            price += text * len(node.data)
        elif isinstance(node, nodes.For):
            pending += [node.iter, *node.else_]
        elif not isinstance(node, nodes.Block):
            price += _LOOK_UP if isinstance(node, nodes.Getattr | nodes.Getitem) else _STEP
            pending.extend(node.iter_child_nodes())
    return price
