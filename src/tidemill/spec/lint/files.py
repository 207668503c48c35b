"""Which files of a repository are looked at, and as what."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import Location
from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import frozen
from tidemill.spec.codes import CODES
from tidemill.spec.folders import walk_files

MAX_BYTES = 1 << 20
KEPT = 64  # documents whose values are kept for the next rule
MAX_BRACKETS = 20_000  # deeper nesting ends in the parser's stack, not in an exception
STAIRS = re.compile(r"(?:[-?:][ \t]+){1000}")  # lists in lists in lists, on one line
COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
DEVOPS = re.compile(r"^\s*inlineScript:|^\s*-\s+(?:bash|script|task):", re.MULTILINE)  # Azure DevOps
AZURE = re.compile(r"^(?:\$schema|type|command|jobs|idle_time_before_shutdown\w*|schedules):", re.MULTILINE)


@frozen
class LintFile:
    """One file as text; `bare` is the same text, as long, without its `#` comments.

    `kind` is workflow, devops, dockerfile, manifest, azure, python, shell, environment, data or weights.
    """

    path: Path
    kind: str
    text: str
    bare: str = field(default="", repr=False)

    def finding(
        self, code: str, message: str, offset: int, *, hint: str = "", severity: Severity | None = None
    ) -> Finding:
        """A finding at a place of the text."""
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        row = CODES[code]
        at = Location(str(self.path), line, column)
        return Finding(code, severity or row.severity, message, hint or row.mend, at)


def lint_files(root: Path, paths: Sequence[Path]) -> Iterator[LintFile]:
    """Files worth a look, each once, in a stable order."""
    del root
    seen: set[Path] = set()
    for path in paths:
        for candidate in walk_files(path) if path.is_dir() else [path]:
            if candidate.absolute() in seen:
                continue
            seen.add(candidate.absolute())
            file = _read(candidate)
            if file is not None:
                yield file


def is_read(path: Path) -> bool:
    """Whether a file of this name is worth a look."""
    name = path.name.lower()
    return (
        name.endswith((".yml", ".yaml", ".py", ".sh", ".bash", ".dockerfile"))
        or name in {"dockerfile", ".env"}
        or name.startswith("dockerfile.")
    )


def _read(path: Path) -> LintFile | None:
    name = path.name.lower()
    if name == "variables.index":
        return LintFile(path, "weights", "")
    if not is_read(path):
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not name.endswith(".py") and (text.count("[") + text.count("{") > MAX_BRACKETS or STAIRS.search(text)):
        return None
    file = LintFile(path, kind_of(path, text), text, text)
    if file.kind in {"python", "data", "environment"}:
        return file
    return replace(file, bare=COMMENT.sub(lambda found: " " * len(found.group()), text))


def kind_of(path: Path, text: str) -> str:
    """As what a file is looked at."""
    name = path.name.lower()
    if name == ".env":
        return "environment"
    if "dockerfile" in name and not name.endswith((".yml", ".yaml", ".py", ".sh")):
        return "dockerfile"
    if name.endswith(".py"):
        return "python"
    if name.endswith((".sh", ".bash")):
        return "shell"
    if "runs-on:" in text or (".github" in path.parts and ("uses:" in text or "run:" in text)):
        return "workflow"
    if "steps:" in text and DEVOPS.search(text):
        return "devops"
    if "\napiVersion:" in f"\n{text}" and "\nkind:" in f"\n{text}":
        return "manifest"
    return "azure" if AZURE.search(text) else "data"


@lru_cache(maxsize=KEPT)
def read_yaml(text: str) -> Any:  # noqa: ANN401
    """The values of a document, read once for all rules, which leave them as they are; None for what is not YAML."""
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def parse_quietly(text: str) -> ast.Module:
    """The syntax tree of somebody's script; what Python would warn them about is not ours to print."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def offset_of(text: str, node: ast.AST) -> int:
    """Where a node of a script's syntax tree begins in its text."""
    lines = text.splitlines(keepends=True)[: getattr(node, "lineno", 1)]
    column = len(lines[-1].encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore")) if lines else 0
    return sum(map(len, lines[:-1])) + column
