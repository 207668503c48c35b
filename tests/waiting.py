"""How tests wait: for the thing itself, as long as a busy machine may take, and never for a guess."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0  # well below the 300 s a test has, and more than anything here takes on two busy cores


def until(true: Callable[[], object], what: str = "it did not happen") -> None:
    """Ask again and again until it is so; `what` is said when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
