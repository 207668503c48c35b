"""Requests and answers recorded by sample, off the request path, bounded in memory and on disk.

`<folder>/requests/version=3/date=2026-11-21/…` holds one record a request: id, time, model, version, request, answer, latency;
`<folder>/feedback/…`, parted likewise, holds what turned out to be true, joined later by the request's id. Records are lines
of JSON until a file is full, old, or the server stops; then, where pyarrow is installed, the file becomes a Parquet file.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tidemill.base.clock import Clock, SystemClock, iso
from tidemill.serve.records import KINDS, to_parquet
from tidemill.serve.settings import GIB

LOG = logging.getLogger("tidemill.serve")
WAITING = 1000  # records; beyond that they are counted and dropped, never waited for
MASK = "***"
REQUESTS, FEEDBACK = "requests", "feedback"
FULL_BYTES = 16 << 20
WAITING_BYTES = 64 << 20
OLD_S = 300.0
BOTH = frozenset({"request", "response"})


@dataclass(frozen=True, slots=True)
class CaptureRules:
    """What is kept. `rate` is Azure's `sampling_rate`, 0 to 1; `masked` names columns whose values are not kept."""

    folder: Path
    rate: float = 1.0
    max_bytes: int = GIB
    masked: frozenset[str] = frozenset()
    parts: frozenset[str] = BOTH


@dataclass(slots=True)
class _Segment:
    """A file that is being written."""

    path: Path
    date: str
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
    _queue: queue.Queue[tuple[str, dict[str, Any]] | None] = field(default_factory=lambda: queue.Queue(WAITING))
    _waiting_bytes: int = 0
    _thread: threading.Thread | None = None
    _open: dict[str, _Segment] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to write; what earlier processes left counts towards the bound."""
        self.rules.folder.mkdir(parents=True, exist_ok=True)
        self.written_bytes = sum(p.stat().st_size for p in self.rules.folder.rglob("*.*") if p.suffix in KINDS)
        self._thread = threading.Thread(target=self._write_all, name="capture", daemon=True)
        self._thread.start()

    def wants(self) -> bool:
        """Whether this request is in the sample."""
        return self.rules.rate >= 1 or random.random() < self.rules.rate  # noqa: S311 - a sample, not a secret

    def record(self, request_id: str, body: bytes, answer: bytes, seconds: float) -> None:
        """Keep one request that was answered; dropped, and counted, when the writer is behind."""
        self._put(
            REQUESTS, {"request_id": request_id, "body": body, "answer": answer, "latency_ms": round(seconds * 1000, 3)}
        )

    def feedback(self, request_id: str, truth: Any) -> bool:  # noqa: ANN401 - any JSON value
        """Keep what turned out to be true of an earlier request; false when it could not be kept."""
        return self._put(FEEDBACK, {"request_id": request_id, "truth": truth})

    def close(self) -> None:
        """Write what waits, then stop."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(5)
            self._thread = None

    def _put(self, kind: str, entry: dict[str, Any]) -> bool:
        size = len(entry.get("body", b"")) + len(entry.get("answer", b""))
        if self.written_bytes >= self.rules.max_bytes or self._waiting_bytes + size > WAITING_BYTES:
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

    def _write_all(self) -> None:
        while True:
            try:
                taken = self._queue.get(timeout=OLD_S)
            except queue.Empty:
                self._finish(OLD_S)
                continue
            if taken is None:
                self._finish(0)
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
                entry[name] = masked(_json_or_size(raw), self.rules.masked)
        line = msgspec.json.encode(entry) + b"\n"
        segment = self._segment(kind, entry["at"][:10])
        with segment.path.open("ab") as file:
            file.write(line)
        segment.size += len(line)
        self.written_bytes += len(line)
        self._finish(OLD_S)

    def _segment(self, kind: str, date: str) -> _Segment:
        """The file being written for this day; yesterday's is finished."""
        found = self._open.get(kind)
        if found is None or found.date != date:
            if found is not None:
                self._close(self._open.pop(kind))
            folder = self.rules.folder / kind / f"version={self.version}" / f"date={date}"
            folder.mkdir(parents=True, exist_ok=True)
            found = self._open[kind] = _Segment(folder / f"{os.getpid()}-{secrets.token_hex(6)}.jsonl", date)
        return found

    def _finish(self, age_s: float) -> None:
        """Close the files that are full, or older than `age_s`."""
        now = time.monotonic()
        for kind, segment in list(self._open.items()):
            if segment.size >= FULL_BYTES or now - segment.began >= age_s:
                self._close(self._open.pop(kind))

    def _close(self, segment: _Segment) -> None:
        """As Parquet where that is possible; else it stays what it is."""
        before = segment.path.stat().st_size
        try:
            made = to_parquet(segment.path)
        except (OSError, ValueError) as exc:
            LOG.warning("%s stays as lines of JSON: %s", segment.path, exc)
            return
        if made is not None:
            self.written_bytes += made.stat().st_size - before


def _json_or_size(raw: bytes) -> Any:  # noqa: ANN401
    """JSON as it is; of pictures and arrays only how large they were."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {"size_bytes": len(raw)}


def masked(value: Any, names: frozenset[str]) -> Any:  # noqa: ANN401
    """The same JSON value with what stands under `names` hidden; bare lists of values too, since they have no names."""
    if not names:
        return value
    if isinstance(value, list):
        return [masked(v, names) if isinstance(v, (dict, list)) else MASK for v in value]
    if not isinstance(value, dict):
        return value
    columns, data = value.get("columns"), value.get("data")
    hidden = {k: MASK if k in names else masked(v, names) for k, v in value.items()}
    if isinstance(columns, list) and isinstance(data, list):
        hidden["columns"] = columns
        hidden["data"] = [_masked_row(columns, row, names) for row in data]
    return hidden


def _masked_row(columns: list[Any], row: Any, names: frozenset[str]) -> Any:  # noqa: ANN401
    if not isinstance(row, list) or len(row) != len(columns):
        return MASK
    return [MASK if str(c) in names else v for c, v in zip(columns, row, strict=True)]
