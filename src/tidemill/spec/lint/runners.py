"""What a workflow's scripts do to the machine they run on: quotes that never close, credentials that stay there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tidemill.base.findings import Finding
from tidemill.spec.lint.files import LintFile
from tidemill.spec.lint.quotes import unclosed_quote

POSIX = ("bash", "sh")
KEPT = re.compile(
    r"(?:>>?|\btee\s+(?:-a\s+)?)\s*[\"']?(?P<path>(?:~|\$HOME|\$\{HOME\})/[^\s\"';|&]*"
    r"(?:kube|cred|secret|token|password|\.env|\.netrc|\.docker|\.ssh|\.azure|\.pem|\.key)[^\s\"';|&]*)",
    re.IGNORECASE,
)


def lint_quotes(file: LintFile) -> Iterator[Finding]:
    """The same for a script of its own."""
    place = unclosed_quote(file.text)
    if place is not None:
        yield _finding(file, place)


def lint_script(
    file: LintFile, job: Mapping[str, Any], step: Mapping[str, Any], script: yaml.ScalarNode
) -> Iterator[Finding]:
    """One script of a workflow, when it is one for a POSIX shell."""
    place = unclosed_quote(str(script.value)) if _is_posix(file, step) else None
    if place is not None:
        yield _finding(file, _in_file(file, script, place))
    if "self-hosted" in str(job.get("runs-on")):
        for found in KEPT.finditer(file.bare, script.start_mark.index, script.end_mark.index):
            if not re.search(rf"\brm\b[^\n]*{re.escape(found['path'])}", file.bare):
                text = f"`{found['path']}` stays on the runner after the job"
                yield file.finding("TM-X55", text, found.start("path"))


def _finding(file: LintFile, place: int) -> Finding:
    return file.finding("TM-X54", f"The quote {file.text[place]} opened here is never closed", place)


def _is_posix(file: LintFile, step: Mapping[str, Any]) -> bool:
    """Whether bash or sh reads it; where Windows or another default may come in, nobody can say."""
    if "run" in step:
        shell = step.get("shell")
        if shell is None:
            return "windows" not in file.text.lower() and "defaults:" not in file.text
        return str(shell).split()[:1] in ([name] for name in POSIX)
    return "azure/cli@" in str(step.get("uses")).lower()


def _in_file(file: LintFile, script: yaml.ScalarNode, place: int) -> int:
    """Where a character of a script stands in the file; of folded text only the beginning is known."""
    start, end = int(script.start_mark.index), int(script.end_mark.index)
    value = str(script.value)
    if script.style != "|":
        found = file.text.find(value, start, end)
        return found + place if found >= 0 else start
    lines = file.text[start:end].splitlines(keepends=True)
    indent = next((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), 0)
    above = value.count("\n", 0, place)
    column = place - (value.rfind("\n", 0, place) + 1)
    return start + sum(map(len, lines[: above + 1])) + indent + column
