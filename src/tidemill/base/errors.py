"""The error tree: every failure a user can meet says what, where and what to do.

TidemillError                 exit 1: what you asked for failed
├── FailedError               exit 1: a step, a gate, a check
├── NotFoundError             exit 1: nothing of that name (az: ResourceNotFound)
├── ConflictError             exit 1: same name and version, other content; somebody else holds the lock
├── UsageError                exit 2: wrong usage
│   └── SpecError             exit 2: wrong document, with every finding
├── BackendError              exit 4: an outside system
└── InterruptedRun            exit 130: Ctrl-C
Anything else that reaches the boundary is our bug: exit 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.base.findings import Finding

EXIT_BUG = 3


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file; `line` and `column` count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class TidemillError(Exception):
    """Something a user can act on: what happened, where, and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", at: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


class FailedError(TidemillError):
    """What was asked for was tried and did not succeed."""


class NotFoundError(TidemillError):
    """There is nothing of that name."""


class ConflictError(TidemillError):
    """The same name stands for something else already, or somebody else is at work."""


class UsageError(TidemillError):
    """The command, a setting or a document cannot mean anything."""

    exit_code: ClassVar[int] = 2


class SpecError(UsageError):
    """One or more documents are wrong; carries every finding, not just the first."""

    def __init__(
        self, message: str, *, findings: Sequence[Finding] = (), hint: str = "", at: Location | None = None
    ) -> None:
        super().__init__(message, hint=hint, at=at)
        self.findings = tuple(findings)


class BackendError(TidemillError):
    """An outside system (cluster, registry, database, network, disk) refused or was not there."""

    exit_code: ClassVar[int] = 4


class InterruptedRun(TidemillError):
    """The user pressed Ctrl-C or the process was asked to stop."""

    exit_code: ClassVar[int] = 130
