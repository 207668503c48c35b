"""Which Python an environment gets: conda's way of asking for one, answered with what is likely to be here."""

from __future__ import annotations

import re
import sys

_EXACT = re.compile(r"(?:=|==)?(\d+\.\d+)(?:\.[\d*]+)*(?:=\S*)?")
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<|=)?\s*(\d+(?:\.\d+)*\.?)")
NEWEST = 15  # minor version of Python that a range may lead to


def choose_python(pin: str, here: tuple[int, int] = sys.version_info[:2]) -> str:
    """The Python (`3.10`) of a conda pin; of a range this one if it is in it, else the nearest that is. Empty for any."""
    exact = _EXACT.fullmatch(pin.replace(" ", ""))
    if exact:
        return exact.group(1)
    allowed = [(3, minor) for minor in range(NEWEST + 1) if any(_allows(p, (3, minor)) for p in pin.split("|"))]
    if here in allowed or not pin:
        return ""
    if not allowed:
        return pin  # nobody has it, which is said where it is looked for
    nearest = min(allowed, key=lambda v: (abs(v[1] - here[1]), -v[1]))
    return f"{nearest[0]}.{nearest[1]}"


def _allows(pin: str, version: tuple[int, int]) -> bool:
    """Whether some Python of that minor version meets every condition."""
    return all(_meets(_CLAUSE.match(clause.strip()), version) for clause in pin.split(",") if clause.strip())


def _meets(clause: re.Match[str] | None, version: tuple[int, int]) -> bool:
    if clause is None:
        return True
    numbers = tuple(int(n) for n in clause[2].rstrip(".").split("."))
    minor = (*numbers, 0)[:2]
    patched = len(numbers) > 2 and numbers[2] > 0  # noqa: PLR2004 - major, minor, patch
    match clause[1]:
        case ">=":
            return version >= minor
        case ">":
            return version > minor or (patched and version == minor)
        case "<=":
            return version <= minor
        case "<":
            return version < minor or (patched and version == minor)
        case "!=":
            return patched or version != minor
        case "~=":
            return version == minor if len(numbers) > 2 else version[0] == minor[0] and version >= minor  # noqa: PLR2004
        case _:
            return version == minor if len(numbers) > 1 else version[0] == minor[0]
