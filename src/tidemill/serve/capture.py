"""Requests and answers recorded by sample, off the request path, bounded in memory and on disk.

`<folder>/requests/version=3/date=2026-11-21/…` holds one record a request: id, time, model, version, request, answer, latency;
`<folder>/feedback/…`, parted likewise, holds what turned out to be true, joined later by the request's id. Records are lines
of JSON, in a file whose name begins with a dot so that readers of the folder pass it by, until it is full, old, or the server stops;
then it loses the dot, becomes a Parquet file where pyarrow is installed, and leaves for where records are kept if that is elsewhere.
A file that a killed server left is taken up by the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import logging
import os
import queue
import random
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from tidemill.base.clock import Clock, SystemClock, iso
from tidemill.base.errors import UsageError
from tidemill.serve.finishing import finish
from tidemill.serve.http import Request
from tidemill.serve.masking import HideMasked, masked
from tidemill.serve.records import FEEDBACK, GROWING, KINDS, REQUESTS
from tidemill.serve.settings import GIB
from tidemill.serve.shipping import Shipper, take_secrets

LOG = logging.getLogger("tidemill.serve")
RECORDED = {"/predict", "/score", "/invocations"}
WAITING = 1000  # records; beyond that they are counted and dropped, never waited for
FULL_BYTES = 16 << 20
WAITING_BYTES = 64 << 20
OLD_S, MINUTE_S = 300.0, 60.0
FIRST_S = 2.0  # the first file leaves soon, so that a store that cannot be reached is known at once
CLOSE_S = 10.0
QUIET_S = 60.0
BROKEN_S = 5.0  # after a disk took no record nothing is promised to be kept
LOOK_S, LOOK_SHARE = 10.0, 100  # how often the folder is measured: it is everybody's who records here
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
BOTH = frozenset({"request", "response"})


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """What is kept. `rate` is Azure's `sampling_rate`, 0 to 1; `masked` names columns whose values are not kept.

    `rolling` is Azure's `rolling_rate`: a partition is a `day`, an `hour` or a `minute` long. `headers` of a request are kept with it.
    """

    folder: Path
    rate: float = 1.0
    max_bytes: int = GIB
    masked: frozenset[str] = frozenset()
    parts: frozenset[str] = BOTH
    rolling: str = "day"
    headers: frozenset[str] = frozenset()

    @property
    def old_s(self) -> float:
        """How long a file grows at most."""
        return MINUTE_S if self.rolling == "minute" else OLD_S

    def partition(self, at: str) -> str:
        """The folder for a time, written `2026-11-21T03:30:27Z`."""
        parts = {"date": at[:10], "hour": at[11:13], "minute": at[14:16]}
        depth = {"hour": 2, "minute": 3}.get(self.rolling, 1)
        return "/".join(f"{k}={v}" for k, v in list(parts.items())[:depth])


@dataclass(slots=True)
class _Segment:
    """A file that is being written, and locked for as long."""

    path: Path
    partition: str
    file: IO[bytes]
    old_s: float
    size: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, lines: bytes) -> None:
        """All of it or, where the disk is full, nothing: half a line would be glued to the next one."""
        try:
            written = self.file.write(lines)
            if written < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.file.truncate(self.size)
            self.file.seek(self.size)
            raise
        self.size += len(lines)


@dataclass(slots=True)
class Capture:
    """Takes records without waiting; one thread writes them, another finishes files. Close it to write what is left."""

    rules: CaptureRules
    model: str
    version: str
    clock: Clock = field(default_factory=SystemClock)
    dropped: int = 0
    written_bytes: int = 0
    shipper: Shipper | None = None
    _queue: queue.Queue[tuple[str, list[dict[str, Any]], int] | None] = field(
        default_factory=lambda: queue.Queue(WAITING)
    )
    # what came in is counted by who answers requests, what went out by the writer: two threads never add to one number
    _in_bytes: int = 0
    _out_bytes: int = 0
    _freed_before: int = 0
    _look_at: float = 0.0
    _quiet_until: float = 0.0
    _broken_until: float = 0.0
    _writer: threading.Thread | None = None
    _finisher: threading.Thread | None = None
    _open: dict[str, _Segment] = field(default_factory=dict)
    _whole: queue.SimpleQueue[_Segment | None] = field(default_factory=queue.SimpleQueue)

    def start(self) -> None:
        """Begin to write; what others left or write in the folder counts towards the bound."""
        self.rules.folder.mkdir(parents=True, exist_ok=True)
        self._look()
        if self.shipper is not None:
            self.shipper.start()
        self._finisher = threading.Thread(target=self._finish_all, name="capture files", daemon=True)
        self._finisher.start()
        self._writer = threading.Thread(target=self._write_all, name="capture", daemon=True)
        self._writer.start()

    def wants(self) -> bool:
        """Whether this request is in the sample."""
        return self.rules.rate >= 1 or random.random() < self.rules.rate  # noqa: S311 - a sample, not a secret

    def record(
        self, request_id: str, body: bytes, answer: bytes, seconds: float, headers: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Keep one request that was answered; dropped, and counted, when the writer is behind."""
        entry: dict[str, Any] = {"request_id": request_id, "body": body, "answer": answer}
        if self.rules.headers:
            given = {name: (headers or {}).get(name.encode()) for name in sorted(self.rules.headers)}
            entry["headers"] = {name: value.decode("latin-1") for name, value in given.items() if value is not None}
        self._put(REQUESTS, [{**entry, "latency_ms": round(seconds * 1000, 3)}], len(body) + len(answer))

    def feedback(self, items: Sequence[Mapping[str, Any]], size: int) -> bool:
        """Keep what turned out to be true of earlier requests, `size` bytes of JSON; false when it could not be kept, none of it."""
        if time.monotonic() < self._broken_until:
            self.dropped += len(items)
            return False
        said = [{"request_id": item["request_id"], "truth": item["truth"]} for item in items]
        return not said or self._put(FEEDBACK, said, size)

    def close(self) -> None:
        """Write what waits, send it where it goes, then stop."""
        if self._writer is None or self._finisher is None:
            return
        deadline = time.monotonic() + CLOSE_S
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_S)
            self._writer.join(CLOSE_S)
        if self._writer.is_alive():
            LOG.warning("%d records could not be written within %g s, they are lost", self._queue.qsize(), CLOSE_S)
        self._finisher.join(max(0.0, deadline - time.monotonic()))
        if self._finisher.is_alive():
            LOG.warning("records are still being written after %g s; the next server here takes them up", CLOSE_S)
        self._writer = self._finisher = None
        if self.shipper is not None:
            self.shipper.close()

    def _put(self, kind: str, entries: list[dict[str, Any]], size: int) -> bool:
        if self._is_full() or self._in_bytes - self._out_bytes + size > WAITING_BYTES:
            self.dropped += len(entries)
            return False
        about = {"at": iso(self.clock.now()), "model": self.model, "version": self.version}
        try:
            self._queue.put_nowait((kind, [{**about, **entry} for entry in entries], size))
        except queue.Full:
            self.dropped += len(entries)
            return False
        self._in_bytes += size
        return True

    def _freed(self) -> int:
        return self.shipper.freed_bytes if self.shipper is not None else 0

    def _is_full(self) -> bool:
        return self.written_bytes - (self._freed() - self._freed_before) >= self.rules.max_bytes

    def _look(self) -> None:
        """How much there is by now: other processes write here too, and files are taken away."""
        began = time.monotonic()
        freed = self._freed()
        self.written_bytes = _size_below(self.rules.folder)
        self._freed_before = freed
        now = time.monotonic()
        self._look_at = now + max(LOOK_S, LOOK_SHARE * (now - began))

    def _finish_all(self) -> None:
        """What others left, then what is whole: records go on being written, however long a file takes."""
        for path, file in _left_behind(self.rules.folder, KINDS if self.shipper is not None else KINDS[:1]):
            self._settle(path, file)
        while (segment := self._whole.get()) is not None:
            self._settle(segment.path, segment.file)
            segment.file.close()

    def _write_all(self) -> None:
        while True:
            if time.monotonic() >= self._look_at:
                self._look()
            try:
                taken = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._finish()
                continue
            if taken is None:
                self._finish(all_of_them=True)
                self._whole.put(None)
                return
            kind, entries, size = taken
            self._out_bytes += size
            self._try_to_write(kind, entries)
            self._finish()

    def _try_to_write(self, kind: str, entries: list[dict[str, Any]]) -> None:
        """A disk that is full costs records, never the writer; said once a minute, however many there are."""
        try:
            self._write(kind, entries)
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as exc:
            self.dropped += len(entries)
            self._broken_until = time.monotonic() + BROKEN_S if isinstance(exc, OSError) else 0.0
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + QUIET_S
                LOG.warning("captured requests cannot be written, they are dropped: %s: %s", type(exc).__name__, exc)

    def _write(self, kind: str, entries: list[dict[str, Any]]) -> None:
        names = self.rules.masked
        for entry in entries:
            for name, raw in (("request", entry.pop("body", None)), ("response", entry.pop("answer", None))):
                if raw is not None and name in self.rules.parts:
                    # an answer's bare values are predictions, a request's may be of any column
                    entry[name] = _kept(raw, names, bare=name == "request")
            for name in ("headers", "truth"):
                if name in entry:
                    entry[name] = masked(entry[name], names, bare=False)
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        self._segment(kind, self.rules.partition(entries[0]["at"])).add(lines)
        self.written_bytes += len(lines)

    def _segment(self, kind: str, partition: str) -> _Segment:
        """The file being written for this partition; the one before is finished."""
        found = self._open.get(kind)
        if found is None or found.partition != partition:
            if found is not None:
                self._whole.put(self._open.pop(kind))
            folder = self.rules.folder / kind / f"version={self.version}" / partition
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{GROWING}{os.getpid()}-{secrets.token_hex(6)}.jsonl"
            file = path.open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            soon = self.shipper is not None and not self.shipper.taken
            found = self._open[kind] = _Segment(path, partition, file, FIRST_S if soon else self.rules.old_s)
        return found

    def _patience(self) -> float:
        """Seconds until the next file is old, or the folder is to be measured."""
        ends = [segment.began + segment.old_s for segment in self._open.values()]
        return max(0.01, min([*ends, self._look_at]) - time.monotonic())

    def _finish(self, *, all_of_them: bool = False) -> None:
        """Close the files that are full or old."""
        now = time.monotonic()
        for kind, segment in list(self._open.items()):
            if all_of_them or segment.size >= FULL_BYTES or now - segment.began >= segment.old_s:
                self._whole.put(self._open.pop(kind))

    def _settle(self, path: Path, file: IO[bytes]) -> None:
        """A file nobody writes any more: as Parquet where that is possible, and on its way if records are kept elsewhere."""
        try:
            made = path
            if path.suffix == KINDS[0]:
                made = finish(path, path.relative_to(self.rules.folder).parts[0], file.fileno())
                self._look_at = 0.0  # it has another size now
        except (OSError, ValueError) as exc:
            LOG.warning("%s stays as lines of JSON: %s", path, exc)
            return
        if self.shipper is not None:
            self.shipper.take(made)


