"""What is in a folder, links followed: files and folders; anything else is an error that names it."""

from __future__ import annotations

import os
import stat as st
from typing import TYPE_CHECKING

from tidemill.base.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {st.S_IFIFO: "a named pipe", st.S_IFSOCK: "a socket", st.S_IFBLK: "a device", st.S_IFCHR: "a device"}
Seen = frozenset[str]  # what the links led to that were followed on the way


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is, or leads to, a folder and not a file; `FailedError` for what is neither."""
    try:
        if entry.is_dir():
            return True
        if entry.is_file():
            return False
    except OSError:  # a link to itself
        raise refuse(entry.path) from None
    raise refuse(entry.path)


def refuse(path: str) -> FailedError:
    """The error that says what is at `path` instead of a file."""
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - paths are text in hot loops
        return FailedError(
            f"The link `{path}` leads to `{os.readlink(path)}`, where nothing is",  # noqa: PTH115
            hint="Mend or remove it: links are followed, and what they lead to is what counts.",
        )
    kind = KINDS.get(st.S_IFMT(os.stat(path).st_mode), "not a file")  # noqa: PTH116
    return FailedError(f"`{path}` is {kind}: only files and folders can be kept", hint="Move it elsewhere.")


def follow(entry: os.DirEntry[str], seen: Seen) -> Seen:
    """What was followed once this folder is entered; `FailedError` for a link to a folder that it lies in."""
    if not entry.is_symlink():
        return seen
    real = os.path.realpath(entry.path)
    holder = os.path.realpath(os.path.dirname(entry.path))  # noqa: PTH120
    if real in seen or f"{holder}/".startswith(f"{real.rstrip('/')}/"):
        raise FailedError(
            f"The link `{entry.path}` leads to a folder that it lies in, so there is no end to it",
            hint="Remove it: links are followed, and what they lead to is what counts.",
        )
    return seen | {real}


def walk(root: str) -> Iterator[str]:
    """Relative paths of all files below a folder, in no order."""
    stack: list[tuple[str, str, Seen]] = [(root, "", frozenset())]
    while stack:
        folder, prefix, seen = stack.pop()
        with os.scandir(folder) as listing:
            for entry in listing:
                if is_folder(entry):
                    stack.append((entry.path, f"{prefix}{entry.name}/", follow(entry, seen)))
                else:
                    yield prefix + entry.name
