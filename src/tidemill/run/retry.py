"""What is worth trying again: causes that a project declares to say nothing about the step. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidemill.base.frozen import frozen
from tidemill.run.ports import TaskEnd

LOST = "lost"
TIMEOUT = "timeout"
LOST_RETRIES = 2  # a node that went away says nothing about the step, declared or not
_EXIT = re.compile(r"exit (-?\d+)\Z")


@frozen
class Retry:
    """At most `times` more for a cause in `on`: `lost`, `timeout`, `exit 75`, or `/words/` in the last lines of the log."""

    times: int = 0
    on: tuple[str, ...] = ()
    wait_s: float = 0.0

    def cause(self, end: TaskEnd, tail: Sequence[str], tried: int) -> str:
        """Why the task that ended so is to be tried again; empty when it is not. `tried` counts earlier retries."""
        if end.ok or end.canceled:
            return ""
        if end.lost:
            allowed = max(LOST_RETRIES, self.times if LOST in self.on else 0)
            return (end.message or "it was lost") if tried < allowed else ""
        if tried >= self.times:
            return ""
        return next((said for said in (_match(cause, end, tail) for cause in self.on) if said), "")


def _match(cause: str, end: TaskEnd, tail: Sequence[str]) -> str:
    if cause == TIMEOUT:
        return "it timed out" if end.timed_out else ""
    code = _EXIT.match(cause)
    if code:
        return f"exit code {end.exit_code}" if end.exit_code == int(code[1]) and not end.timed_out else ""
    if cause.startswith("/"):
        found = next((line for line in reversed(tail) if re.search(cause[1:-1], line)), "")
        return f"its log says: {found.strip()[:200]}" if found else ""
    return ""
