"""What runs on a Ray node. Standard library alone: it is sent there by value, and the node knows nothing of Tidemill."""

from __future__ import annotations

import ctypes
import io
import os
import resource
import signal
import subprocess  # noqa: TID251 - on another machine, where base.proc is not
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

LOOK_S = 0.05
KEPT_LINES = 100_000


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Worker:
    """One task on its node: its processes, its log, its end. Its methods are called at the same time."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._canceled = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []

    def where(self) -> int:
        """The worker's process id: an answer means that it is up."""
        return os.getpid()

    def sees(self, probe: str, text: str) -> bool:
        """Whether this node shares the driver's file system: the probe file is here, with its text."""
        path = Path(probe)
        return path.is_file() and path.read_text(encoding="utf-8") == text

    def unpack(self, data: bytes) -> None:
        """Lay out what the driver sent, at the same paths as there."""
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall("/", filter="fully_trusted")  # noqa: S202 - packed by the driver, which this node belongs to

    def pack(self, paths: list[str]) -> bytes:
        """What the task wrote, for the driver."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
            for path in paths:
                if os.path.lexists(path):
                    tar.add(path, arcname=path.lstrip("/"))
        return buffer.getvalue()

    def read(self, start: int) -> list[str]:
        """Lines from number `start` on."""
        with self._lock:
            return self._lines[start:]

    def cancel(self) -> None:
        """Ask the task to end."""
        self._canceled.set()

    def run(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Run every process of the task to its end."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            with open(spec["log"], "ab", buffering=0) as log:  # noqa: PTH123
                threads = [self._start(spec, index, extra, log) for index, extra in enumerate(spec["processes"])]
                end = self._watch(spec)
                for thread in threads:
                    thread.join()
        except OSError as exc:
            self._signal(signal.SIGKILL)
            return {"exit_code": None, "message": f"The step's process could not start: {exc.strerror or exc}"}
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**end, "usage": {"cpu_s": cpu, "peak_mib": after.ru_maxrss / 1024}}

    def _start(self, spec: dict[str, Any], index: int, extra: dict[str, str], log: Any) -> threading.Thread:  # noqa: ANN401
        argv = list(spec["argv"]) or ["bash", "-c", spec["command"]]
        process = subprocess.Popen(
            argv, cwd=spec["cwd"], env={**spec["env"], **extra}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_end_with_parent,  # noqa: PLW1509
        )  # fmt: skip
        self._processes.append(process)
        prefix = b"[%d] " % index if len(spec["processes"]) > 1 else b""
        thread = threading.Thread(target=self._copy, args=(process, prefix, spec["secrets"], log))
        thread.start()
        return thread

    def _copy(self, process: subprocess.Popen[bytes], prefix: bytes, secrets: list[str], log: Any) -> None:  # noqa: ANN401
        """Each line to the log and to who listens, secrets masked."""
        for raw in process.stdout or ():
            line = raw.rstrip(b"\n")
            for secret in secrets:
                line = line.replace(secret.encode(), b"***")
            log.write(prefix + line + b"\n")
            with self._lock:
                if len(self._lines) < KEPT_LINES:
                    self._lines.append((prefix + line).decode(errors="replace"))

    def _watch(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Until all have ended; the first that fails, a cancel or the deadline ends the others."""
        deadline = time.monotonic() + spec["timeout_s"] if spec["timeout_s"] else None
        kill_at: float | None = None
        code, canceled, timed_out = 0, False, False
        while None in [p.poll() for p in self._processes]:
            code = code or next((p.returncode for p in self._processes if p.returncode), 0)
            late = deadline is not None and time.monotonic() > deadline
            if kill_at is None and (code or late or self._canceled.is_set()):
                canceled, timed_out = self._canceled.is_set(), late and not self._canceled.is_set()
                kill_at = time.monotonic() + spec["grace_s"]
                self._signal(signal.SIGTERM)
            if kill_at is not None and time.monotonic() > kill_at:
                self._signal(signal.SIGKILL)
            time.sleep(LOOK_S)
        code = code or next((p.returncode for p in self._processes if p.returncode), 0)
        self._signal(signal.SIGKILL)  # what they left in the background
        canceled = canceled or self._canceled.is_set()
        return {"exit_code": code, "canceled": canceled, "timed_out": timed_out, "message": ""}

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            try:
                os.killpg(process.pid, number)
            except (ProcessLookupError, PermissionError):
                continue
