"""What a project does not want to hear of `check`: files left out, codes switched off, lines with a comment."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.base.findings import Finding, Severity
from tidemill.base.frozen import frozen
from tidemill.base.ignore import Ignored, make_ignore

if TYPE_CHECKING:
    from tidemill.spec.project import Check

CODE = r"TM-[A-Za-z]+\d*"
COMMENT = re.compile(rf"(?P<mark>#\s*tidemill:\s*ignore)\b(?:[ \t]+(?P<codes>[A-Za-z][\w-]*(?:[ \t]*,[ \t]*{CODE})*))?")
MARK = "tidemill:"


def _keep_all(_relative: str, _folder: bool) -> bool:  # noqa: FBT001 - the shape of Ignored
    return False


@frozen
class Policy:
    """The `check` part of the project file, ready to be asked."""

    root: Path = Path()
    ignored: Ignored = field(default=_keep_all)
    severities: Mapping[str, str] = field(default_factory=dict)

    def leaves_out(self, path: Path) -> bool:
        """Whether a file or a folder above it is ignored; patterns are relative to the project's folder."""
        if self.ignored is _keep_all:
            return False
        try:
            relative = path.absolute().relative_to(self.root.absolute())
        except ValueError:
            return False
        above = [p.as_posix() for p in relative.parents][:-1]
        return any(self.ignored(p, True) for p in above) or self.ignored(relative.as_posix(), path.is_dir())

    def judge(self, finding: Finding) -> Finding | None:
        """The finding with the severity the project gives it; None when its code is off."""
        wanted = self.severities.get(finding.code)
        if wanted is None:
            return finding
        return None if wanted == "off" else replace(finding, severity=Severity(wanted))


def make_policy(check: Check | None, root: Path) -> Policy:
    """The policy of a project file's `check`; one that hides nothing when there is none."""
    if check is None:
        return Policy(root)
    return Policy(root, make_ignore(check.ignore) if check.ignore else _keep_all, check.codes)


@frozen
class IgnoreComment:
    """One `# tidemill: ignore …`: where it stands, the line it speaks of, and the codes with their places."""

    start: int
    line: int
    codes: tuple[tuple[str, int], ...]


def ignore_comments(text: str, suffix: str) -> Iterator[IgnoreComment]:
    """The comments of a file. One that stands alone speaks of the next line: a Dockerfile has no others."""
    if MARK not in text:
        return
    lines = text.splitlines()
    real = _python_comments(text) if suffix == ".py" else None
    for found in COMMENT.finditer(text):
        if real is not None and text.count("\n", 0, found.start()) + 1 not in real:
            continue
        line = text.count("\n", 0, found.start()) + 1
        if lines[line - 1].lstrip().startswith("#"):
            while line < len(lines) and lines[line - 1].lstrip().startswith("#"):
                line += 1
        start = found.start("codes")
        codes = tuple((m.group().upper(), start + m.start()) for m in re.finditer(r"[\w-]+", found["codes"] or ""))
        yield IgnoreComment(found.start(), line, codes)


def _python_comments(text: str) -> set[int] | None:
    """The lines that hold a comment which speaks of Tidemill, and not a string which does; None if it is no Python."""
    try:
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        return {t.start[0] for t in tokens if t.type == tokenize.COMMENT and MARK in t.string}
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None


def silenced_lines(text: str, suffix: str) -> Mapping[int, set[str]]:
    """Which codes are silenced on which lines."""
    lines: dict[int, set[str]] = defaultdict(set)
    for comment in ignore_comments(text, suffix):
        lines[comment.line].update(code for code, _ in comment.codes)
    return lines
