"""The server's own code for the Pythons before ours: a deployment runs in the Python its environment names, 3.8 or newer."""

from __future__ import annotations

import ast
from collections.abc import Sequence

OURS = (3, 11)
OLDEST = (3, 8)
STAND_INS = "tidemill.base.older"
NAME = "_older"
MODULES = {
    ("asyncio", "timeout"),
    ("asyncio", "to_thread"),
    ("asyncio", "Semaphore"),
    ("hashlib", "file_digest"),
    ("functools", "cache"),
}
NAMES = {"StrEnum", "UTC", "ParamSpec", "dataclass_transform"}
GENERIC = {"dict", "list", "tuple", "set", "frozenset", "type", "deque", "NDArray"}
GENERIC |= {"Mapping", "Sequence", "Callable", "Iterable", "Iterator", "Awaitable"}
METHODS = {"removeprefix", "removesuffix", "is_relative_to"}
KEYWORDS = {"dataclass": {"slots", "kw_only"}, "zip": {"strict"}, "TypeVar": {"bound"}}


def translate(source: str) -> str:
    """A module of ours such that Python 3.8 runs it alike: what came later is replaced by stand-ins."""
    tree = _Older().visit(ast.parse(source))
    at = next((i + 1 for i, node in enumerate(tree.body) if _is_future(node)), None)
    if at is None:
        at = 1 if ast.get_docstring(tree) is not None else 0
    if any(isinstance(n, ast.Name) and n.id == NAME for n in ast.walk(tree)):
        tree.body.insert(at, ast.parse(f"import {STAND_INS} as {NAME}").body[0])
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


class _Older(ast.NodeTransformer):
    """One visit per kind of thing that older Pythons do not have. Annotations stay: they are text there."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        names = {alias.name for alias in node.names}
        if not names & NAMES or node.level:
            return node
        found = [ast.ImportFrom(STAND_INS, [a for a in node.names if a.name in NAMES], 0)]
        if rest := [a for a in node.names if a.name not in NAMES]:
            found.append(ast.ImportFrom(node.module, rest, 0))
        return found  # type: ignore[return-value] # a list is what takes several places

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and (node.value.id, node.attr) in MODULES:
            return _stand_in(node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return ast.Call(_stand_in(node.func.attr), [node.func.value, *node.args], [])
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        dropped = KEYWORDS.get(called, set())
        node.keywords = [k for k in node.keywords if k.arg not in dropped]
        if called == "suppress":
            node.args = _with_timeouts(node.args)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.type, ast.Tuple):
            node.type.elts = _with_timeouts(node.type.elts)
        elif _is_timeout(node.type):
            node.type = _stand_in("TIMEOUTS")
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return _either(node.left, node.right) if isinstance(node.op, ast.BitOr) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.BitOr):
            return node
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.Assign([node.target], _either(read, node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [b.value if isinstance(b, ast.Subscript) else b for b in node.bases]
        return self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        for item in node.body:
            if isinstance(item, ast.Assign) and _is_type(item.targets, item.value):
                item.value = ast.parse("__import__('typing').Any", mode="eval").body
        return self.generic_visit(node)


def _is_type(targets: Sequence[ast.expr], value: ast.expr) -> bool:
    """Whether this gives a type a name, as `Rows = list[dict[str, int]]`, which is of use to type checkers alone."""
    if isinstance(value, ast.Subscript):
        return ast.unparse(value.value).rpartition(".")[2] in GENERIC
    name = targets[0].id if isinstance(targets[0], ast.Name) else ""
    return isinstance(value, ast.BinOp) and name[:1].isupper() and not name.isupper()


def _stand_in(name: str) -> ast.expr:
    return ast.Attribute(ast.Name(NAME, ast.Load()), name, ast.Load())


def _either(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.Call(_stand_in("either"), [left, right], [])


def _is_timeout(expression: ast.expr | None) -> bool:
    return isinstance(expression, ast.Name) and expression.id == "TimeoutError"


def _with_timeouts(caught: Sequence[ast.expr]) -> list[ast.expr]:
    """What is caught, where the time-outs of asyncio, futures and sockets are errors of their own."""
    return [ast.Starred(_stand_in("TIMEOUTS"), ast.Load()) if _is_timeout(e) else e for e in caught]
