"""Servers that are kept running: one that ends or falls silent is started again, all drain on SIGTERM.

`python -m tidemill.serve.workers ARGS` takes what `python -m tidemill.serve` takes. Each server inherits its socket from this process,
which keeps it open: connections wait there while another server takes the place of one that ended. Several share the port.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from tidemill.base import proc
from tidemill.serve.sockets import bind, refuse_new, share

LOOK_S = 0.1
QUICK_S = 5.0
TRIES = 5  # one that ends so often before it was ready cannot be helped by starting it again
DRAIN_S = 30.0
INSIST_S = 5.0  # what a server has beyond its own time to end
END_LOOK_S = 0.02
LONGEST_WAIT_S = 5.0
TIMEOUT_S = 60.0
MAX_QUEUE = 256
SILENT_TIMEOUTS = 3  # an event loop that did not turn for so many time-outs will not
SILENT_S = 5.0  # but a busy machine may well stop one for so long
OWN_CODES = {1, 2, 3, 4}
BEAT, BEAT_FASTER_LATER = b".", b"+"


@dataclass(slots=True)
class Worker:
    """One place for a server, and who fills it; `beats` is the pipe by which it says that its event loop turns."""

    command: list[str]
    inherited: tuple[int, ...] = ()
    process: proc.Popen[bytes] | None = None
    beats: int = -1
    began: float = 0.0
    heard: float = 0.0
    start_at: float = 0.0
    wait_s: float = 0.0
    failures: int = 0
    soon: bool = False
    wants_faster: bool = False
    on_trial: bool = False
    leaving: bool = False

    def start(self) -> None:
        """Fill the place; the server writes where this process writes."""
        self.beats, theirs = os.pipe()
        os.set_blocking(self.beats, False)
        command = [*self.command, *(["--soon"] if self.soon else []), "--beats", str(theirs)]
        try:
            self.process = proc.start_sharing(command, (*self.inherited, theirs))
        finally:
            os.close(theirs)
        self.began, self.heard = time.monotonic(), 0.0

    def listen(self) -> None:
        """Note what it said since the last look."""
        with contextlib.suppress(BlockingIOError):
            if said := os.read(self.beats, 4096):
                if not self.heard:
                    self.wants_faster = BEAT_FASTER_LATER in said
                self.heard = time.monotonic()

    def is_silent(self, patience_s: float) -> bool:
        """Whether it was ready, and its event loop has not turned for long."""
        return self.heard > 0 and time.monotonic() - self.heard > patience_s

    def kill(self) -> None:
        """At once, with what it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> int:
        """Take note of an end, plan the next start; its exit code."""
        code = self.process.returncode if self.process is not None else 0
        os.close(self.beats)
        quick = time.monotonic() - self.began < QUICK_S
        self.failures = 0 if self.heard else self.failures + 1
        self.wait_s = min(max(LOOK_S, 2 * self.wait_s), LONGEST_WAIT_S) if quick else 0.0
        self.process, self.start_at = None, time.monotonic() + self.wait_s
        return code


def run_workers(argv: list[str], listener: socket.socket, count: int, timeout_s: float) -> int:
    """Keep `count` servers running on the listener's port until told to stop; their exit code."""
    command = [sys.executable, "-m", "tidemill.serve", *argv, "--workers", "1", "--end-when-hung"]
    command += ["--port", str(listener.getsockname()[1])]
    # Of several, the listener only holds the port: it never listens, so every connection goes to a worker's own.
    own = [listener] if count == 1 else share(listener, count)
    with contextlib.ExitStack() as ending:
        if count > 1:
            counts = tempfile.TemporaryDirectory(prefix="tidemill-counts-", ignore_cleanup_errors=True)
            command += ["--counts", ending.enter_context(counts), "--max-queue", str(_share_of_queue(argv, count))]
        return _keep_running(command, own, timeout_s)


