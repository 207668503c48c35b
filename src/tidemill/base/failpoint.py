"""Places where a test may kill this process or fail its disk; nothing in ordinary life."""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "TIDEMILL_FAILPOINT"

_wanted, _count, _error = (*os.environ.get(VARIABLE, "").split(":"), "", "")[:3]
_left = [int(_count or "1")]

NAMES = (
    "job-created",
    "step-staged",
    "step-started",
    "command-ended",
    "outputs-kept",
    "asset-registered",
    "step-recorded",
    "model-registered",
    "job-ended",
)
RELEASE_NAMES = (
    "version-started",
    "traffic-switched",
    "version-proven",
    "release-held",
    "release-put-back",
    "traffic-shared",
    "bake-failed",
)

SYNC_NAMES = ("sync-uploaded", "sync-copied")


def failpoint(name: str) -> None:
    """Die here as from `kill -9` if `TIDEMILL_FAILPOINT=name[:count]` says so, at the count-th pass.

    `name:count:ENOSPC` raises that error instead, as a full disk would.
    """
    if name == _wanted:
        _left[0] -= 1
        if _left[0] == 0:
            if _error:
                code = getattr(errno, _error)
                raise OSError(code, os.strerror(code))
            os.kill(os.getpid(), signal.SIGKILL)
