"""Facts in one SQLite file: write-ahead log, one connection per process, short transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tidemill.backends.stores.sql import LATER, SCHEMA, VERSION, SqlStore
from tidemill.base.errors import BackendError, ConflictError
from tidemill.record.ports import place_of

BUSY_S = 30.0
TABLES = SCHEMA.format(serial="INTEGER PRIMARY KEY AUTOINCREMENT", by_key=" WITHOUT ROWID", by_byte="")


class SqliteStore(SqlStore):
    """The embedded `RunStore`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._depth = 0
        with _speaking_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._prepare()
            self._file = os.stat(path)  # noqa: PTH116 - asked for again at each transaction

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise BackendError(
                f"`{self._path}` was written by a newer Tidemill", hint="Upgrade Tidemill, or set TIDEMILL_HOME."
            )
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -8000")
        if version < VERSION:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        for statement in LATER:
            self._db.execute(statement)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, _speaking_to(self._path):
            return self._db.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self, *, dear: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing; one that is `dear` is on the disk before this returns, power cut or not."""
        with self._lock, _speaking_to(self._path):
            if self._depth:
                yield self._db
                return
            self._require_in_place()
            if dear:
                self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth -= 1
                if dear:
                    self._db.execute("PRAGMA synchronous = NORMAL")

    def _require_in_place(self) -> None:
        """What is written to a file that nobody can open any more would be lost without a word."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), self._file):  # noqa: PTH116
                return
        raise BackendError(
            f"The database `{self._path}` was removed or replaced while it was in use",
            hint="What happened since is not recorded: run again, and leave the folder alone until that has ended.",
        )


def open_store(home: Path) -> SqliteStore:
    """The store of the workspace at `home`, made if need be."""
    return SqliteStore(place_of(home))


@contextlib.contextmanager
def _speaking_to(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise ConflictError(f"That name is taken already ({exc})", hint="Choose another name.") from exc
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorname", "")
        hint = "Another process holds it: wait, or stop it." if code.startswith("SQLITE_BUSY") else _disk_hint(path)
        raise BackendError(f"The database `{path}` failed: {exc}", hint=hint) from exc
    except OSError as exc:
        raise BackendError(f"Cannot use `{path}`: {exc.strerror or exc}", hint=_disk_hint(path)) from exc


def _disk_hint(path: Path) -> str:
    if not os.access(path.parent, os.W_OK):
        return f"`{path.parent}` is not writable; set TIDEMILL_HOME to a folder that is."
    return "Check the disk's free space."
