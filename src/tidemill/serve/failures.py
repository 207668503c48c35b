"""Where a user's own code failed while it was loaded, and what may help."""

from __future__ import annotations

import traceback
from pathlib import Path


def place(exc: BaseException, folder: Path) -> str:
    """The error, after the last of the user's own lines that led to it."""
    words = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, SyntaxError):
        return f"{exc.filename}:{exc.lineno}: SyntaxError: {exc.msg}"
    if isinstance(exc, SystemExit):
        words = f"it called sys.exit({'' if exc.code is None else exc.code!r})"
    own = [f for f in traceback.extract_tb(exc.__traceback__) if Path(f.filename).is_relative_to(folder.resolve())]
    return f"{own[-1].filename}:{own[-1].lineno}: {words}" if own else words


def missing(exc: BaseException, where: str) -> str:
    """What to do about a module that is not there; empty for any other error."""
    if isinstance(exc, ModuleNotFoundError):
        return f"Install what provides `{exc.name}` {where}."
    return ""
