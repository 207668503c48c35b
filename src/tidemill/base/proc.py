"""The only place that starts a process."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import subprocess  # noqa: TID251 - here and nowhere else
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from tidemill.base.errors import BackendError
from tidemill.base.wanted import LOOK_S, may_be_given_up, require_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Popen = subprocess.Popen
CompletedProcess = subprocess.CompletedProcess
TimeoutExpired = subprocess.TimeoutExpired
PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
# Linux has kept this limit and its inheritance, and has not enforced it, since 2.4.25: a number in it follows every
# descendant through `setsid`, `env -i` and `exec`, and only a process that wants to be lost loses it.
RLIMIT_LOCKS = 10
_STARTING = threading.Lock()  # so that nothing else inherits a tag


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float | None = None,
    ends_with_us: bool = False,
) -> CompletedProcess[str]:
    """Run to the end and return exit code and text; `BackendError` when the program is not there or too slow.

    With `ends_with_us` it is told to end when this process is killed.
    """
    stdin_kind = None if stdin is None else PIPE
    try:
        with _STARTING:
            process = subprocess.Popen(
                list(argv), cwd=cwd, env=env, stdin=stdin_kind, stdout=PIPE, stderr=PIPE, text=True, errors="replace",
                preexec_fn=_ending_with_parent() if ends_with_us else None,  # noqa: PLW1509 - as in `start_child`
            )  # fmt: skip
    except FileNotFoundError as exc:
        raise BackendError(f"`{argv[0]}` is not installed", hint=f"Install it, or put it on PATH: {argv[0]}") from exc
    with process:
        try:
            out, err = _hear_out(process, stdin, timeout_s)
        except subprocess.TimeoutExpired as exc:
            process.kill()
            raise BackendError(f"`{argv[0]}` did not end within {timeout_s:g} s") from exc
        except BaseException:
            process.kill()
            raise
    return CompletedProcess(list(argv), process.returncode, out, err)


def _hear_out(process: subprocess.Popen[str], stdin: str | None, timeout_s: float | None) -> tuple[str, str]:
    """All it says until it ends, unless it takes too long or nobody wants it any more."""
    if not may_be_given_up():
        return process.communicate(stdin, timeout=timeout_s)
    deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    while True:
        try:
            said = process.communicate(stdin, timeout=min(LOOK_S, max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            stdin = None  # all of it is on its way
            require_wanted()
            if time.monotonic() >= deadline:
                raise
        else:
            require_wanted()  # whoever canceled it may have ended the program, too
            return said


def start(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = subprocess.STDOUT,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start in a session of its own, by default with no standard input, so that the whole group can be stopped."""
    with _STARTING:
        return subprocess.Popen(
            list(argv), cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )


def start_tagged(
    argv: Sequence[str], tag: int, *, cwd: Path, env: Mapping[str, str], stdout: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Start as `start` does; it and all its descendants can be told by `base.descent` from then on."""
    with _STARTING, _tagging(tag):
        return subprocess.Popen(
            list(argv), cwd=cwd, env=env, stdin=DEVNULL, stdout=stdout, stderr=subprocess.STDOUT, start_new_session=True
        )


@contextlib.contextmanager
def _tagging(tag: int) -> Iterator[None]:
    """What is started meanwhile inherits this process's own limit, which is put back: no moment is without it."""
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(RLIMIT_LOCKS)
    resource.setrlimit(RLIMIT_LOCKS, (tag, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(RLIMIT_LOCKS, before)


def start_sharing(argv: Sequence[str], files: Sequence[int], *, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start in a session of its own, with these open files of ours, its words where ours go."""
    with _STARTING:
        return subprocess.Popen(list(argv), cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=files)


def start_child(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that is told to end when this one does, however that happens; its words appended to `log`."""
    with log.open("ab") as out, _STARTING:
        return subprocess.Popen(
            list(argv), cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=_ending_with_parent(),  # noqa: PLW1509 - one system call, found before the fork: it needs no lock
        )  # fmt: skip


def _ending_with_parent() -> Callable[[], object]:
    """Linux's PR_SET_PDEATHSIG; elsewhere the child outlives a parent that was killed by force."""
    if sys.platform != "linux":
        return bool
    control = ctypes.CDLL(None).prctl
    return lambda: control(1, signal.SIGTERM)


def replace_by(argv: Sequence[str]) -> int:
    """Become another program: it gets this process's terminal and signals. Returns only if that cannot be done."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], list(argv))  # noqa: S606 - there is no text to a shell here


def start_daemon(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Start a process that outlives this one, its words appended to `log`; its id."""
    with log.open("ab") as out:
        daemon = start(argv, cwd=cwd, env=env, stdout=out)
    daemon.returncode = 0  # nobody waits for it: it is not this process's any more
    return daemon.pid


def is_alive(pid: int) -> bool:
    """Whether a process of that id runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        pass
    except OSError:
        return False
    if os.path.isdir("/proc/self"):  # noqa: PTH112
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def started_at(pid: int) -> str:
    """A stamp that tells this process from a later one with the same id; empty where the system has none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def stop_group(pid: int, *, grace_s: float = 5.0) -> None:
    """Ask the process group of `pid` to end, then insist; returns when it is gone."""
    for sig, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(pid, sig)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            try:
                os.killpg(pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            if not is_alive(pid) and not group_lives(pid):
                return
            time.sleep(0.02)


def group_of(pid: int) -> int:
    """The process group of a process; 0 when it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def group_is_there(pgid: int) -> bool:
    """Whether anything at all, a zombie included, is in the group: much cheaper to ask than `group_lives`."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def group_lives(pgid: int) -> bool:
    """Whether any process of the group runs that is not a zombie."""
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[2] == str(pgid) and fields[0] != "Z":
            return True
    return False


def find_marked(variable: str, value: str) -> list[int]:
    """Ids of processes whose environment holds `variable=value`, as their descendants inherit it."""
    if not os.path.isdir("/proc/self"):  # noqa: PTH112
        return _find_marked_by_ps(f"{variable}={value}")
    ids = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return [pid for pid in ids if pid != os.getpid() and carries(pid, variable, value)]


def carries(pid: int, variable: str, value: str) -> bool:
    """Whether the environment that a process began with holds `variable=value`; Linux only."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            return f"{variable}={value}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def _find_marked_by_ps(wanted: str) -> list[int]:
    """The same from `ps`, which shows the variables of one's own processes after their words (macOS, BSD)."""
    listing = run(["ps", "axeww", "-o", "pid=,command="]).stdout
    rows = (line.split(maxsplit=1) for line in listing.splitlines() if f" {wanted} " in f"{line} ")
    return [int(pid) for pid, _ in rows if int(pid) != os.getpid()]
