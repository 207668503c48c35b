"""One row of the reference of codes."""

from __future__ import annotations

from typing import NamedTuple

from tidemill.base.findings import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Code(NamedTuple):
    """What a code says, why it matters, how to mend it, and an example (`# before` above `# after`, or the right form)."""

    code: str
    severity: Severity
    title: str
    what: str
    why: str
    mend: str
    example: str