def _size_below(folder: Path) -> int:
    """Bytes of the records in a folder; what is taken away meanwhile does not count."""
    size = 0
    for path in _files_below(folder, KINDS):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size


def _files_below(folder: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Files of these kinds; unlike `rglob` it goes on when somebody takes a folder away meanwhile."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.endswith(kinds))


def _left_behind(folder: Path, kinds: tuple[str, ...]) -> Iterator[tuple[Path, IO[bytes]]]:
    """Files of servers that are gone: nobody holds their lock. One without a line may be about to get one."""
    for path in sorted(_files_below(folder, kinds)):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_size:
                yield path, file


def _kept(raw: bytes, names: frozenset[str], *, bare: bool) -> Any:  # noqa: ANN401
    """JSON as it is but for what is masked; of pictures and arrays only how large they were."""
    try:
        return masked(msgspec.json.decode(raw), names, bare=bare)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"size_bytes": len(raw)}


def is_prediction(request: Request) -> bool:
    """Whether it asks the model, and so is recorded when it was answered."""
    path = request.path
    return request.method == "POST" and (
        path in RECORDED or (path.startswith("/v2/models/") and path.endswith("/infer"))
    )


def _check_folder(folder: Path) -> None:
    """`UsageError` where nothing can be written: a server that only seems to record is worse than none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"{GROWING}{os.getpid()}.probe"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise UsageError(
            f"Nothing can be recorded in {folder}: {exc.strerror}", hint="--capture-dir takes a folder."
        ) from exc


def open_capture(options: argparse.Namespace, model: str, version: str) -> Capture:
    """The recording the options ask for; `UsageError` when it could not be sent where they say."""
    rules = CaptureRules(
        options.capture_dir,
        options.capture_rate,
        options.capture_max_bytes,
        _named(options.capture_mask),
        _named(options.capture_parts),
        options.capture_rolling,
        frozenset(name.lower() for name in _named(options.capture_headers)),
    )
    secret = next((n for n in sorted(rules.headers) if n in CREDENTIALS), None)
    if secret is not None:
        raise UsageError(f"--capture-headers names `{secret}`: what lets callers in is not recorded")
    _check_folder(rules.folder)
    if rules.masked:
        LOG.addFilter(HideMasked(rules.masked))
    if not options.capture_to:
        return Capture(rules, model, version)
    shipper = Shipper(options.capture_dir, options.capture_to, take_secrets(os.environ))
    shipper.check()
    return Capture(rules, model, version, shipper=shipper)


def _named(text: str) -> frozenset[str]:
    return frozenset(n.strip() for n in text.split(",") if n.strip())
