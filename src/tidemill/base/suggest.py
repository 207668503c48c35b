"""Did you mean …?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 8
SHORTEST = 5  # letters; shorter names are often one letter apart on purpose


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest of `known`; else the known names, bounded; empty when there are none."""
    names = sorted({str(k) for k in known})
    if not names:
        return ""
    near = closest(name, names)
    if near:
        return f"Did you mean `{near}`?"
    shown = ", ".join(f"`{n}`" for n in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"Known: {shown}{more}."


def closest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that is spelled nearly like `name`; empty when none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - who makes no mistake need not load it

    folded = {n.casefold(): n for n in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def is_slip(name: str, meant: str) -> bool:
    """Whether `name` is `meant` with one letter missing, added, exchanged or swapped with the next: a slip of the pen.

    `digit-1` is no slip of `digit-2`, and `env-gpu` none of `env`.
    """
    if name == meant or min(len(name), len(meant)) < SHORTEST or abs(len(name) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(name, meant, strict=False)) if a != b), min(len(name), len(meant)))
    left, right = name[start:], meant[start:]
    if left[:1].isdigit() or right[:1].isdigit():
        return False
    swapped = left[1:2] + left[:1] == right[:2] and left[2:] == right[2:]
    return swapped or left[1:] == right or left == right[1:] or left[1:] == right[1:]
