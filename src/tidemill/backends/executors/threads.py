"""What executors elsewhere share: each task is followed in a thread of its own here, and can be asked to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from tidemill.run.ports import Task, TaskEnd, TaskWatch, Ticket

Handle = TypeVar("Handle")


class TaskThreads(Generic[Handle]):
    """The tasks an executor follows. `ask` asks what a task runs as to end; it must not wait for that."""

    def __init__(self, kind: str, ask: Callable[[Handle], None]) -> None:
        self._kind = kind
        self._ask = ask
        self._running: dict[Ticket, Handle] = {}
        self._canceled: set[Ticket] = set()
        self._threads: dict[Ticket, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self, task: Task, watch: TaskWatch, follow: Callable[[Task, TaskWatch], TaskEnd]) -> None:
        """Have `follow` bring the task to its end in a thread; `watch` is told how that went."""
        thread = threading.Thread(
            target=self._drive, args=(task, watch, follow), name=f"{self._kind} {task.step}", daemon=True
        )
        with self._lock:
            self._threads[task.ticket] = thread
        thread.start()

    def runs_as(self, ticket: Ticket, handle: Handle) -> None:
        """From now on a task that is asked to end is asked as `handle`; one that was asked before is asked now."""
        with self._lock:
            self._running[ticket] = handle
            canceled = ticket in self._canceled
        if canceled:
            self._ask(handle)

    def is_canceled(self, ticket: Ticket) -> bool:
        """Whether the task was asked to end."""
        return ticket in self._canceled

    def cancel(self, ticket: Ticket) -> None:
        """Ask the task to end, or not to start."""
        with self._lock:
            self._canceled.add(ticket)
            handle = self._running.get(ticket)
        if handle is not None:
            self._ask(handle)

    def close(self) -> None:
        """Ask everything that was started to end, and wait until it has."""
        with self._lock:
            threads = dict(self._threads)
        for ticket in threads:
            self.cancel(ticket)
        for thread in threads.values():
            thread.join()

    def _drive(self, task: Task, watch: TaskWatch, follow: Callable[[Task, TaskWatch], TaskEnd]) -> None:
        try:
            end = follow(task, watch)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the step must end and say so
            end = TaskEnd(None, message=f"following it failed: {exc!r}")
        with self._lock:
            self._running.pop(task.ticket, None)
            canceled = task.ticket in self._canceled
            self._canceled.discard(task.ticket)
            self._threads.pop(task.ticket, None)
        watch.ended(TaskEnd(end.exit_code, canceled=True, usage=end.usage) if canceled and not end.ok else end)
