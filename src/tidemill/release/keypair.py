"""How the two keys of an endpoint are renewed."""

from __future__ import annotations

import secrets

TURN = "turn"
RENEWALS = (TURN, "primary", "secondary")


def renewed(first: str, second: str, which: str) -> tuple[str, str]:
    """The keys with `primary` or `secondary` made anew, the other as it was; by `turn` the first becomes the second."""
    new = secrets.token_urlsafe(32)
    if which == "secondary":
        return first, new
    return new, second if which == "primary" else first
