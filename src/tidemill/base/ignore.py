"""Patterns of files that do not count, as .gitignore writes them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable

Ignored = Callable[[str, bool], bool]
WILDCARDS = {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}


def make_ignore(lines: Iterable[str]) -> Ignored:
    """A judge of relative paths by gitignore rules; the last rule that matches decides."""
    rules = [rule for line in lines if (rule := _parse_rule(line))]

    def ignored(relative: str, folder: bool) -> bool:  # noqa: FBT001 - called in a hot loop
        verdict = False
        for pattern, keeps, folders_only in rules:
            if (folder or not folders_only) and pattern.match(relative):
                verdict = not keeps
        return verdict

    return ignored


def _parse_rule(line: str) -> tuple[re.Pattern[str], bool, bool] | None:
    text = line.rstrip("\n")
    if not text.endswith("\\ "):
        text = text.rstrip()
    if not text or text.startswith("#"):
        return None
    keeps = text.startswith("!")
    text = text.removeprefix("!").removeprefix("\\")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    body = _translate(text.lstrip("/"))
    prefix = "" if anchored else "(?:.*/)?"
    return re.compile(f"{prefix}{body}\\Z", re.DOTALL), keeps, folders_only


def _translate(pattern: str) -> str:
    """A gitignore pattern as a regular expression: `**` crosses folders, `*` and `?` do not."""
    out: list[str] = []
    for part in re.split(r"(\*\*/|/\*\*|\*|\?|\[[^\]]+\])", pattern):
        if part in WILDCARDS:
            out.append(WILDCARDS[part])
        elif part.startswith("[") and part.endswith("]"):
            out.append(fnmatch.translate(part)[4:-3])
        else:
            out.append(re.escape(part))
    return "".join(out)
