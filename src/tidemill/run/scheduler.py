"""Which steps may start, and what a failure does to the rest. Pure: told what happened, never looks."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from tidemill.run.state import Status

Skipped = tuple[str, str]


class Scheduler:
    """Keeps count of what each step still waits for; its cost is linear in steps and edges.

    Steps are handed out in the order given. After a failure nothing new starts, unless `keep_going`: then only
    what hangs on the failed step is left out.
    """

    def __init__(self, depends_on: Mapping[str, AbstractSet[str]], *, keep_going: bool = False) -> None:
        self._names: Sequence[str] = list(depends_on)
        self._place = {name: i for i, name in enumerate(depends_on)}
        self._waiting = {name: len(needs) for name, needs in depends_on.items()}
        self._users: dict[str, list[str]] = {}
        for name, needs in depends_on.items():
            for need in needs:
                self._users.setdefault(need, []).append(name)
        self._ready = [self._place[n] for n, count in self._waiting.items() if not count]
        heapq.heapify(self._ready)
        self._left = set(depends_on)
        self._running: set[str] = set()
        self._keep_going = keep_going
        self._stopped = False

    @property
    def is_done(self) -> bool:
        """Whether every step has ended or been left out."""
        return not self._left

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def take(self) -> str | None:
        """The next step that may start, now counted as running; None when there is none at present."""
        while self._ready and not self._stopped:
            name = self._names[heapq.heappop(self._ready)]
            if name in self._left:
                self._running.add(name)
                return name
        return None

    def ended(self, name: str, status: Status) -> list[Skipped]:
        """Account for the end of a step; what will now never start, each with the reason."""
        self._left.discard(name)
        self._running.discard(name)
        if status is Status.COMPLETED:
            for user in self._users.get(name, ()):
                self._waiting[user] -= 1
                if not self._waiting[user]:
                    heapq.heappush(self._ready, self._place[user])
            return []
        if self._keep_going and not self._stopped:
            return self._leave_out(self._below(name), f"not started: `{name}` {_said(status)}")
        self._stopped = True
        below = self._below(name)
        skipped = self._leave_out(below, f"not started: `{name}` {_said(status)}")
        rest = [n for n in self._names if n in self._left and n not in self._running]
        return skipped + self._leave_out(rest, f"not started: the job stopped when `{name}` {_said(status)}")

    def stop(self, reason: str) -> list[Skipped]:
        """Start nothing more; every step not yet started is left out with `reason`."""
        self._stopped = True
        return self._leave_out([n for n in self._names if n in self._left and n not in self._running], reason)

    def _below(self, name: str) -> list[str]:
        found: set[str] = set()
        stack = list(self._users.get(name, ()))
        while stack:
            user = stack.pop()
            if user not in found:
                found.add(user)
                stack.extend(self._users.get(user, ()))
        return sorted(found & self._left, key=self._place.__getitem__)

    def _leave_out(self, names: Iterable[str], reason: str) -> list[Skipped]:
        gone = [(name, reason) for name in names]
        self._left.difference_update(name for name, _ in gone)
        return gone


def _said(status: Status) -> str:
    return "was canceled" if status is Status.CANCELED else "failed"
