"""Locks of a workspace by the kernel: they go with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tidemill.base.errors import ConflictError
from tidemill.base.files import locked
from tidemill.base.ids import JobName

BYTES_OF_KEY = 15
AGAIN_S = 0.05
PATIENCE_S = 1.0


class FlockLocks:
    """A lock file in each job's folder, and one byte per step key in a file that stays empty."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self._steps = os.open(home / "steps.lock", os.O_RDWR | os.O_CREAT, 0o644)

    @contextlib.contextmanager
    def job(self, job: JobName) -> Iterator[None]:
        """Drive a job; `ConflictError` if another process does."""
        with contextlib.ExitStack() as held:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    held.enter_context(locked(self._of(job), wait=False, what=f"job {job}"))
                    break
                except ConflictError:  # or it only looks at the job, or settles it
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(AGAIN_S)
            yield

    def is_driven(self, job: JobName) -> bool:
        """Whether some process drives the job at present."""
        path = self._of(job)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: who looks at the same time is no driver
            except BlockingIOError:
                return True
        return False

    def _of(self, job: JobName) -> Path:
        return self._home / "jobs" / job / ".lock"

    @contextlib.contextmanager
    def step(self, key: str, give_up: Callable[[], bool]) -> Iterator[None]:
        """Wait for, then hold, the lock of a step's key. Within this process its threads must exclude each other."""
        offset = int(key[:BYTES_OF_KEY], 16)
        _lock_byte(self._steps, offset, give_up)
        try:
            yield
        finally:
            fcntl.lockf(self._steps, fcntl.LOCK_UN, 1, offset)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self._steps)


def _lock_byte(fd: int, offset: int, give_up: Callable[[], bool]) -> None:
    """Wait for one byte. Asking again and again never looks like a deadlock to the kernel, and can be given up."""
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except (BlockingIOError, PermissionError):
            if give_up():
                raise ConflictError("Another run of the same step is under way", hint="Wait for it to end.") from None
            time.sleep(AGAIN_S)
        else:
            return


def open_locks(home: Path) -> FlockLocks:
    """The locks of the workspace at `home`."""
    return FlockLocks(home)
