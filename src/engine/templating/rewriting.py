"""Rewrite a parsed template, so that what Jinja leaves to plain Python passes the limits.

Those are loops and lists and calls: https://jinja.palletsprojects.com/en/stable/extensions/#ast
"""

from typing import Final

from jinja2 import TemplateAssertionError, nodes
from jinja2.visitor import NodeTransformer

# What a step of a template costs, in the budget's characters.
_STEP_COST: Final = 20


class LimitInserter(NodeTransformer):
    """Puts the limits into a parsed template, as filters whose names no template can write."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - here and below, named by Jinja's nodes
        if node.recursive:
            message = "recursive loops are not supported; use a macro that calls itself"
            raise TemplateAssertionError(message, node.lineno)
        cost = _cost(node)
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "count steps", cost)
        return node

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock | nodes.Block) -> nodes.Node:  # noqa: N802
        cost = nodes.Const(_cost(node), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filtered(cost, "charge call"), lineno=node.lineno))
        return node

    visit_CallBlock = visit_Block = visit_Macro  # noqa: N815

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """What a call unpacks, as in `f(*items)`, it goes through."""
        self.generic_visit(node)
        node.node = _filtered(node.node, "limit method")
        for unpacked in ("dyn_args", "dyn_kwargs"):
            if getattr(node, unpacked):
                setattr(node, unpacked, _filtered(getattr(node, unpacked), "check result"))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        """`order.items` is the caller's field where there is one, and only then the method of that name."""
        self.generic_visit(node)
        return nodes.Getitem(node.node, nodes.Const(node.attr), node.ctx, lineno=node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "check result") if isinstance(node.arg, nodes.Slice) else node

    def visit_Tuple(self, node: nodes.Tuple | nodes.List | nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        is_target = isinstance(node, nodes.Tuple) and node.ctx == "store"
        return node if is_target else _filtered(node, "check result")

    visit_List = visit_Dict = visit_Tuple  # noqa: N815

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802
        """Whatever is compared with it, or looked for in it, takes no longer than it is large."""
        self.generic_visit(node)
        if not isinstance(node.expr, nodes.Const):
            node.expr = _filtered(node.expr, "check result")
        return node

    def visit_Include(self, node: nodes.Stmt) -> nodes.Node:  # noqa: N802
        message = f"{type(node).__name__.lower()} is not supported: a template is one file"
        raise TemplateAssertionError(message, node.lineno)

    visit_Import = visit_FromImport = visit_Extends = visit_Include  # noqa: N815


def _cost(node: nodes.Node) -> int:
    """What going through a part of a template costs once: its steps, and its own text."""
    parts = node.find_all(nodes.Node)
    return sum(len(one.data) if isinstance(one, nodes.TemplateData) else _STEP_COST for one in parts)


def _filtered(node: nodes.Node, name: str, *args: int) -> nodes.Filter:
    return nodes.Filter(node, name, [nodes.Const(one) for one in args], [], None, None, lineno=node.lineno)
