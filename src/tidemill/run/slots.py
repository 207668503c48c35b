"""Shares of a machine: CPUs by number, GPUs by name; never more than there are, first come first served."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tidemill.base.errors import FailedError
from tidemill.plan.graph import Resources

LOOK_S = 0.5


class Slots:
    """CPUs to share. Who wants more than there are gets all of them, alone."""

    def __init__(self, total: int) -> None:
        self.total = max(1, total)
        self._free = self.total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    def acquire(self, count: int = 1, *, blocking: bool = True) -> bool:
        """Take `count` at once; without `blocking`, only if nobody waits and they are free."""
        count = min(count, self.total)
        with self._changed:
            if not blocking:
                if self._queue or self._free < count:
                    return False
                self._free -= count
                return True
            place = object()
            self._queue.append(place)
            self._changed.wait_for(lambda: self._queue[0] is place and self._free >= count)
            self._queue.popleft()
            self._free -= count
            self._changed.notify_all()
            return True

    def release(self, count: int = 1) -> None:
        """Give back as many as were taken."""
        with self._changed:
            self._free += min(count, self.total)
            self._changed.notify_all()

    @contextmanager
    def more(self, have: int, want: int) -> Iterator[None]:
        """Hold `want` instead of `have` while the body runs: given back first, so that two who grow cannot block each other."""
        if want <= have:
            yield
            return
        self.release(have)
        self.acquire(want)
        try:
            yield
        finally:
            self.release(min(want, self.total) - min(have, self.total))


class Gpus:
    """GPUs to share, each by one step at a time. `find` names those of the machine, asked once and only if wanted."""

    def __init__(self, find: Callable[[], Sequence[str]]) -> None:
        self._find = find
        self._all: tuple[str, ...] | None = None
        self._free: list[str] = []
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, count: int, give_up: Callable[[], bool]) -> Iterator[tuple[str, ...]]:
        """So many GPUs while the body runs; none when `give_up` says so before. `FailedError` if there are not so many."""
        with self._changed:
            if self._all is None:
                self._all = tuple(self._find())
                self._free = list(self._all)
            if count > len(self._all):
                raise FailedError(
                    f"This step wants {count} GPUs, and this machine has {len(self._all)}",
                    hint="Lower `gpus` of its compute in tidemill.yaml, or map the compute to an executor that has them.",
                )
            while len(self._free) < count and not give_up():
                self._changed.wait(LOOK_S)
            taken = tuple(self._free[:count]) if not give_up() else ()
            self._free = self._free[len(taken) :]
        try:
            yield taken
        finally:
            with self._changed:
                self._free = sorted((*self._free, *taken), key=self._all.index)
                self._changed.notify_all()


def share_of(resources: Resources, processes: int) -> int:
    """How many of this machine's CPUs a task may keep busy: what it reserves, and one for each of its processes."""
    return max(1, math.ceil(resources.cpus), processes)
