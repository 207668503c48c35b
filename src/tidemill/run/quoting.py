"""Paths in commands: bash takes each as one word, whatever the folder of a project is called."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

_MARK = r"\0(?P<mark>\d+)\0"  # no command has that character: no process could be given it
_NEXT = {  # what changes how bash reads on, outside of quotes and within either kind
    "": re.compile(rf"{_MARK}|(?<!\S)#[^\n]*|\\.|\(|[)'\"]", re.DOTALL),
    '"': re.compile(rf"{_MARK}|\\.|\$\(|\"", re.DOTALL),
    "'": re.compile(rf"{_MARK}|'"),
}
_QUOTED: dict[str, Callable[[str], str]] = {
    "": shlex.quote,
    '"': lambda path: re.sub(r'(["\\$`])', r"\\\1", path),
    "'": lambda path: path.replace("'", r"'\''"),
}


class Places:
    """Marks where paths go in a command, and puts them there once the whole command is known."""

    def __init__(self) -> None:
        self._paths: list[str] = []

    def mark(self, path: str) -> str:
        """What stands for the path: itself, where bash takes it as it is."""
        if shlex.quote(path) == path:
            return path
        self._paths.append(path)
        return f"\0{len(self._paths) - 1}\0"

    def fill(self, command: str) -> str:
        """The command, with every path quoted as its place asks for."""
        out: list[str] = []
        within = [""]  # the quotes around, innermost last; a command within `$(…)` begins outside of any
        at = 0
        while found := _NEXT[within[-1]].search(command, at):
            out.append(command[at : found.start()])
            at = found.end()
            if found["mark"] is not None:
                out.append(_QUOTED[within[-1]](self._paths[int(found["mark"])]))
            elif found[0].startswith("#"):
                out.append(re.sub(_MARK, "…", found[0]))
            else:
                out.append(found[0])
                _follow(within, found[0])
        return "".join([*out, command[at:]])


def _follow(within: list[str], text: str) -> None:
    if text == within[-1]:
        within.pop()
    elif text in {"'", '"'}:
        within.append(text)
    elif text.endswith("(") and not text.startswith("\\"):
        within.append("")
    elif text == ")" and len(within) > 1:
        within.pop()
