"""Places where a crash test may kill this process; nothing in ordinary life."""

from __future__ import annotations

import os
import signal

VARIABLE = "TIDEMILL_FAILPOINT"

_wanted, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = [int(_count or "1")]

NAMES = (
    "job-created",
    "step-staged",
    "step-started",
    "command-ended",
    "outputs-kept",
    "step-recorded",
    "model-registered",
    "job-ended",
)


def failpoint(name: str) -> None:
    """Die here as from `kill -9` if `TIDEMILL_FAILPOINT=name[:count]` says so: at the count-th pass."""
    if name == _wanted:
        _left[0] -= 1
        if _left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
