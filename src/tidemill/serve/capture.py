"""Requests and answers recorded by sample, off the request path, bounded in memory and on disk.

`<folder>/requests/version=3/date=2026-11-21/…` holds one record a request: id, time, model, version, request, answer, latency;
`<folder>/feedback/…`, parted likewise, holds what turned out to be true, joined later by the request's id. Records are lines
of JSON until a file is full, old, or the server stops; then, where pyarrow is installed, the file becomes a Parquet file, and
leaves for where records are kept if that is elsewhere. A file that a killed server left is taken up by the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import queue
import random
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from tidemill.base.clock import Clock, SystemClock, iso
from tidemill.serve.records import KINDS, to_parquet
from tidemill.serve.settings import GIB
from tidemill.serve.shipping import Shipper

LOG = logging.getLogger("tidemill.serve")
WAITING = 1000  # records; beyond that they are counted and dropped, never waited for
MASK = "***"
REQUESTS, FEEDBACK = "requests", "feedback"
FULL_BYTES = 16 << 20
WAITING_BYTES = 64 << 20
OLD_S, MINUTE_S = 300.0, 60.0
FIRST_S = 2.0  # the first file leaves soon, so that a store that cannot be reached is known at once
CLOSE_S = 10.0
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


@dataclass(slots=True)
class Capture:
    """Takes records without waiting; one thread writes them. Close it to write what is left."""

    rules: CaptureRules
    model: str
    version: str
    clock: Clock = field(default_factory=SystemClock)
    dropped: int = 0
    written_bytes: int = 0
    shipper: Shipper | None = None
    _queue: queue.Queue[tuple[str, dict[str, Any]] | None] = field(default_factory=lambda: queue.Queue(WAITING))
    _waiting_bytes: int = 0
    _thread: threading.Thread | None = None
    _open: dict[str, _Segment] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to write; what earlier processes left counts towards the bound."""
        self.rules.folder.mkdir(parents=True, exist_ok=True)
        self.written_bytes = sum(p.stat().st_size for p in self.rules.folder.rglob("*.*") if p.suffix in KINDS)
        if self.shipper is not None:
            self.shipper.start()
        self._thread = threading.Thread(target=self._write_all, name="capture", daemon=True)
        self._thread.start()

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
        self._put(REQUESTS, {**entry, "latency_ms": round(seconds * 1000, 3)})

    def feedback(self, request_id: str, truth: Any) -> bool:  # noqa: ANN401 - any JSON value
        """Keep what turned out to be true of an earlier request; false when it could not be kept."""
        return self._put(FEEDBACK, {"request_id": request_id, "truth": truth})

    def close(self) -> None:
        """Write what waits, send it where it goes, then stop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_S)
            self._thread = None
            if self.shipper is not None:
                self.shipper.close()

    def _put(self, kind: str, entry: dict[str, Any]) -> bool:
        size = len(entry.get("body", b"")) + len(entry.get("answer", b""))
        if self._is_full() or self._waiting_bytes + size > WAITING_BYTES:
            self.dropped += 1
            return False
        try:
            self._queue.put_nowait(
                (kind, {"at": iso(self.clock.now()), "model": self.model, "version": self.version, **entry})
            )
        except queue.Full:
            self.dropped += 1
            return False
        self._waiting_bytes += size
        return True

    def _is_full(self) -> bool:
        left = self.shipper.freed_bytes if self.shipper is not None else 0
        return self.written_bytes - left >= self.rules.max_bytes

    def _write_all(self) -> None:
        for path in list(_left_behind(self.rules.folder, KINDS if self.shipper is not None else KINDS[:1])):
            self._settle(path)
        while True:
            try:
                taken = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._finish()
                continue
            if taken is None:
                self._finish(all_of_them=True)
                return
            self._waiting_bytes -= len(taken[1].get("body", b"")) + len(taken[1].get("answer", b""))
            try:
                self._write(*taken)
            except OSError as exc:
                self.dropped += 1
                LOG.warning("a captured request could not be written: %s", exc)

    def _write(self, kind: str, entry: dict[str, Any]) -> None:
        for name, raw in (("request", entry.pop("body", None)), ("response", entry.pop("answer", None))):
            if raw is not None and name in self.rules.parts:
                # an answer's bare values are predictions, a request's may be of any column
                entry[name] = masked(_json_or_size(raw), self.rules.masked, bare=name == "request")
        if "headers" in entry:
            entry["headers"] = masked(entry["headers"], self.rules.masked)
        line = msgspec.json.encode(entry) + b"\n"
        segment = self._segment(kind, self.rules.partition(entry["at"]))
        segment.file.write(line)
        segment.file.flush()
        segment.size += len(line)
        self.written_bytes += len(line)
        self._finish()

    def _segment(self, kind: str, partition: str) -> _Segment:
        """The file being written for this partition; the one before is finished."""
        found = self._open.get(kind)
        if found is None or found.partition != partition:
            if found is not None:
                self._close(self._open.pop(kind))
            folder = self.rules.folder / kind / f"version={self.version}" / partition
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{os.getpid()}-{secrets.token_hex(6)}.jsonl"
            file = path.open("ab")
            fcntl.flock(file, fcntl.LOCK_EX)
            soon = self.shipper is not None and not self.shipper.taken
            found = self._open[kind] = _Segment(path, partition, file, FIRST_S if soon else self.rules.old_s)
        return found

    def _patience(self) -> float:
        """Seconds until the next file is old."""
        ends = [segment.began + segment.old_s for segment in self._open.values()]
        return max(0.01, min(ends) - time.monotonic()) if ends else OLD_S

    def _finish(self, *, all_of_them: bool = False) -> None:
        """Close the files that are full or old."""
        now = time.monotonic()
        for kind, segment in list(self._open.items()):
            if all_of_them or segment.size >= FULL_BYTES or now - segment.began >= segment.old_s:
                self._close(self._open.pop(kind))

    def _close(self, segment: _Segment) -> None:
        self._settle(segment.path)
        segment.file.close()

    def _settle(self, path: Path) -> None:
        """A file nobody writes any more: as Parquet where that is possible, and on its way if records are kept elsewhere."""
        try:
            before = path.stat().st_size
            made = to_parquet(path) if path.suffix == ".jsonl" else path
            if made is not None and made != path:
                self.written_bytes += made.stat().st_size - before
        except (OSError, ValueError) as exc:
            LOG.warning("%s stays as lines of JSON: %s", path, exc)
            made = None
        if self.shipper is not None and (made or path).exists():
            self.shipper.take(made or path)


def _left_behind(folder: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Files of servers that are gone: nobody holds their lock. One without a line may be about to get one."""
    for path in sorted(p for p in folder.rglob("*.*") if p.suffix in kinds):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_size:
                yield path


