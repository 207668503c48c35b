"""Locks across machines by PostgreSQL's advisory locks: they go with the connection of the process that holds them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from psycopg import Error

from tidemill.backends.postgres import Session, connect, is_alive, key_of, speaking_to
from tidemill.base.errors import ConflictError
from tidemill.base.ids import JobName

AGAIN_S = 0.1
PATIENCE_S = 1.0
HOLDERS = """
SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = %s AND objid::bigint = %s
"""


class PostgresLocks:
    """A connection for each job driven here, and one for all steps' keys.

    A server that was restarted knows of no locks: what is held here is taken again before the next step starts, and
    `ConflictError` ends the run if somebody else was quicker.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._steps = connect(url)
        self._held: set[int] = set()
        self._jobs: dict[JobName, Session] = {}
        self._one = threading.Lock()

    @contextlib.contextmanager
    def job(self, job: JobName) -> Iterator[None]:
        """Drive a job; `ConflictError` if another process, on whichever machine, does."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                taken = self._take_job(job)
                break
            except ConflictError:  # or it only settles the job
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_S)
        with self._one:
            self._jobs[job] = taken
        try:
            yield
        finally:
            with self._one:
                session = self._jobs.pop(job)
                with contextlib.suppress(
                    Error
                ):  # closing alone lets go a moment later: until then the job seems driven
                    session.execute("SELECT pg_advisory_unlock_all()")
                session.close()

    def is_driven(self, job: JobName) -> bool:
        """Whether some process on some machine drives the job at present."""
        key = key_of("job", job) % 2**64
        with self._one, speaking_to(self._url):
            self._revive()
            return self._steps.execute(HOLDERS, (key >> 32, key % 2**32)).fetchone() is not None

    @contextlib.contextmanager
    def step(self, key: str, give_up: Callable[[], bool]) -> Iterator[None]:
        """Wait for, then hold, the lock of a step's key. Within this process its threads must exclude each other."""
        number = key_of("step", key)
        while not self._try_step(number):
            if give_up():
                raise ConflictError("Another run of the same step is under way", hint="Wait for it to end.")
            time.sleep(AGAIN_S)
        try:
            yield
        finally:
            # A connection that is gone has let go of its locks already.
            with self._one, contextlib.suppress(Error):
                self._held.discard(number)
                self._steps.execute("SELECT pg_advisory_unlock(%s)", (number,))

    def _try_step(self, number: int) -> bool:
        with self._one, speaking_to(self._url):
            self._revive()
            if not _take(self._steps, number):
                return False
            self._held.add(number)
            return True

    def _take_job(self, job: JobName) -> Session:
        db = connect(self._url)
        with speaking_to(self._url):
            if _take(db, key_of("job", job)):
                return db
        db.close()
        raise ConflictError(f"Another process holds job {job}", hint="Wait for it to end.")

    def _revive(self) -> None:
        """New connections in place of dead ones, with the locks that those held."""
        for job, db in self._jobs.items():
            if not is_alive(db):
                self._jobs[job] = self._take_job(job)
        if not is_alive(self._steps):
            self._steps = connect(self._url)
            if not all(_take(self._steps, number) for number in self._held):
                raise ConflictError("Another machine took over a step while the database was away")

    def close(self) -> None:
        """Let go of everything."""
        with self._one:
            self._steps.close()


def _take(db: Session, number: int) -> bool:
    row = db.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
    return row is not None and bool(row[0])


def open_locks(url: str) -> PostgresLocks:
    """The locks of everybody who uses the database at `url`."""
    return PostgresLocks(url)
