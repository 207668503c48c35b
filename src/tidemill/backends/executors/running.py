"""A task that runs on this machine: its processes, what is known of them, and signals to their groups."""

from __future__ import annotations

import os
import signal
from dataclasses import field
from typing import IO

from tidemill.base import proc
from tidemill.base.frozen import slotted
from tidemill.run.ports import Task, TaskWatch


@slotted
class Process:
    """One process of a task, and the part of a line it wrote last; `lingers` while its children use their grace."""

    popen: proc.Popen[bytes]
    index: int
    pidfd: int | None = None
    pending: bytearray = field(default_factory=bytearray)
    exited: bool = False
    lingers: bool = False
    kill_at: float = 0.0


@slotted
class Running:
    """A task under way; `exit_code` is the first that was not 0, `strays` left its groups and use their grace."""

    task: Task
    watch: TaskWatch
    log: IO[bytes]
    processes: list[Process] = field(default_factory=list)
    deadline: float | None = None
    kill_at: float | None = None
    exit_code: int = 0
    canceled: bool = False
    timed_out: bool = False
    broken: str = ""
    tag: int = 0
    strays: frozenset[int] = frozenset()
    usage: dict[str, float] = field(default_factory=lambda: {"cpu_s": 0.0, "peak_mib": 0.0})

    @property
    def groups(self) -> set[int]:
        """Its processes' groups."""
        return {p.popen.pid for p in self.processes}


def signal_groups(running: Running, number: signal.Signals) -> None:
    """Send it to all groups of the task that may have somebody in them."""
    for process in running.processes:
        if not process.exited or process.lingers:
            kill_group(process.popen.pid, number)


def kill_group(group: int, number: signal.Signals) -> None:
    """Send it to one group, which may be gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
