"""Python scripts: what hides failures, is out of support, or must not run in production."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile, parse_quietly
from tidemill.spec.lint.learning import LOADS, SERVES, judge_learning
from tidemill.spec.lint.scripts import lint_skips

Judged = tuple[str, str]
APPS = {"app", "application", "server", "api", "flask_app"}
METHODS = {"get", "post", "put", "delete", "patch", "route"}
# Parsing is slow: only scripts with one of these words can hold a mistake known here.
WORTH = (
    *("azureml.core", "except:", "except Exception", "except BaseException", ".extractall(", "listdir(", "scandir("),
    *("iterdir(", "reload=", "debug=", "allow_origins", "optimizers.", "rmtree(", "@app.", "@router.", "@api."),
    *("output_", "activation_", "dense_", "softmax_", "sequential_", "predictions_", "validation_data=", "_flip="),
    *("RandomHorizontalFlip", "TFSMLayer", "safe_mode="),
)
JUDGED = (
    ast.Import,
    ast.ImportFrom,
    ast.ExceptHandler,
    ast.Call,
    ast.Subscript,
    ast.Assign,
    ast.AnnAssign,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)
DOWNLOADS = re.compile(r"\brequests\b|\burllib\b|\bhttpx\b|urlretrieve")
CHECKSUM = re.compile(r"hashlib|sha256|md5|digest|checksum")


def lint_python(file: LintFile) -> Iterator[Finding]:
    """Python scripts; what does not parse is left to its own tools."""
    if not any(w in file.text for w in WORTH) and not (SERVES.search(file.text) and LOADS.search(file.text)):
        yield from lint_skips(file)
        return
    try:
        tree = parse_quietly(file.text)
        nodes: list[ast.AST] = [node for node in ast.walk(tree) if isinstance(node, JUDGED)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    starts = [0]
    for line in file.text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    judged = [(node, found) for node in nodes for found in (*_judge(node, file.text), *judge_learning(node, file.text))]
    judged += _twice(nodes) + (_removed_first(nodes) if "rmtree(" in file.text else [])
    for node, (code, words) in judged:
        row = min(int(getattr(node, "lineno", 1)), len(starts) - 1)
        meant = isinstance(node, ast.ExceptHandler) and _is_explained(node, file.text, starts)
        offset = starts[row - 1] + getattr(node, "col_offset", 0)
        yield file.finding(code, words, offset, severity=Severity.INFO if meant else None)
    yield from lint_skips(file)


def _is_explained(node: ast.ExceptHandler, text: str, starts: list[int]) -> bool:
    """Whether a comment beside the handler says why nothing is done."""
    end = starts[min(node.end_lineno or node.lineno, len(starts) - 1)]
    return "#" in text[starts[node.lineno - 1] : end]


def _judge(node: ast.AST, text: str) -> Iterator[Judged]:
    if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] == ["azureml", "core"]) or (
        isinstance(node, ast.Import) and any(a.name.startswith("azureml.core") for a in node.names)
    ):
        yield "TM-X45", "`azureml.core` is SDK v1, out of support"
    elif isinstance(node, ast.ExceptHandler) and _catches_all(node):
        if all(isinstance(b, ast.Pass | ast.Continue) for b in node.body):
            yield "TM-X34", "Every exception is swallowed here"
        elif all(_prints(b) for b in node.body):
            yield "TM-X34", "Every exception is printed and forgotten here"
    elif isinstance(node, ast.Call):
        yield from _judge_call(node, text)
    elif isinstance(node, ast.Subscript) and _first_of_folder(node):
        yield "TM-X39", "The first entry of an unsorted folder is taken: which one that is, is chance"


def _catches_all(node: ast.ExceptHandler) -> bool:
    return node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})


def _prints(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
    return called or isinstance(statement, ast.Pass | ast.Continue)


def _first_of_folder(node: ast.Subscript) -> bool:
    call = node.value
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "list" and call.args:
        call = call.args[0]
    first = isinstance(node.slice, ast.Constant) and node.slice.value == 0
    return first and isinstance(call, ast.Call) and name_of(call.func) in {"listdir", "scandir", "iterdir"}


def name_of(node: ast.expr) -> str:
    """The last word of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _judge_call(node: ast.Call, text: str) -> Iterator[Judged]:
    name = name_of(node.func)
    owner = name_of(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    words = {k.arg: k.value for k in node.keywords if k.arg}
    if name == "extractall" and "filter" not in words and _is_unchecked(text):
        yield "TM-X39", "The archive is extracted as it came"
    if (
        name == "next"
        and node.args
        and isinstance(node.args[0], ast.Call)
        and name_of(node.args[0].func) in {"scandir", "iterdir"}
    ):
        yield "TM-X39", "The first entry of an unsorted folder is taken: which one that is, is chance"
    debug = owner in APPS and _is_true(words.get("debug"))
    if name == "run" and (_is_true(words.get("reload")) or debug):
        yield "TM-X46", "A development server: `reload` or `debug` is on"
    origins = words.get("allow_origins")
    everybody = isinstance(origins, ast.List) and any(
        isinstance(e, ast.Constant) and e.value == "*" for e in origins.elts
    )
    if everybody and _is_true(words.get("allow_credentials")):
        yield "TM-X47", "Any web page may call this with the user's credentials"
    legacy = isinstance(node.func, ast.Attribute) and owner == "legacy" and "optimizers" in ast.unparse(node.func)
    if legacy or (owner == "optimizers" and "lr" in words):
        yield "TM-X45", "Keras took its legacy optimisers and `lr=` out"


def _is_unchecked(text: str) -> bool:
    """A tar may write anywhere; a zip only matters when it was fetched and nobody compared its checksum."""
    if "zipfile" in text and "tarfile" not in text:
        return bool(DOWNLOADS.search(text)) and not CHECKSUM.search(text)
    return True


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _twice(nodes: list[ast.AST]) -> list[tuple[ast.AST, Judged]]:
    """Routes declared a second time: only the first is ever called."""
    seen: set[tuple[str, str]] = set()
    found: list[tuple[ast.AST, Judged]] = []
    for node in nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for route in node.decorator_list:
            if not (
                isinstance(route, ast.Call) and isinstance(route.func, ast.Attribute) and route.func.attr in METHODS
            ):
                continue
            path = route.args[0] if route.args else None
            if isinstance(path, ast.Constant) and isinstance(path.value, str):
                key = (ast.unparse(route.func), ast.unparse(route) if route.func.attr == "route" else path.value)
                if key in seen:
                    found.append((route, ("TM-X51", f"`{path.value}` is declared before: this one is never called")))
                seen.add(key)
    return found


def _removed_first(nodes: list[ast.AST]) -> list[tuple[ast.AST, Judged]]:
    """A folder removed, then filled again from elsewhere: a failure in between leaves nothing."""
    found: list[tuple[ast.AST, Judged]] = []
    for function in nodes:
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and n.args]
        removed = {ast.unparse(c.args[0]): c for c in calls if name_of(c.func) == "rmtree"}
        for call in calls:
            target = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
            first = removed.get(target)
            if name_of(call.func) in {"copytree", "move"} and first is not None and first.lineno <= call.lineno:
                found.append((first, ("TM-X38", f"`{target}` is removed before its replacement is there")))
    return found
