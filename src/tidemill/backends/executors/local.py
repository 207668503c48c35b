"""Steps as processes of this machine: one thread watches them all and sleeps until something happens."""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from tidemill.backends import containers
from tidemill.backends.executors.running import Process, Running, kill_group, signal_groups
from tidemill.backends.executors.strays import MARK, TICKET, Strays
from tidemill.backends.executors.watchdog import Watchdog
from tidemill.base import descent, proc
from tidemill.base.ids import JobName
from tidemill.base.shell import shell_argv
from tidemill.run.ports import Task, TaskEnd, TaskWatch, Ticket

GRACE_S = 5.0
LOOK_S = 0.05
READ_BYTES = 1 << 16
READS_AT_ONCE = 16  # more than a pipe holds; who never stops writing must not keep the others from being heard
LONGEST_LINE = 16 << 20
TIDY_S = 10.0
MASK = b"***"


class LocalExecutor:
    """Runs each task in process groups of its own. `scope` tells its processes from other workspaces'."""

    def __init__(self, slots: int, *, scope: str = "", grace_s: float = GRACE_S) -> None:
        self._slots = max(1, slots)
        self._scope = scope
        self._grace_s = grace_s
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._calls: deque[Callable[[], None]] = deque()
        self._running: dict[Ticket, Running] = {}
        self._watchdog = Watchdog()
        self._strays = Strays(scope)
        self._tidy_at = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def slots(self) -> int:
        """Tasks that may usefully run at once: the machine's cores."""
        return self._slots

    def submit(self, task: Task, watch: TaskWatch) -> None:
        """Start the task's processes; a task that cannot start ends at once with the reason."""
        running: Running | None = None
        try:
            running = Running(task, watch, task.log.open("ab", buffering=0), tag=self._strays.next_tag(task.job))
            for index, extra in enumerate(task.processes):
                running.processes.append(self._start(running, index, dict(extra)))
        except OSError as exc:
            self._abandon(running)
            watch.ended(TaskEnd(None, message=f"The step's process could not start: {exc.strerror or exc}"))
            return
        first = running.processes[0].popen.pid
        if task.timeout_s:
            running.deadline = time.monotonic() + task.timeout_s
        watch.started(f"pid:{first}:{proc.started_at(first)}")
        self._call(lambda: self._admit(running))

    def cancel(self, ticket: Ticket) -> None:
        """Ask the task's groups to end; insist when the grace is over."""
        self._call(lambda: self._cancel(ticket))

    def reap(self, job: JobName, handles: Iterable[str], spare: Collection[str] = ()) -> int:  # noqa: ARG002 - nothing outlives
        """End processes that a killed run of `job` left: by id and start, then by what all descendants carry."""
        found = 0
        for handle in handles:
            kind, _, rest = handle.partition(":")
            pid, _, stamp = rest.partition(":")
            if kind == "pid" and pid.isdigit() and stamp and proc.started_at(int(pid)) == stamp:
                proc.stop_group(int(pid), grace_s=self._grace_s)
                found += 1
        found += descent.end_marked(MARK, f"{self._scope}|{job}", grace_s=self._grace_s)
        return found + containers.remove_of_job(self._scope, job)

    def close(self) -> None:
        """End everything, then the thread."""
        if self._thread:
            self._call(self._shut_down)
            self._thread.join()
        self._watchdog.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _start(self, running: Running, index: int, extra: dict[str, str]) -> Process:
        task = running.task
        family = f"{self._scope}|{task.job}"
        env = {**task.env, **extra, "PWD": str(task.cwd), MARK: family, TICKET: task.ticket}
        if task.environment.image:
            argv: Sequence[str] = containers.run_argv(task, index, extra, self._scope)
        else:
            argv = task.argv or shell_argv(task.command, env)
        direct = not (task.secrets or running.watch.wrote or len(task.processes) > 1)
        stdout = running.log if direct else proc.PIPE
        self._watchdog.expect(running.tag)
        popen = self._strays.start(lambda: proc.start_tagged(argv, running.tag, cwd=task.cwd, env=env, stdout=stdout))
        self._watchdog.watch(popen.pid, running.tag, family)
        return Process(popen, index)

    def _abandon(self, running: Running | None) -> None:
        for process in running.processes if running else ():
            proc.stop_group(process.popen.pid, grace_s=0.1)
            process.popen.wait()
            self._strays.ended(process.popen.pid)
            self._watchdog.unwatch(process.popen.pid)
        if running:
            running.log.close()

    def _call(self, work: Callable[[], None]) -> None:
        """Have the watching thread do `work`."""
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._loop, name="local-executor", daemon=True)
                self._thread.start()
        self._calls.append(work)
        os.write(self._wake_out, b".")

    def _loop(self) -> None:
        while not (self._closing and not self._running):
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    os.read(self._wake_in, READ_BYTES)
                else:
                    key.data()
            while self._calls:
                self._calls.popleft()()
            self._look_at_clock()

    def _patience(self) -> float | None:
        moments = [m for r in self._running.values() for m in (r.deadline, r.kill_at) if m is not None]
        if any(r.strays or any(p.lingers for p in r.processes) for r in self._running.values()):
            return LOOK_S
        patience = max(0.0, min(moments) - time.monotonic()) if moments else None
        if self._running and self._strays.adopts:  # those that end on their own are buried now and then
            return min(TIDY_S, patience or TIDY_S)
        return patience

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        for running in list(self._running.values()):
            if running.kill_at is not None and now >= running.kill_at:
                running.kill_at = None
                signal_groups(running, signal.SIGKILL)
                descent.send(running.strays, signal.SIGKILL)
            if running.deadline is not None and now >= running.deadline:
                running.deadline = None
                running.timed_out = True
                self._ask_to_end(running)
            self._look_at_rest(running, now)
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_S
            self._strays.bury()

    def _look_at_rest(self, running: Running, now: float) -> None:
        """What the task's processes left, in their groups or out of them."""
        for process in running.processes:
            if process.lingers and not proc.group_lives(process.popen.pid):
                self._gone(running, process)
            elif process.lingers and now >= process.kill_at:
                kill_group(process.popen.pid, signal.SIGKILL)
        if running.strays:
            self._finish_if_alone(running)

    def _admit(self, running: Running) -> None:
        self._running[running.task.ticket] = running
        for process in running.processes:
            if process.popen.stdout:
                os.set_blocking(process.popen.stdout.fileno(), False)
                self._selector.register(
                    process.popen.stdout, selectors.EVENT_READ, lambda r=running, p=process: self._read(r, p)
                )
            self._watch_exit(running, process)
        if self._closing:
            self._cancel(running.task.ticket)

    def _watch_exit(self, running: Running, process: Process) -> None:
        try:
            process.pidfd = os.pidfd_open(process.popen.pid)
        except (AttributeError, OSError):  # not Linux: a thread has to wait

            def wait() -> None:
                os.waitid(os.P_PID, process.popen.pid, os.WEXITED | os.WNOWAIT)
                self._call(lambda: self._exited(running, process))

            threading.Thread(target=wait, daemon=True).start()
            return
        self._selector.register(process.pidfd, selectors.EVENT_READ, lambda: self._exited(running, process))

    def _exited(self, running: Running, process: Process) -> None:
        """The process is a zombie. What it left in its group is asked to end, and made to after its grace."""
        if process.exited:
            return
        process.exited = True
        if process.pidfd is not None:
            self._selector.unregister(process.pidfd)
            os.close(process.pidfd)
        if running.kill_at is None:
            kill_group(process.popen.pid, signal.SIGTERM)
        _, status, usage = os.wait4(process.popen.pid, 0)
        self._strays.ended(process.popen.pid)
        process.popen.returncode = code = os.waitstatus_to_exitcode(status)
        running.usage["cpu_s"] += usage.ru_utime + usage.ru_stime
        running.usage["peak_mib"] = max(running.usage["peak_mib"], usage.ru_maxrss / 1024)
        if code and not running.exit_code:
            running.exit_code = code
            if any(not p.exited for p in running.processes):
                self._ask_to_end(running)
        process.lingers = proc.group_is_there(process.popen.pid) and proc.group_lives(process.popen.pid)
        if process.lingers:
            process.kill_at = time.monotonic() + self._grace_s
        else:
            self._gone(running, process)

    def _gone(self, running: Running, process: Process) -> None:
        """Nothing is left of the process's group."""
        process.lingers = False
        task = running.task
        if task.environment.image and (running.canceled or running.timed_out or running.exit_code):
            containers.remove([containers.container_name(task, process.index, self._scope)])
        if all(p.exited and not p.lingers for p in running.processes):
            self._finish_if_alone(running)

    def _finish_if_alone(self, running: Running) -> None:
        """The task has ended once nothing that left its groups is there; each such process is asked to end, once."""
        found = self._strays.of(running.task, running.tag)
        asked, running.strays = running.strays, found
        if found - asked:
            descent.send(found - asked, signal.SIGTERM)
            self._give_grace(running)
        if not found:
            self._finish(running)

    def _give_grace(self, running: Running) -> None:
        if running.kill_at is None:
            running.kill_at = time.monotonic() + self._grace_s

    def _finish(self, running: Running) -> None:
        """Take the last words of each process, and say how the task ended."""
        del self._running[running.task.ticket]
        for process in running.processes:
            self._watchdog.unwatch(process.popen.pid)
            if process.popen.stdout:
                self._read(running, process)
                self._stop_reading(running, process)
        running.log.close()
        usage = {} if running.task.environment.image else dict(running.usage)  # what was measured is the client's
        end = TaskEnd(
            None if running.broken else running.exit_code,
            canceled=running.canceled,
            timed_out=running.timed_out,
            message=running.broken,
            usage=usage,
        )
        running.watch.ended(end)

    def _read(self, running: Running, process: Process) -> None:
        """Take what is there; whole lines go to the log, the rest waits for its end."""
        stream = process.popen.stdout
        for _ in range(READS_AT_ONCE):
            if not stream or stream.closed:
                return
            try:
                data = os.read(stream.fileno(), READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._stop_reading(running, process)
                return
            first, *others = data.split(b"\n")
            process.pending += first
            for other in others:
                self._write_line(running, process, bytes(process.pending))
                process.pending = bytearray(other)
            if len(process.pending) > LONGEST_LINE:
                self._write_piece(running, process)

    def _write_piece(self, running: Running, process: Process) -> None:
        """What there is of an endless line, but for its last bytes, which may begin a secret."""
        text = _mask(bytes(process.pending), running.task.secrets)
        end = len(text) - max((len(s.encode()) for s in running.task.secrets), default=0)
        self._write_line(running, process, text[:end])
        process.pending = bytearray(text[end:])

    def _stop_reading(self, running: Running, process: Process) -> None:
        stream: Any = process.popen.stdout
        if stream.closed:
            return
        if process.pending:
            self._write_line(running, process, bytes(process.pending))
            process.pending.clear()
        self._selector.unregister(stream)
        stream.close()

    def _write_line(self, running: Running, process: Process, line: bytes) -> None:
        """A line into the log, secrets masked; a task whose log cannot be written ends, since nobody would see what it did."""
        line = _mask(line, running.task.secrets)
        if len(running.processes) > 1:
            line = b"[%d] " % process.index + line
        if running.watch.wrote:
            running.watch.wrote(line.decode(errors="replace"))
        if running.broken:
            return
        try:
            running.log.write(line + b"\n")
        except OSError as exc:
            running.broken = f"its log cannot be written: {exc.strerror or exc}"
            self._ask_to_end(running)

    def _cancel(self, ticket: Ticket) -> None:
        running = self._running.get(ticket)
        if running and not running.canceled:
            running.canceled = True
            self._ask_to_end(running)

    def _ask_to_end(self, running: Running) -> None:
        below = {pid for p in running.processes if not p.exited for pid in descent.descendants(p.popen.pid)}
        signal_groups(running, signal.SIGTERM)
        descent.send((pid for pid in below if proc.group_of(pid) not in running.groups), signal.SIGTERM)
        self._give_grace(running)

    def _shut_down(self) -> None:
        self._closing = True
        for ticket in list(self._running):
            self._cancel(ticket)


def _mask(text: bytes, secrets: Iterable[str]) -> bytes:
    for secret in secrets:
        text = text.replace(secret.encode(), MASK)
    return text


def open_executor(slots: int, scope: str) -> LocalExecutor:
    """An executor of this machine; `scope` tells workspaces apart."""
    return LocalExecutor(slots, scope=scope)
