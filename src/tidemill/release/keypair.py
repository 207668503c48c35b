"""How the two keys of an endpoint are renewed."""

from __future__ import annotations

import secrets

TURN, PRIMARY, SECONDARY = "turn", "primary", "secondary"
RENEWALS = (TURN, PRIMARY, SECONDARY)


def renewed(first: str, second: str, which: str) -> tuple[str, str]:
    """The keys with `primary` or `secondary` made anew, the other as it was; by `turn`, or where there is but one, the first becomes the second."""
    new = secrets.token_urlsafe(32)
    if which == SECONDARY:
        return first, new
    return new, (second if which == PRIMARY else "") or first
