"""Reads `.env` files: names and values, nothing expanded and nothing run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidemill.base.errors import Location, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?\n|[ \t]+$|#[^\n]*$")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, empty when there is none; `UsageError` at the line that is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path} is not UTF-8 text", hint="Save it as UTF-8.", at=Location(str(path))) from exc
    return parse_dotenv(text.replace("\r\n", "\n"), str(path))


def parse_dotenv(text: str, file: str = ".env") -> dict[str, str]:
    """The variables of a `.env` text. Quoted values may span lines; `$` and backquotes are plain characters."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank:
            at = blank.end()
            continue
        name = _NAME.match(text, at)
        value, end = _read_value(text, name.end()) if name else ("", -1)
        rest = _REST.match(text, end) if name and end >= 0 else None
        if name is None or rest is None:
            line = text.count("\n", 0, at) + 1
            raise UsageError(
                "This line is not `NAME=value`",
                hint="Put values with quotes or line breaks between quotes.",
                at=Location(file, line, 1),
            )
        found[name.group(1)] = value
        at = max(rest.end(), at + 1)
    return found


def _read_value(text: str, at: int) -> tuple[str, int]:
    """A value and where it ends; -1 when a quote is never closed."""
    opening = text[at : at + 1]
    if opening == "'":
        single = _SINGLE.match(text, at)
        return (single.group(1), single.end()) if single else ("", -1)
    if opening == '"':
        double = _DOUBLE.match(text, at)
        return (_unescape(double.group(1)), double.end()) if double else ("", -1)
    bare = _BARE.match(text, at)
    line = bare.group() if bare else ""
    return _COMMENT.sub("", line).strip(), at + len(line)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), text, flags=re.DOTALL)
