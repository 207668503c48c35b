"""What past runs know: the step cache, and digests of files that did not change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tidemill.base.clock import SystemClock
from tidemill.base.hashing import FileStamp
from tidemill.record.ports import RunStore
from tidemill.run.ports import Remembered

YOUNG_NS = 50_000_000


class StoreCache:
    """The `StepCache` over the facts of past runs."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

    def find(self, key: str) -> Remembered | None:
        """Outputs kept under that key."""
        return self._store.find_step(key)

    def forget(self, key: str) -> None:
        """Drop an entry that proved broken."""
        self._store.forget_step(key)

    def last_parts(self, scope: str, step: str) -> Mapping[str, str] | None:
        """What the step's key was made of the last time."""
        return self._store.last_parts(scope, step)


class StampMemory:
    """A `StampCache` for the files at or below one path: read at once, what is new written back on leaving."""

    def __init__(self, store: RunStore, root: Path) -> None:
        self._store = store
        self._known = store.find_stamps(str(root))
        self._new: dict[str, tuple[FileStamp, str]] = {}
        self._now_ns = int(SystemClock().now().timestamp() * 1e9)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def find(self, path: str, stamp: FileStamp) -> str | None:
        """The digest of a file that has not changed."""
        known = self._known.get(path)
        return known[1] if known and known[0] == stamp else None

    def remember(self, path: str, stamp: FileStamp, digest: str) -> None:
        """Note a digest, to be kept on leaving; not of a file so young that it may change within its stamp."""
        if self._now_ns - stamp.ctime_ns > YOUNG_NS:
            self._new[path] = (stamp, digest)

    def flush(self) -> None:
        """Keep what is new."""
        if self._new:
            self._store.remember_stamps(self._new)
            self._known.update(self._new)
            self._new = {}
