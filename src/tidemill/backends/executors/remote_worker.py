"""What runs on another machine: a Ray node, a pod. Standard library alone: it is sent there, and knows nothing of Tidemill."""

# ruff: noqa: PTH100, PTH110, PTH114, PTH115, PTH123, PTH208 - paths are words here: they go into archives and over wires

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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

LOOK_S = 0.05
KEPT_LINES = 100_000
Stamps = dict[str, tuple[int, int]]


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def pack_trees(roots: Iterable[str], stream: IO[bytes], folder: str) -> None:
    """Write folders and files to `stream` as a tar with absolute names.

    A link that leads out of `folder` becomes what it points at; one that stays inside remains a link.
    """
    with tarfile.open(fileobj=stream, mode="w|", dereference=True, format=tarfile.PAX_FORMAT) as tar:
        for root in roots:
            _add(tar, os.path.abspath(root), os.path.realpath(folder))


def _add(tar: tarfile.TarFile, path: str, folder: str) -> None:
    name = path.lstrip("/")
    if os.path.islink(path) and (not os.path.exists(path) or f"{os.path.realpath(path)}/".startswith(f"{folder}/")):
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(link)
        return
    info = tar.gettarinfo(path, name)
    if info.isreg():
        with open(path, "rb") as file:
            tar.addfile(info, file)
    elif info.isdir():
        tar.addfile(info)
        for child in sorted(os.listdir(path)):
            _add(tar, f"{path}/{child}", folder)


def unpack_trees(stream: IO[bytes]) -> None:
    """Lay out what `pack_trees` wrote, at the same paths as there."""
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        if hasattr(tarfile, "fully_trusted_filter"):
            tar.extraction_filter = tarfile.fully_trusted_filter
        # tidemill: ignore TM-X39 - the same
        tar.extractall("/")  # noqa: S202 - packed by the driver, which this machine works for


def stamp_tree(folder: str) -> Stamps:
    """Size and time of change of every file below `folder`, by path."""
    found = {}
    for path in _files(folder):
        status = os.lstat(path)
        found[path] = (status.st_size, status.st_mtime_ns)
    return found


def _files(folder: str) -> Iterator[str]:
    """Everything below `folder` that is not a folder with something in it, links to folders included."""
    for place, folders, names in os.walk(folder):
        if not (folders or names):
            yield place
        yield from (f"{place}/{name}" for name in sorted(names))
        yield from (f"{place}/{name}" for name in sorted(folders) if os.path.islink(f"{place}/{name}"))


def pack_changes(folder: str, before: Stamps, stream: IO[bytes], besides: Iterable[str] = ()) -> None:
    """Write what is new or other below `folder` since `before` to `stream` as a tar; `besides` are left out."""
    left_out = set(besides)
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in _files(folder):
            status = os.lstat(path)
            if before.get(path) != (status.st_size, status.st_mtime_ns) and path not in left_out:
                tar.add(path, path.lstrip("/"), recursive=False)


class Worker:
    """One task on its machine: its processes, its log, its end. Its methods are called at the same time.

    `echo` hears every line too.
    """

    def __init__(self, echo: Callable[[str], None] | None = None) -> None:
        self._echo = echo
        self._stamps: Stamps = {}
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

    def unpack(self, data: bytes, folder: str) -> None:
        """Lay out what the driver sent, and remember how the task's folder looked."""
        unpack_trees(io.BytesIO(data))
        self._stamps = stamp_tree(folder)

    def pack(self, folder: str) -> bytes:
        """What the task wrote below its folder, for the driver."""
        buffer = io.BytesIO()
        pack_changes(folder, self._stamps, buffer)
        return buffer.getvalue()

    def read(self, start: int) -> list[str]:
        """Lines from number `start` on."""
        with self._lock:
            return self._lines[start:]

    def read_on(self, path: str, start: int) -> bytes:
        """Whole lines of a file, from byte `start` on."""
        if not os.path.exists(path):
            return b""
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read()
        return data[: data.rfind(b"\n") + 1]

    def cancel(self) -> None:
        """Ask the task to end."""
        self._canceled.set()

    def run(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Run every process of the task to its end."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            with open(spec["log"], "ab", buffering=0) as log:
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
            self._heard((prefix + line).decode(errors="replace"))

    def _heard(self, line: str) -> None:
        if self._echo:
            self._echo(line)
            return
        with self._lock:
            if len(self._lines) < KEPT_LINES:
                self._lines.append(line)

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
