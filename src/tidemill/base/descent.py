"""Which processes descend from which, also after the ones between have ended and whatever they did to be forgotten."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.base.hashing import digest_bytes
from tidemill.base.proc import find_marked, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterable

PR_SET_CHILD_SUBREAPER = 36
TAG_BASE = 1 << 61
TAG_BITS = 20
_CHILDREN_OF_MAIN = "/proc/self/task/{}/children"  # orphans go to the first thread


@functools.cache
def adopt_orphans() -> bool:
    """From now on a descendant whose parent ends becomes a child of this process; False where the system cannot."""
    if sys.platform != "linux" or not os.path.exists(_CHILDREN_OF_MAIN.format(os.getpid())):  # noqa: PTH110
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def make_tag(family: str, number: int) -> int:
    """A number for one member of a family, such as a task of a job."""
    return TAG_BASE | int(digest_bytes(family.encode())[:8], 16) << TAG_BITS | number % (1 << TAG_BITS)


def is_of_family(tag: int, family: str) -> bool:
    """Whether `make_tag` made the number for that family."""
    return tag >> TAG_BITS == make_tag(family, 0) >> TAG_BITS


def tag_of(pid: int) -> int:
    """The number the process or one that it descends from was given; 0 if none was."""
    try:
        text = Path(f"/proc/{pid}/limits").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    soft = text.partition("Max file locks")[2].split(maxsplit=1)[:1]
    number = int(soft[0]) if soft and soft[0].isdigit() else 0
    return number if number >> (TAG_BITS + 32) == TAG_BASE >> (TAG_BITS + 32) else 0


def tagged_children() -> dict[int, int]:
    """Children of this process's first thread that carry a tag, with it, in sessions that are not its own."""
    try:
        with open(_CHILDREN_OF_MAIN.format(os.getpid()), "rb") as file:  # noqa: PTH123 - once a step
            children = [int(c) for c in file.read().split()]
    except OSError:
        return {}
    if not children:
        return {}
    own = os.getsid(0)
    tags = {pid: tag_of(pid) for pid in children if _session_of(pid) != own}
    return {pid: tag for pid, tag in tags.items() if tag}


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def descendants(pid: int) -> list[int]:
    """Everything below a process; nothing where the system does not tell."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children_of(waiting.pop())
        found += children
        waiting += children
    return found


def bury(pid: int) -> bool:
    """Whether an adopted process has ended; what is left of it is taken away."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def find_tagged(family: str) -> list[int]:
    """Processes anywhere on this machine that were given a tag of the family, or descend from such."""
    if sys.platform != "linux":
        return []
    ids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - names are all it takes
    return [pid for pid in ids if pid != os.getpid() and is_of_family(tag_of(pid), family) and is_alive(pid)]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_marked(variable: str, value: str, *, grace_s: float) -> int:
    """End all that carry a variable, or a tag of the family of that name, politely first; how many there were."""
    found = set(find_marked(variable, value)) | set(find_tagged(value))
    left = found
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        send(left, number)
        deadline = time.monotonic() + patience_s
        while left and time.monotonic() < deadline:
            left = {pid for pid in left if is_alive(pid)}
            time.sleep(0.02 if left else 0)
    return len(found)


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(c) for c in (thread / "children").read_text(encoding="ascii").split()]
    except OSError:  # it ended meanwhile
        return found
    return found