def _json_or_size(raw: bytes) -> Any:  # noqa: ANN401
    """JSON as it is; of pictures and arrays only how large they were."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {"size_bytes": len(raw)}


def masked(value: Any, names: frozenset[str], *, bare: bool = True) -> Any:  # noqa: ANN401
    """The same JSON value with what stands under `names` hidden; `bare` lists of values too, since they have no names."""
    if not names:
        return value
    if isinstance(value, list):
        return [masked(v, names, bare=bare) if isinstance(v, (dict, list)) else MASK if bare else v for v in value]
    if not isinstance(value, dict):
        return value
    columns, data = value.get("columns"), value.get("data")
    hidden = {k: MASK if k in names else masked(v, names, bare=bare) for k, v in value.items()}
    if isinstance(columns, list) and isinstance(data, list):
        hidden["columns"] = columns
        hidden["data"] = [_masked_row(columns, row, names) for row in data]
    return hidden


def _masked_row(columns: list[Any], row: Any, names: frozenset[str]) -> Any:  # noqa: ANN401
    if not isinstance(row, list) or len(row) != len(columns):
        return MASK
    return [MASK if str(c) in names else v for c, v in zip(columns, row, strict=True)]


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
    if not options.capture_to:
        return Capture(rules, model, version)
    shipper = Shipper(options.capture_dir, options.capture_to, os.environ)
    shipper.check()
    return Capture(rules, model, version, shipper=shipper)


def _named(text: str) -> frozenset[str]:
    return frozenset(n.strip() for n in text.split(",") if n.strip())
