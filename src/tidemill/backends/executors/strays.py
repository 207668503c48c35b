"""Processes that left a task's process groups: found among this process's adopted children, or by their variables."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable

from tidemill.base import descent, proc
from tidemill.base.ids import JobName
from tidemill.run.ports import Task

MARK = "TIDEMILL_TASK_OF"
TICKET = "TIDEMILL_TASK"


# Tasks' own processes, of every executor in this process: their exit codes are waited for by those.
_STARTED: set[int] = set()
_LOCK = threading.Lock()


class Strays:
    """Gives each task a tag that whatever it starts carries. A look costs one short list of the system's."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        # begun anywhere: the tags of whoever drove the job before and was killed must not be taken for ours
        self._numbers = itertools.count(secrets.randbits(32))
        self.adopts = False

    def next_tag(self, job: JobName) -> int:
        """The tag of a task that is about to start."""
        self.adopts = descent.adopt_orphans()
        return descent.make_tag(f"{self._scope}|{job}", next(self._numbers))

    def start(self, start: Callable[[], proc.Popen[bytes]]) -> proc.Popen[bytes]:
        """Start a task's own process; nobody takes it for an adopted one meanwhile."""
        with _LOCK:
            popen = start()
            _STARTED.add(popen.pid)
        return popen

    def ended(self, pid: int) -> None:
        """It was waited for."""
        _STARTED.discard(pid)

    def of(self, task: Task, tag: int) -> frozenset[int]:
        """What is left of a task whose own processes have ended: children adopted from it, and all below them.

        Where nothing can be adopted (macOS) its variables are looked for, which reads about every process.
        """
        if not self.adopts:
            return frozenset(proc.find_marked(TICKET, task.ticket))
        found: set[int] = set()
        for pid, its in self._adopted().items():
            if (its == tag or proc.carries(pid, TICKET, task.ticket)) and not descent.bury(pid):
                found |= {pid, *descent.descendants(pid)}
        return frozenset(found)

    def bury(self) -> None:
        """Take away what adopted processes that ended on their own left."""
        for pid in self._adopted() if self.adopts else ():
            descent.bury(pid)

    def _adopted(self) -> dict[int, int]:
        with _LOCK:
            return {pid: tag for pid, tag in descent.tagged_children().items() if pid not in _STARTED}
