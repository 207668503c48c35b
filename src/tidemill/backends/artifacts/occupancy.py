"""Who uses a store at present: so that collecting garbage beside runs takes nothing that they have or are about to use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

MARGIN_S = 1.0  # a file system's time stamps are coarser than its clock


class Occupancy:
    """Two locks by the kernel, which go with the process that holds them.

    `use.lock` is shared by all that use the store for a while, such as a run; its time stamp says since when it was
    never free. `change.lock` is shared for the moment in which files come or are counted on, and taken alone by who
    removes some.
    """

    def __init__(self, root: Path) -> None:
        self._use = root / "use.lock"
        self._change = root / "change.lock"
        self._spare = root / "incoming"

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """What is kept or looked at while the body runs stays, whoever collects garbage meanwhile."""
        with self._use.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.utime(file.fileno())
            except BlockingIOError:
                pass
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def busy_since(self) -> float:
        """From when on what was touched must stay: the beginning of the oldest use, or now."""
        with self._use.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.fstat(file.fileno()).st_mtime - MARGIN_S
        return self._now() - MARGIN_S

    @contextlib.contextmanager
    def changing(self, *, alone: bool = False) -> Iterator[None]:
        """Held while files come, or `alone` while some go."""
        with self._change.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def _now(self) -> float:
        """By the clock of the file system, which may be another machine's."""
        probe = self._spare / secrets.token_hex(8)
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()
