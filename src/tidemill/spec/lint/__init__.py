"""Mistakes of a repository that no single document shows: workflows, Dockerfiles, manifests, scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile, lint_files
from tidemill.spec.lint.images import lint_dockerfile, lint_manifests
from tidemill.spec.lint.scripts import lint_python, lint_shell, lint_workflow

Fix = Callable[[str, Finding], str]


def lint_repository(root: Path, paths: Sequence[Path]) -> list[tuple[Path, Finding]]:
    """Findings of the files below the folders of `paths`, and of linted files named themselves."""
    files = list(lint_files(root, paths))
    found = [(f.path, finding) for f in files for finding in _lint_one(f)]
    manifests = [f for f in files if f.kind == "manifest"]
    return found + [(path, finding) for path, finding in lint_manifests(manifests)]


def _lint_one(file: LintFile) -> list[Finding]:
    if file.kind == "workflow":
        return list(lint_workflow(file))
    if file.kind == "dockerfile":
        return list(lint_dockerfile(file))
    if file.kind == "python":
        return list(lint_python(file))
    return list(lint_shell(file)) if file.kind == "shell" else []


def _replace_on_line(text: str, finding: Finding, pattern: str, replacement: str) -> str:
    lines = text.splitlines(keepends=True)
    place = finding.at.line - 1
    if 0 <= place < len(lines):
        lines[place] = re.sub(pattern, replacement, lines[place])
    return "".join(lines)


def _singular(text: str, finding: Finding) -> str:
    return _replace_on_line(
        text, finding, r"\baz ml (component|environment|model|job|compute|endpoint)s\b", r"az ml \1"
    )


def _label(text: str, finding: Finding) -> str:
    return _replace_on_line(text, finding, r"(?:--version|-v)[ =]latest\b", "--label latest")


# What can be mended without judgement.
FIXES: Mapping[str, Fix] = {"TM-X14": _singular, "TM-X10": _label}
