"""Did you mean …?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 8


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
