"""Workflows, shell scripts and Python: what hides failures, moves, or calls az in ways that cannot work."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import yaml

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile

PINNED = re.compile(r"@[0-9a-f]{40}\b")
USES = re.compile(r"^\s*-?\s*uses:\s*[\"']?(?P<what>[^\s\"'#]+)", re.MULTILINE)
SWALLOWED = re.compile(r"\|\|\s*(?:true\b|:\s*(?:$|[;\"'])|echo\b)", re.MULTILINE)
CONTINUE = re.compile(r"^\s*continue-on-error:\s*true\b", re.MULTILINE)
SKIP = re.compile(r"^\s*-?\s*if:\s*(?P<condition>[^\n#]*)", re.MULTILINE)
FIRST_OF_LIST = re.compile(r"az\s+ml\s+\w[\w-]*\s+list\b[^\n]*\[0\]\.version")
PLURAL = re.compile(r"\baz\s+ml\s+(component|environment|model|job|compute|endpoint)s\b")
LATEST = re.compile(r"\baz\s+ml\s+(?:model|component|environment|data)\b[^\n]*(?:--version|\s-v)[ =]latest\b")
SECRET = re.compile(r"\$\{\{\s*secrets\.\w+\s*\}\}")
SUBSCRIPTION = re.compile(r"subscriptions/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
CREATE = re.compile(r"\baz\s+ml\s+job\s+create\b(?P<rest>(?:[^\n]|\\\n)*)")
DOWNLOAD = re.compile(r"\baz\s+ml\s+job\s+download\b")
SCRIPT_KEYS = {"run", "inlineScript", "script"}


def lint_workflow(file: LintFile) -> Iterator[Finding]:
    """A GitHub workflow or action."""
    for found in USES.finditer(file.text):
        what = found["what"]
        if not what.startswith(("./", "docker://")) and not PINNED.search(what):
            yield file.finding("TM-X35", f"`{what}` is not pinned to a commit", found.start("what"))
    for found in CONTINUE.finditer(file.text):
        yield file.finding(
            "TM-X34", "`continue-on-error` ignores every failure", file.text.index("continue", found.start())
        )
    for found in SKIP.finditer(file.text):
        condition = found["condition"]
        if re.search(r"inputs\.skip\w*", condition) and "!" not in condition and "false" not in condition:
            yield file.finding(
                "TM-X28", f"It runs when it should be skipped: `{condition.strip()}`", found.start("condition")
            )
    for start, end in _scripts(file.text):
        for found in SECRET.finditer(file.text, start, end):
            yield file.finding("TM-X32", f"`{found.group()}` is pasted into a script", found.start())
    yield from lint_shell(file)


def _scripts(text: str) -> Iterator[tuple[int, int]]:
    """Where the scripts of a workflow stand in its text; nothing when it is not YAML, which `check` says elsewhere."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    stack = [root] if root is not None else []
    while stack:
        node = stack.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value in SCRIPT_KEYS and isinstance(value, yaml.ScalarNode):
                    yield value.start_mark.index, value.end_mark.index
                stack.append(value)
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)


def lint_shell(file: LintFile) -> Iterator[Finding]:
    """Calls of az and swallowed errors, in scripts and in the scripts of workflows."""
    for found in SWALLOWED.finditer(file.text):
        yield file.finding("TM-X34", f"`{found.group().strip()}` ignores every failure before it", found.start())
    for found in FIRST_OF_LIST.finditer(file.text):
        yield file.finding(
            "TM-X08",
            "The first of the list is taken for the newest version",
            file.text.index("[0].version", found.start()),
        )
    for found in PLURAL.finditer(file.text):
        yield file.finding(
            "TM-X14", f"`az ml {found[1]}s` is no command", found.start(), hint=f"Write `az ml {found[1]}`."
        )
    for found in LATEST.finditer(file.text):
        yield file.finding("TM-X10", "`latest` is a label, not a version", found.start())
    for found in SUBSCRIPTION.finditer(file.text):
        yield file.finding("TM-X44", "An Azure subscription id is committed", found.start())
    create = CREATE.search(file.text)
    if (
        create
        and "--stream" not in create["rest"]
        and DOWNLOAD.search(file.text, create.end())
        and "job stream" not in file.text
    ):
        yield file.finding("TM-X01", "The job's outputs are downloaded, but nobody waits for the job", create.start())


def lint_python(file: LintFile) -> Iterator[Finding]:
    """Python scripts; what does not parse is left to its own tools."""
    try:
        tree = ast.parse(file.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    starts = [0]
    for line in file.text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(tree):
        code_and_words = _judge(node)
        if code_and_words is not None:
            offset = starts[getattr(node, "lineno", 1) - 1] + getattr(node, "col_offset", 0)
            yield file.finding(*code_and_words, offset)


def _judge(node: ast.AST) -> tuple[str, str] | None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("azureml.core"):
        return "TM-X45", "`azureml.core` is SDK v1, out of support"
    if isinstance(node, ast.Import) and any(a.name.startswith("azureml.core") for a in node.names):
        return "TM-X45", "`azureml.core` is SDK v1, out of support"
    if isinstance(node, ast.ExceptHandler) and _swallows(node):
        return "TM-X34", "Every exception is swallowed here"
    return _judge_call(node) if isinstance(node, ast.Call) else None


def _swallows(node: ast.ExceptHandler) -> bool:
    everything = node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )
    return everything and all(isinstance(b, (ast.Pass, ast.Continue)) for b in node.body)


def _judge_call(node: ast.Call) -> tuple[str, str] | None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = {k.arg: k.value for k in node.keywords if k.arg}
    if name == "extractall" and "filter" not in words:
        return "TM-X39", "The archive decides where it is extracted to"
    if name == "run" and any(_is_true(words.get(k)) for k in ("reload", "debug")):
        return "TM-X46", "A development server: `reload` or `debug` is on"
    origins = words.get("allow_origins")
    everybody = isinstance(origins, ast.List) and any(
        isinstance(e, ast.Constant) and e.value == "*" for e in origins.elts
    )
    if everybody and _is_true(words.get("allow_credentials")):
        return "TM-X47", "Any web page may call this with the user's credentials"
    return None


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
