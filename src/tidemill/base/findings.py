"""A finding: one thing noticed about a document, a run or a model, with a stable code."""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tidemill.base.errors import Location
from tidemill.base.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """How bad: an error will fail or is forbidden, a warning may hurt, info is a matter of taste."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@frozen
class Finding:
    """`code` is stable (`TM-B101`), `path` is the dotted place inside the document (`jobs.train.inputs.x`)."""

    code: str
    severity: Severity
    message: str
    hint: str = ""
    at: Location = Location("")
    path: str = ""

    def with_file(self, file: str) -> Finding:
        """The same finding, said of another name of the file."""
        return replace(self, at=Location(file, self.at.line, self.at.column))

    def as_json(self) -> dict[str, Any]:
        """The shape of `check -o json`: code, severity, line, column, path, message, hint."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "line": self.at.line,
            "column": self.at.column,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }

    def as_record(self) -> dict[str, Any]:
        """Everything, for the store."""
        return asdict(self) | {"severity": str(self.severity)}


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any finding is an error."""
    return any(f.severity is Severity.ERROR for f in findings)
