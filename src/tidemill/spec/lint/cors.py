"""Servers that let any web page act as their user: the ways of saying so that are not a plain list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile, parse_quietly

WORTH = re.compile(r"supports_credentials|allow_credentials")
EVERYTHING = {".*", "^.*$", ".+", "^.+$", "https?://.*"}
MESSAGE = "Any web page may call this with the user's credentials"


def lint_cors(file: LintFile) -> Iterator[Finding]:
    """Flask's `CORS(app, supports_credentials=True)`, whose origins are everybody, and patterns that match all."""
    if not WORTH.search(file.text):
        return
    try:
        tree = parse_quietly(file.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = file.text.splitlines(keepends=True)
    lists = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_open(node, lists):
            yield file.finding("TM-X47", MESSAGE, sum(map(len, lines[: node.lineno - 1])) + node.col_offset)


def _is_open(call: ast.Call, lists: dict[str, ast.List]) -> bool:
    words = {k.arg: k.value for k in call.keywords}
    if None in words:
        return False  # what `**settings` holds is not seen here
    if _is_true(words.get("supports_credentials")) and getattr(call.func, "id", "") == "CORS":
        if "resources" in words:
            return _opens_a_resource(words["resources"])
        return "origins" not in words or _is_everybody(words["origins"], lists)
    if not _is_true(words.get("allow_credentials")):
        return False
    pattern, origins = words.get("allow_origin_regex"), words.get("allow_origins")
    named = isinstance(origins, ast.Name) and _is_everybody(origins, lists)
    return named or (isinstance(pattern, ast.Constant) and pattern.value in EVERYTHING)


def _opens_a_resource(resources: ast.expr) -> bool:
    rules = resources.values if isinstance(resources, ast.Dict) else []
    return any(
        isinstance(key, ast.Constant) and key.value == "origins" and _is_everybody(value, {})
        for rule in rules
        if isinstance(rule, ast.Dict)
        for key, value in zip(rule.keys, rule.values, strict=True)
    )


def _is_everybody(node: ast.expr, lists: dict[str, ast.List]) -> bool:
    node = lists.get(node.id, node) if isinstance(node, ast.Name) else node
    entries = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return any(isinstance(e, ast.Constant) and e.value == "*" for e in entries)


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
