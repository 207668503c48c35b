"""Errors and findings as people read them: what, where, what to do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tidemill.base.errors import NotFoundError, SpecError, TidemillError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.base.findings import Finding

SHOWN = 200
COLOURS = {"error": "31", "warning": "33", "info": "36", "hint": "32"}


def paint(word: str, kind: str, stream: TextIO) -> str:
    """`word` in the colour of `kind` on a terminal that wants colour; the word itself otherwise."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return word
    return f"\x1b[1;{COLOURS[kind]}m{word}\x1b[0m"


def print_error(exc: TidemillError) -> None:
    """`error: …`, a blank line, `hint: …`; a `SpecError` with all its findings first."""
    err = sys.stderr
    if isinstance(exc, SpecError) and exc.findings:
        print_findings(exc.findings, err)
        if any(f.message == exc.message for f in exc.findings):
            return  # said, with its place and its hint
        err.write("\n")
    where = f"{exc.at}: " if exc.at else ""
    code = "(ResourceNotFound) " if isinstance(exc, NotFoundError) else ""  # the word scripts look for
    err.write(f"{paint('error:', 'error', err)} {where}{code}{exc.message}\n")
    if exc.hint:
        err.write(f"\n{paint('hint:', 'hint', err)} {exc.hint}\n")


def print_findings(findings: Iterable[Finding], stream: TextIO) -> None:
    """One block a finding: place, severity, code, words; the line with a caret on a terminal; the way out."""
    rows = list(findings)
    for finding in rows[:SHOWN]:
        severity = str(finding.severity)
        place = f"{finding.at}: " if finding.at.file else ""
        stream.write(f"{place}{paint(severity, severity, stream)} {finding.code} {finding.message}\n")
        if stream.isatty():
            stream.write(_excerpt(finding))
        if finding.hint:
            stream.write(f"    {paint('hint:', 'hint', stream)} {finding.hint}\n")
    if len(rows) > SHOWN:
        stream.write(f"… and {len(rows) - SHOWN} more\n")


def _excerpt(finding: Finding) -> str:
    """The line the finding points at, with a caret below its column; empty when the file has no such line."""
    if not finding.at.line:
        return ""
    try:
        lines = Path(finding.at.file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    if finding.at.line > len(lines):
        return ""
    text = lines[finding.at.line - 1].replace("\t", " ")
    gutter = f"{finding.at.line:>5} | "
    return f"{gutter}{text[:160]}\n{' ' * 5} | {' ' * max(finding.at.column - 1, 0)}^\n"
