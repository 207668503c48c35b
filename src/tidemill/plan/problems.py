"""Everything wrong with a pipeline, gathered, so that it is said at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidemill.base.errors import Location, SpecError
from tidemill.base.findings import Finding, Severity, has_errors


@dataclass(slots=True)
class Problems:
    """Findings so far; the same one is kept once."""

    findings: list[Finding] = field(default_factory=list)
    absent: list[Finding] = field(default_factory=list)

    def error(self, code: str, message: str, at: Location, *, hint: str = "", path: str = "") -> None:
        """Something that cannot run."""
        self.add(Finding(code, Severity.ERROR, message, hint, at, path))

    def missing(self, message: str, at: Location, *, hint: str, path: str) -> None:
        """Data that is not there: nothing is wrong with the plan but that it cannot run yet."""
        self.absent.append(Finding("TM-R101", Severity.ERROR, message, hint, at, path))
        self.add(self.absent[-1])

    def warn(self, code: str, message: str, at: Location, *, hint: str = "", path: str = "") -> None:
        """Something to know."""
        self.add(Finding(code, Severity.WARNING, message, hint, at, path))

    def add(self, finding: Finding) -> None:
        """Keep a finding."""
        if finding not in self.findings:
            self.findings.append(finding)

    def extend(self, findings: Sequence[Finding]) -> None:
        """Keep several."""
        for finding in findings:
            self.add(finding)

    def raise_errors(self, what: str, *, but_absent: bool = False) -> None:
        """`SpecError` with every finding when one is an error, or one other than for data that is not there."""
        if has_errors([f for f in self.findings if not (but_absent and f in self.absent)]):
            errors = [f for f in self.findings if f.severity is Severity.ERROR]
            only = errors[0] if len(errors) == 1 else None
            raise SpecError(
                only.message if only else f"{what} has {len(errors)} problems",
                findings=self.findings,
                hint=only.hint if only else "",
                at=only.at if only else None,
            )
