"""Comments that silence a finding must name one: a slip in the code would silence nothing, or be forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.codes import CODES
from tidemill.spec.lint.files import LintFile
from tidemill.spec.policy import ignore_comments


def lint_ignores(file: LintFile) -> Iterator[Finding]:
    """`# tidemill: ignore` without a code, or with one that no finding has."""
    for comment in ignore_comments(file.text, file.path.suffix):
        if not comment.codes:
            yield file.finding("TM-X90", "The comment names no code, so it silences nothing", comment.start)
        for code, place in comment.codes:
            if code not in CODES:
                hint = did_you_mean(code, CODES)
                yield file.finding("TM-X90", f"No finding has the code `{code}`", place, hint=hint)
