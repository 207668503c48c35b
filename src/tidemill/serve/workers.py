"""`--workers N`: processes that share one port; one that ends is started again, all drain on SIGTERM."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess  # noqa: TID251 - only the type of what base.proc starts
import sys
import time
from types import FrameType

from tidemill.base import proc

LOOK_S = 0.1
QUICK_S = 5.0
QUICK_ENDS = 5  # a worker that ends at once so often cannot be helped by starting it again
DRAIN_S = 35.0


def run_workers(argv: list[str], port: int, count: int) -> int:
    """Start `count` servers on `port` and keep them running until told to stop; their exit code."""
    stopping: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        stopping.append(signum)

    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, stop)
    command = [sys.executable, "-m", "tidemill.serve", *argv, "--workers", "1", "--share-port", "--end-when-hung"]
    command += ["--port", str(port)]
    workers = [_start(command) for _ in range(count)]
    began, quick = [time.monotonic()] * count, 0
    while not stopping:
        time.sleep(LOOK_S)
        for i, worker in enumerate(workers):
            if worker.poll() is None or stopping:
                continue
            quick = quick + 1 if time.monotonic() - began[i] < QUICK_S else 0
            sys.stderr.write(f"worker {worker.pid} ended with {worker.returncode}; started again\n")
            if quick >= QUICK_ENDS:
                _drain(workers)
                return worker.returncode or 1
            workers[i], began[i] = _start(command), time.monotonic()
    return _drain(workers)


def end_with_parent() -> None:
    """Called in a worker: be told to end when the process that started it is gone, however that happened; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """One worker; it writes where this process writes."""
    return proc.start(command, stdout=None, stderr=None)


def _drain(workers: list[subprocess.Popen[bytes]]) -> int:
    """Ask all to end, wait for their last answers, insist at last."""
    for worker in workers:
        if worker.poll() is None:
            os.kill(worker.pid, signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_S
    for worker in workers:
        try:
            worker.wait(max(0.1, deadline - time.monotonic()))
        except proc.TimeoutExpired:
            worker.kill()
            worker.wait()
    return 0
