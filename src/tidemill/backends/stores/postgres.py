"""Facts in a PostgreSQL database that several machines share."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill.backends.postgres import Session, connect, is_alive, key_of, speaking_to
from tidemill.backends.stores.sql import LATER, SCHEMA, VERSION, SqlStore, Statements
from tidemill.base.errors import BackendError
from tidemill.base.hashing import FileStamp

TABLES = SCHEMA.format(serial="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", by_key="", by_byte='COLLATE "C"')
# One writer at a time, as in SQLite: sequence numbers then appear in order, and nobody who reads on from one misses any.
WRITER = key_of("store", "writer")


class PostgresStore(SqlStore):
    """The shared `RunStore`; a connection that was lost between two transactions is made again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._depth = 0
        self._machine = f"{socket.gethostname()}:"
        self._db = connect(url)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with self._transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS tidemill_schema (version INTEGER NOT NULL)")
            row = db.execute("SELECT version FROM tidemill_schema").fetchone()
            if row is None:
                db.execute(TABLES)
                db.execute("INSERT INTO tidemill_schema VALUES (?)", (VERSION,))
            elif row[0] > VERSION:
                raise BackendError("The database was written by a newer Tidemill", hint="Upgrade Tidemill.")
            if db.execute("SELECT to_regclass('events_noticed')").fetchone() == (None,):
                for statement in LATER:
                    db.execute(statement)

    def find_stamps(self, prefix: str) -> dict[str, tuple[FileStamp, str]]:
        """Digests known below a path of this machine: other machines have other files there."""
        found = super().find_stamps(self._machine + prefix)
        return {path.removeprefix(self._machine): known for path, known in found.items()}

    def remember_stamps(self, rows: Mapping[str, tuple[FileStamp, str]]) -> None:
        """Remember digests of this machine's files."""
        super().remember_stamps({self._machine + path: known for path, known in rows.items()})

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._db.close()

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, speaking_to(self._url):
            if not self._depth:
                self._revive()
            rows: list[tuple[Any, ...]] = self._db.execute(_marked(sql), values).fetchall()
            return rows

    @contextlib.contextmanager
    def _transaction(self, *, dear: bool = False) -> Iterator[Statements]:  # noqa: ARG002 - every commit is on its disk
        with self._lock, speaking_to(self._url):
            if self._depth:
                yield _Statements(self._db)
                return
            self._revive()
            self._depth += 1
            try:
                with self._db.transaction():
                    self._db.execute("SELECT pg_advisory_xact_lock(%s)", (WRITER,))
                    yield _Statements(self._db)
            finally:
                self._depth -= 1

    def _revive(self) -> None:
        """A new connection in place of one that died while nothing was under way."""
        if not is_alive(self._db):
            self._db = connect(self._url)


class _Statements:
    """PostgreSQL's way to write values into statements."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Any:  # noqa: ANN401 - a cursor
        """One statement; without values it may be several."""
        return self._db.execute(_marked(sql), values or None)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> object:
        """The same statement for each row."""
        with self._db.cursor() as cursor:
            cursor.executemany(_marked(sql), rows)
        return None


def _marked(sql: str) -> str:
    return sql.replace("?", "%s")


def open_store(url: str) -> PostgresStore:
    """The store at a `postgresql://` URL; its tables are made if need be."""
    return PostgresStore(url)
