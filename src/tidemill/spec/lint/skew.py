"""Serving that prepares its input otherwise than training did, or otherwise than it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding, Severity
from tidemill.spec.folders import walk_files
from tidemill.spec.lint.files import MAX_BYTES, LintFile, offset_of, parse_quietly
from tidemill.spec.lint.learning import LOADS, SERVES

Found = Iterator[tuple[Path, Finding]]
FIELDS = {"__fields__", "model_fields"}
KINDS = {"annotation", "outer_type_", "type_"}
BY_TYPE = re.compile(r"\.select_dtypes\(")
BROWSER = (".js", ".mjs", ".ts", ".jsx", ".tsx", ".html", ".vue", ".svelte")
PART = r"[\w.]+\[\s*\w+(?:\s*[*+]\s*\w+)*\s*(?:\+\s*{0})?\s*\]"
AVERAGE = re.compile(
    r"\(\s*(?:r|red)\s*\+\s*(?:g|green)\s*\+\s*(?:b|blue)\s*\)\s*/\s*3\b"
    rf"|\(\s*{PART.format(0)}\s*\+\s*{PART.format(1)}\s*\+\s*{PART.format(2)}\s*\)\s*/\s*3\b",
    re.IGNORECASE,
)
WEIGHTED = re.compile(r"\.convert\(\s*[\"']L[\"']|COLOR_(?:BGR|RGB)2GRAY|rgb_to_grayscale|color_mode=[\"']grayscale")
POSTED = re.compile(
    r"\bPOST\s+(?P<path>/[\w/-]*)[^\n]*\n(?:[^\n{}]*\n){0,6}?\s*\{\s*[\"'](?P<key>[A-Za-z_]\w*)[\"']\s*:"
)

CURL = re.compile(r"\bcurl\b(?:[^\n\\]|\\[\s\S]){0,600}")
URL = re.compile(r"(?:https?://)?[\w.-]+(?::\d+)?(?P<path>/[\w/-]+)")
BODY = re.compile(r"(?:-d|--data(?:-raw|-binary)?|--json)\s*['\"]\{\s*\\?\"(?P<key>[A-Za-z_]\w*)")


def lint_skew(files: Sequence[LintFile], paths: Sequence[Path]) -> Found:
    """Findings that need the serving code, and what stands beside it: training, the browser's part, the guide."""
    scripts = [f for f in files if f.kind == "python"]
    for file in scripts:
        if SERVES.search(file.text) and LOADS.search(file.text):
            yield from _columns(file, scripts)
    raw = [route for file in scripts if "Request" in file.text for route in _raw_routes(file)]
    if raw:
        yield from _contracts(raw, scripts, paths)
    if any(LOADS.search(f.text) for f in scripts):
        yield from _greys(scripts, paths)


def _columns(file: LintFile, scripts: Sequence[LintFile]) -> Found:
    """The columns to scale are those whose annotation is a number: the schema decides, not the model."""
    if ".transform(" not in file.text or not any(f in file.text for f in FIELDS):
        return
    trained = next((s for s in scripts if s is not file and BY_TYPE.search(s.text)), None)
    otherwise = f"; training takes those of a type of the table (`{trained.path.name}`)" if trained else ""
    for node in _nodes(file):
        if not isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            continue
        over = any(getattr(n, "attr", "") in FIELDS for g in node.generators for n in ast.walk(g.iter))
        tests = [n for g in node.generators for test in g.ifs for n in ast.walk(test)]
        if over and any(isinstance(n, ast.Attribute) and n.attr in KINDS for n in tests):
            text = f"The columns to transform are picked by the schema's annotations{otherwise}"
            yield file.path, file.finding("TM-X20", text, offset_of(file.text, node))


def _nodes(file: LintFile) -> list[ast.AST]:
    try:
        return list(ast.walk(parse_quietly(file.text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _raw_routes(file: LintFile) -> Iterator[tuple[LintFile, ast.AST, str]]:
    """Routes that take the body as it comes and pass it on whole."""
    if ".json()" not in file.text or ".post(" not in file.text:
        return
    for node in _nodes(file):
        if not isinstance(node, ast.AsyncFunctionDef):
            continue
        inside = list(ast.walk(node))
        bodies = {
            n.targets[0].id
            for n in inside
            if isinstance(n, ast.Assign)
            and isinstance(n.targets[0], ast.Name)
            and isinstance(n.value, ast.Await)
            and ast.unparse(n.value).endswith(".json()")
        }
        opened = {
            n.value.id for n in inside if isinstance(n, ast.Subscript | ast.Attribute) and isinstance(n.value, ast.Name)
        }
        path = next((p for p in map(_posted_path, node.decorator_list) if p), "")
        if path and bodies and not bodies & opened:
            yield file, node, path


def _posted_path(route: ast.expr) -> str:
    if not isinstance(route, ast.Call) or getattr(route.func, "attr", "") != "post" or not route.args:
        return ""
    first = route.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _contracts(
    routes: Sequence[tuple[LintFile, ast.AST, str]], scripts: Sequence[LintFile], paths: Sequence[Path]
) -> Found:
    """A guide sends an object to a route, and no script knows its key."""
    for guide, text in _others(paths, (".md", ".rst")):
        for sent_to, key, place in _sent(text):
            word = re.compile(rf"\b{re.escape(key)}\b")
            if any(word.search(s.text) for s in scripts):
                continue
            for file, node, path in routes:
                if path == sent_to:
                    line = text.count("\n", 0, place) + 1
                    words = f"{guide.name}:{line} sends `{key}` to {path}, and nothing here reads that"
                    yield file.path, file.finding("TM-X53", words, offset_of(file.text, node))


def _sent(guide: str) -> Iterator[tuple[str, str, int]]:
    """The paths a guide posts to, with the first key of what it sends and where that stands."""
    for found in POSTED.finditer(guide):
        yield found["path"], found["key"], found.start("key")
    for call in CURL.finditer(guide):
        url, body = URL.search(call.group(), 4), BODY.search(call.group())
        if url and body:
            yield url["path"], body["key"], call.start() + body.start("key")


def _greys(scripts: Sequence[LintFile], paths: Sequence[Path]) -> Found:
    """The browser averages the colours, Python weighs them: the model sees another grey than it learnt."""
    weighs = next((s for s in scripts if WEIGHTED.search(s.text)), None)
    for path, text in _others(paths, BROWSER):
        found = AVERAGE.search(text) if "getImageData" in text else None
        if not found:
            continue
        file = LintFile(path, "browser", text, text)
        if weighs is not None:
            words = f"The grey is an average here, and weighed in `{weighs.path.name}`"
            yield path, file.finding("TM-X22", words, found.start())
        else:
            words = "The grey is an average here; image libraries weigh the colours"
            yield path, file.finding("TM-X22", words, found.start(), severity=Severity.INFO)


def _others(paths: Sequence[Path], endings: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Files that are not linted for themselves."""
    for path in (p for chosen in paths for p in (walk_files(chosen) if chosen.is_dir() else [chosen])):
        if not path.name.lower().endswith(endings) or ".min." in path.name:
            continue
        try:
            if is_plain_file(path) and path.stat().st_size <= MAX_BYTES:
                yield path, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