def _share_of_queue(argv: list[str], count: int) -> int:
    """How many requests one of so many servers lets in."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--max-queue", type=int, default=MAX_QUEUE)
    total: int = parser.parse_known_args(argv)[0].max_queue
    return max(1, math.ceil(total / count))


def _keep_running(command: Sequence[str], own: Sequence[socket.socket], timeout_s: float) -> int:
    places = [[Worker([*command, "--listener", str(s.fileno())], (s.fileno(),), soon=True)] for s in own]
    patience_s = SILENT_TIMEOUTS * timeout_s + SILENT_S
    with _stop_signals() as stopping:
        while not stopping:
            for place in places:
                _make_faster(place, places)
                code = _look_at(place, patience_s)
                if code is not None:
                    _drain(places, own, timeout_s, stopping)
                    return code
            time.sleep(LOOK_S)
        _drain(places, own, timeout_s, stopping)
    return 0


def _make_faster(place: list[Worker], places: Sequence[list[Worker]]) -> None:
    """A server that answers already, but could answer faster, does so until a second one has made ready for that: converted, proven, open.

    Of several one after the other is replaced: the first of the second ones converts, the others find what it made.
    """
    if len(place) > 1:
        _take_over(place, places)
    elif place[0].wants_faster and all(len(p) == 1 for p in places):
        place[0].wants_faster = False
        place.append(Worker(place[0].command, place[0].inherited, on_trial=True))


def _take_over(place: list[Worker], places: Sequence[list[Worker]]) -> None:
    """From the first to the second, when that is ready; where it cannot be, the others need not try."""
    first, second = place
    if first.process is None or (first.leaving and first.process.poll() is not None):
        if first.process is not None:
            os.close(first.beats)
        if not second.on_trial:
            place.remove(first)
    elif second.heard and second.process is not None and not first.leaving:
        second.on_trial, first.leaving = False, True
        first.process.terminate()
    elif second.on_trial and second.process is not None and second.process.poll() is not None:
        _say(f"worker {second.process.pid}, which was to answer faster, {how_it_ended(second.process.returncode)}")
        os.close(second.beats)
        place.remove(second)
        for each in (worker for other in places for worker in other):
            each.wants_faster = False


def _look_at(place: Sequence[Worker], patience_s: float) -> int | None:
    """At every server of one place; a code as that of `_look`."""
    for worker in place:
        code = _look(worker, patience_s)
        if code is not None:
            return code
    return None


def _look(worker: Worker, patience_s: float) -> int | None:
    """Start, listen, kill what is silent. A code says that starting again is of no use: its error has been told, or it ended too often."""
    if worker.process is None:
        if time.monotonic() >= worker.start_at:
            worker.start()
        return None
    worker.listen()
    if worker.is_silent(patience_s):
        _say(f"worker {worker.process.pid} did not answer for {patience_s:g} s; stopped")
        worker.kill()
        worker.process.wait()
    if worker.process.poll() is None or worker.on_trial or worker.leaving:
        return None
    pid, first = worker.process.pid, not worker.heard and not worker.failures
    code = worker.ended()
    if (first and code in OWN_CODES) or worker.failures >= TRIES:
        return max(code, 1)
    _say(f"worker {pid} {how_it_ended(code)}; started again")
    return None


def how_it_ended(code: int) -> str:
    """An exit code in words: which signal, and what may have sent it."""
    if -code not in set(signal.Signals):
        return f"ended with {code}"
    words = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"ended with {code} ({signal.Signals(-code).name}{words})"


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """The stop signals that came, instead of an end."""
    came: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        came.append(signum)

    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, stop)
    yield came


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def end_with_parent(beats: int, listener: int | None) -> None:
    """Called in a worker: be told at once when the process that started it is gone, on Linux; elsewhere its pipe tells.

    What it inherited is for no process it starts itself.
    """
    for number in (beats, listener):
        if number is not None:
            os.set_inheritable(number, False)
    os.set_blocking(beats, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def drain_s(timeout_s: float) -> float:
    """How long a server that is to end may take: as long as a request may."""
    return max(DRAIN_S, timeout_s)


def _drain(
    places: Sequence[Sequence[Worker]], sockets: Sequence[socket.socket], timeout_s: float, stopping: Sequence[int]
) -> None:
    """Ask all to end, wait for their last answers; insist at last, or when told to stop once more."""
    for each in sockets:
        refuse_new(each)
    running = [w.process for place in places for w in place if w.process is not None]
    for process in running:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
    for each in sockets:
        each.close()
    told, deadline = len(stopping), time.monotonic() + drain_s(timeout_s) + INSIST_S
    while any(p.poll() is None for p in running) and len(stopping) <= max(told, 1) and time.monotonic() < deadline:
        time.sleep(END_LOOK_S)
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def main(argv: list[str]) -> int:
    """Only what this process itself needs is read here; the servers read all."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serve.workers", add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S)
    options, _ = parser.parse_known_args(argv)
    listener = bind(options.host, options.port, shared=options.workers > 1)
    if listener is None:
        return 4
    with listener:
        return run_workers(argv, listener, options.workers, options.timeout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
