"""The project file: codes it names must be codes."""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.codes import CODES
from tidemill.spec.rules.context import Context


def check_codes(context: Context) -> Iterator[Finding]:
    """`check.codes` speaks of findings that exist."""
    check = context.document.check
    for code in check.codes if check is not None else ():
        if code not in CODES:
            hint = did_you_mean(code, CODES)
            yield context.finding(
                "TM-X90", f"No finding has the code `{code}`", ("check", "codes", code), hint=hint, key=True
            )
