"""Findings for other programs: SARIF 2.1.0 and GitHub's workflow commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidemill import __version__
from tidemill.base.findings import Finding, Severity

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def make_sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """One SARIF run with every finding; regions only where a line is known."""
    codes = sorted({f.code for f in findings})
    driver = {"name": "tidemill", "version": __version__, "rules": [{"id": code} for code in codes]}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(f) for f in findings]}],
    }


def _result(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": finding.at.file}}
    if finding.at.line:
        place["region"] = {"startLine": finding.at.line, "startColumn": max(finding.at.column, 1)}
    text = f"{finding.message} {finding.hint}".strip()
    return {
        "ruleId": finding.code,
        "level": SARIF_LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def github_line(finding: Finding) -> str:
    """`::error file=…,line=…,col=…,title=…::…`, escaped as GitHub asks."""
    place = f"file={_escape(finding.at.file, in_property=True)}"
    if finding.at.line:
        place += f",line={finding.at.line},col={finding.at.column}"
    text = _escape(f"{finding.message}\n{finding.hint}".strip())
    return f"::{GITHUB_LEVELS[finding.severity]} {place},title={_escape(finding.code, in_property=True)}::{text}"


def _escape(text: str, *, in_property: bool = False) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if in_property else escaped
