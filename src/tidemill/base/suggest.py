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
    from difflib import get_close_matches  # noqa: PLC0415 - who makes no mistake need not load it

    folded = {n.casefold(): n for n in names}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{folded[close[0]]}`?"
    shown = ", ".join(f"`{n}`" for n in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"Known: {shown}{more}."
