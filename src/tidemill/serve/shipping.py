"""Finished files of a recording, moved from a pod's buffer to where records are kept: a mounted folder, or a store fsspec speaks to.

A thread of its own does it: one that waits for a store holds up neither requests nor the writer. What cannot be sent stays in
the buffer and is tried again; the buffer's bound is the recording's own.
"""

from __future__ import annotations

import importlib
import logging
import queue
import shutil
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.base.places import ENV, SECRETS, locate, scrubbed, shown

LOG = logging.getLogger("tidemill.serve")
SPEAKERS = {"s3": "s3fs", "abfs": "adlfs"}
APART = "TIDEMILL_CAPTURE_SECRET_"
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
CLOSE_S = 15.0


def take_secrets(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The variables as the store's client is to have them. What lets into the store is taken out of `environ`: a model's code needs none of it."""
    given = {n.removeprefix(APART): environ.pop(n) for n in list(environ) if n.startswith(APART)}
    for name, value in given.items():
        if name not in SECRETS:  # a region, an account: the client looks for those itself
            environ.setdefault(name, value)
    return {**environ, **given}


@dataclass(slots=True)
class Shipper:
    """Sends files below `folder` to `to` under the same relative names, then removes them.

    Each count is one thread's own: the writer's are `taken`, this one's the others.
    """

    folder: Path
    to: str
    environ: ENV
    taken: int = 0
    sent: int = 0
    freed_bytes: int = 0
    failures: int = 0
    _queue: queue.Queue[Path | None] = field(default_factory=queue.Queue)  # as many as the buffer has room for
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _system: Any = None
    _root: str = ""

    @property
    def waiting(self) -> int:
        """Files that are not there yet."""
        return self.taken - self.sent

    def check(self) -> None:
        """`UsageError` when this Python cannot speak to the store."""
        if "://" not in self.to:
            return
        protocol = locate(self.to, self.environ).protocol
        missing = next((m for m in ("fsspec", SPEAKERS.get(protocol, "fsspec")) if find_spec(m) is None), None)
        if missing is not None:
            raise UsageError(f"Records cannot be sent to {shown(self.to)}: `{missing}` is not installed")

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._send_all, name="capture-shipping", daemon=True)
        self._thread.start()

    def take(self, path: Path) -> None:
        """A file that nobody writes any more."""
        self.taken += 1
        self._queue.put(path)

    def close(self) -> None:
        """Send what is left, each file tried once more; what does not leave in time is said."""
        if self._thread is None:
            return
        self._closing.set()
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        self._thread = None
        if self.waiting:
            LOG.error("%d files of records were not sent to %s", self.waiting, shown(self.to))

    def _send_all(self) -> None:
        pause_s = SHORTEST_PAUSE_S
        while (path := self._queue.get()) is not None:
            while not self._send(path):
                if self._closing.wait(pause_s):
                    self._send(path)
                    break
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = SHORTEST_PAUSE_S

    def _send(self, path: Path) -> bool:
        """Whether it is there now; the first failure after a success is said, and the end of failing, too."""
        try:
            size = path.stat().st_size
            self._put(path, path.relative_to(self.folder).as_posix())
            path.unlink()
        except Exception as exc:  # noqa: BLE001 - every store has errors of its own, and none may end the thread
            if not self.failures:
                LOG.warning("records do not reach %s, they wait here: %s", shown(self.to), scrubbed(exc))
            self.failures += 1
            self._system = None
            return False
        if self.failures:
            LOG.info("records reach %s again", shown(self.to))
        self.failures, self.sent, self.freed_bytes = 0, self.sent + 1, self.freed_bytes + size
        return True

    def _put(self, path: Path, relative: str) -> None:
        if "://" not in self.to:
            target = Path(self.to) / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            growing = target.with_name(f".{target.name}")
            shutil.copyfile(path, growing)
            growing.replace(target)
            return
        if self._system is None:
            place = locate(self.to, self.environ)
            fsspec = importlib.import_module("fsspec")
            self._system = fsspec.filesystem(place.protocol, skip_instance_cache=True, **place.options)
            self._root = place.path.rstrip("/")
        target_path = f"{self._root}/{relative}"
        if locate(self.to, self.environ).protocol not in SPEAKERS:  # those have no folders, and may let us write alone
            self._system.makedirs(target_path.rpartition("/")[0], exist_ok=True)
        self._system.put_file(str(path), target_path)
