"""Labels read out of paths: the folder an input is mounted at says where the job ran, not what is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile, parse_quietly

LABEL = re.compile(r"(?:.*_)?(?:labels?|class(?:es|_names?|_ids?)?|cls|digits?|categor(?:y|ies))\Z", re.IGNORECASE)
FOLDER = re.compile(r"(?:^|_)(?:folders?|dirs?|director(?:y|ies)|data|datasets?|mounts?|inputs?|images)(?:_|$|\d)")
LISTS = re.compile(r"\blistdir\(|\bscandir\(|\biterdir\(|glob\(|\bos\.walk\(")
WORTH = re.compile(r"label|class|cls|digit|categor", re.IGNORECASE)
FILE = re.compile(r"file|path|name|img|image", re.IGNORECASE)
DIGITS = re.compile(r"\\d|\[0-9\]|\[1-9\]")
SEPARATORS = {"/", "\\", "os.sep", "os.path.sep", "sep"}
Functions = ast.FunctionDef | ast.AsyncFunctionDef


def lint_labels(file: LintFile) -> Iterator[Finding]:
    """A script that lists folders and takes a label from the mount itself, or from the start of a file name."""
    if not LISTS.search(file.text) or not WORTH.search(file.text):
        return
    try:
        tree = parse_quietly(file.text)
        mounts = _mounts(tree) if "parse_" in file.text else set()
        starts = _starts(file.text)
        for value in _labelled(tree):
            place = starts[value.lineno - 1] + value.col_offset
            mount = _from_mount(value, mounts)
            if mount:
                yield file.finding("TM-X26", f"The label is read from `{mount}`, the path of a whole input", place)
            elif _from_name(value):
                yield file.finding("TM-X27", "The label is the first part of a file's name", place)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # its own tools say so


def _starts(text: str) -> list[int]:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _labelled(tree: ast.AST) -> Iterator[ast.expr]:
    """Values that become labels: assigned to a name that says so, or appended to such a list."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if LABEL.match(name):
                yield value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if LABEL.match(name):
                yield value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value]) if LABEL.match(
                name
            ):
                yield value


def _mounts(tree: ast.AST) -> set[str]:
    """What holds the path of an input: `args.data`, a name it was given, and the items of a list of such."""
    parsed = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_parse(node.value)
        for target in _names(node.targets[0])
    }
    found = {
        _dotted(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in parsed
        and FOLDER.search(node.attr)
    }
    for _ in range(2):  # a name of a name
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if _dotted(value) in found:
                    found.add(name)
                case ast.For(target=target, iter=items) | ast.comprehension(target=target, iter=items):
                    found |= _items(target, items, found)
    return found


def _dotted(node: ast.AST) -> str:
    """`name` or `args.name`; empty for whatever is longer."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_parse(value: ast.expr) -> bool:
    called = value.func if isinstance(value, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in {"parse_args", "parse_known_args"}


def _names(target: ast.expr) -> Iterator[ast.Name]:
    parts = target.elts[:1] if isinstance(target, ast.Tuple) else [target]
    return (p for p in parts if isinstance(p, ast.Name))


def _items(target: ast.expr, items: ast.expr, found: set[str]) -> set[str]:
    """The loop's own name for each of several inputs; a listing's items are files below, not inputs."""
    if _calls(items, "enumerate"):
        items = items.args[0]
        target = target.elts[-1] if isinstance(target, ast.Tuple) else target
    return {target.id} if isinstance(target, ast.Name) and _dotted(items) in found else set()


def _calls(node: ast.AST, name: str) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) == name


def _from_mount(value: ast.expr, mounts: set[str]) -> str:
    """The mount whose path is taken apart for the label."""
    if LISTS.search(ast.unparse(value)):
        return ""
    for node in ast.walk(value):
        for source in _sources(node):
            name = next((_dotted(n) for n in ast.walk(source) if _dotted(n) in mounts), "")
            if name:
                return name
    return ""


def _sources(node: ast.AST) -> Iterator[ast.AST]:
    """What a path's part, or its digits, is taken from."""
    match node:
        case ast.Call(func=ast.Attribute(attr="findall" | "search" | "match" | "sub"), args=[pattern, *_, text]):
            if isinstance(pattern, ast.Constant) and DIGITS.search(str(pattern.value)):
                yield text
        case ast.Call(func=ast.Name(id="filter"), args=[ast.Attribute(attr="isdigit"), text]):
            yield text
        case ast.comprehension(iter=text, ifs=[ast.Call(func=ast.Attribute(attr="isdigit"))]):
            yield text
        case ast.Call(func=ast.Attribute(attr="basename"), args=[text]) | ast.Attribute(value=text, attr="name"):
            yield text
        case ast.Subscript(value=ast.Call(func=ast.Attribute(value=text, attr="split" | "rsplit"), args=[by, *_])):
            if _is_separator(by):
                yield text


def _is_separator(node: ast.expr) -> bool:
    word = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
    return word in SEPARATORS


def _from_name(value: ast.expr) -> bool:
    """`name.split("_")[0]`, where the name is a file's."""
    for node in ast.walk(value):
        match node:
            case ast.Subscript(
                value=ast.Call(func=ast.Attribute(value=owner, attr="split"), args=[ast.Constant(value="_" | "-"), *_]),
                slice=ast.Constant(value=0),
            ):
                return FILE.search(ast.unparse(owner)) is not None
    return False
