"""What the stores in SQL share: tables, the rows that follow from events, and every question asked of them."""

from __future__ import annotations

import abc
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tidemill.base.errors import ConflictError
from tidemill.base.hashing import FileStamp
from tidemill.record.ports import AssetRow, CachedStep, JobRow, KnownStep
from tidemill.run.events import (
    JobCreated,
    JobEdited,
    JobFinished,
    JobResumed,
    RunEvent,
    StepFinished,
    StepKept,
    StepReused,
    StepStarted,
    make_event,
)
from tidemill.run.ports import Remembered

LONG_STEP_S = 1.0
NO_LIMIT = 2**62
VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  seq {serial}, job TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_job ON events (job, seq);
CREATE TABLE IF NOT EXISTS jobs (
  seq {serial}, name TEXT NOT NULL UNIQUE, status TEXT NOT NULL, display_name TEXT NOT NULL,
  experiment_name TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, created_at TEXT NOT NULL, started_at TEXT,
  ended_at TEXT, archived INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL, tags TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS step_cache (
  key TEXT PRIMARY KEY, job TEXT NOT NULL, step TEXT NOT NULL, outputs TEXT NOT NULL, metrics TEXT NOT NULL,
  at TEXT NOT NULL){by_key};
CREATE TABLE IF NOT EXISTS step_parts (
  scope TEXT NOT NULL, step TEXT NOT NULL, parts TEXT NOT NULL, PRIMARY KEY (scope, step)){by_key};
CREATE TABLE IF NOT EXISTS stamps (
  path TEXT {by_byte} PRIMARY KEY, size BIGINT NOT NULL, mtime BIGINT NOT NULL, ctime BIGINT NOT NULL,
  inode BIGINT NOT NULL, digest TEXT NOT NULL){by_key};
CREATE TABLE IF NOT EXISTS assets (
  seq {serial}, kind TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
  digest TEXT NOT NULL, created_at TEXT NOT NULL, path TEXT NOT NULL, type TEXT NOT NULL, description TEXT NOT NULL,
  tags TEXT NOT NULL, body TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0, UNIQUE (kind, name, version));
CREATE TABLE IF NOT EXISTS documents (
  seq {serial}, collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  UNIQUE (collection, key));
"""
# made in every database that lacks it: who knows nothing of it loses nothing
LATER = (
    "CREATE INDEX IF NOT EXISTS jobs_of_status ON jobs (status)",
    "CREATE INDEX IF NOT EXISTS events_noticed ON events (job, seq) WHERE kind IN ('finding_raised', 'step_noted')",
)
AT_ONCE = 5000  # events that are in memory when all are read

_JOB_COLUMNS = (
    "name, status, display_name, experiment_name, type, source, created_at, started_at, ended_at, archived, owner, tags"
)
_ASSET_COLUMNS = "kind, name, version, digest, created_at, path, type, description, tags, body, archived"


class Answer(Protocol):
    """What came of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it touched."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - a row, or None
        """The next row."""
        ...


class Statements(Protocol):
    """A transaction under way. Values stand where the question marks are."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answer:
        """One statement."""
        ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> object:
        """The same statement for each row."""
        ...


@dataclass(slots=True)
class _Standing:
    """A step while its facts are gone through."""

    key: str = ""
    refs: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class SqlStore(abc.ABC):
    """A `RunStore` over a database that speaks SQL; a subclass knows how to reach it."""

    @abc.abstractmethod
    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a question."""

    @abc.abstractmethod
    def _transaction(self, *, dear: bool = False) -> AbstractContextManager[Statements]:
        """All or nothing, one writer at a time; one that is `dear` is on the disk before this returns."""

    def append(self, events: Sequence[RunEvent]) -> None:
        """Keep events and what follows from them, in one transaction."""
        dear = any(
            isinstance(e, StepKept) or (isinstance(e, StepFinished) and e.duration_s > LONG_STEP_S) for e in events
        )
        with self._transaction(dear=dear) as db:
            db.executemany(
                "INSERT INTO events (job, kind, at, body) VALUES (?, ?, ?, ?)",
                [(e.job, e.kind, e.at, _dump(e.body())) for e in events],
            )
            for event in events:
                _project(db, event)

    def events(self, job: str, *, after: int = 0) -> list[tuple[int, RunEvent]]:
        """A job's events in order."""
        rows = self._rows("SELECT seq, kind, at, body FROM events WHERE job = ? AND seq > ? ORDER BY seq", job, after)
        made = ((seq, make_event(kind, job, at, json.loads(body))) for seq, kind, at, body in rows)
        return [(seq, event) for seq, event in made if event is not None]

    def jobs(self, *, limit: int | None = None, archived: bool = False) -> list[JobRow]:
        """Jobs, newest first."""
        rows = self._rows(
            f"SELECT {_JOB_COLUMNS} FROM jobs WHERE archived <= ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - constant
            int(archived),
            NO_LIMIT if limit is None else limit,
        )
        return [_job_row(r) for r in rows]

    def running_jobs(self) -> list[JobRow]:
        """Jobs that say they run, newest first."""
        rows = self._rows(f"SELECT {_JOB_COLUMNS} FROM jobs WHERE status = ? ORDER BY seq DESC", "Running")  # noqa: S608 - constant
        return [_job_row(r) for r in rows]

    def known_steps(self) -> list[KnownStep]:
        """The steps that began of all jobs."""
        found: dict[tuple[str, str], _Standing] = {}
        for kind, job, body in self._step_events():
            step = found.setdefault((job, body["step"]), _Standing())
            refs = tuple(body.get("outputs", {}).values())
            match kind:
                case StepStarted.kind:
                    step.key, step.kept = body.get("key", ""), ()
                case StepKept.kind:
                    step.kept = refs
                case _:
                    step.key, step.refs = body.get("key") or step.key, refs
        return [KnownStep(job, s.key, tuple(dict.fromkeys((*s.refs, *s.kept)))) for (job, _), s in found.items()]

    def _step_events(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """What says how steps stand, of all jobs, some thousands at a time."""
        last = 0
        sql = "SELECT seq, kind, job, body FROM events WHERE seq > ? AND kind IN (?, ?, ?, ?) ORDER BY seq LIMIT ?"
        kinds = (StepStarted.kind, StepReused.kind, StepKept.kind, StepFinished.kind)
        while rows := self._rows(sql, last, *kinds, AT_ONCE):
            yield from ((kind, job, json.loads(body)) for _, kind, job, body in rows)
            last = rows[-1][0]

    def job(self, name: str) -> JobRow | None:
        """One job."""
        rows = self._rows(f"SELECT {_JOB_COLUMNS} FROM jobs WHERE name = ?", name)  # noqa: S608 - constant
        return _job_row(rows[0]) if rows else None

    def archive_job(self, name: str, *, archived: bool) -> None:
        """Hide or show a job."""
        with self._transaction() as db:
            db.execute("UPDATE jobs SET archived = ? WHERE name = ?", (int(archived), name))

    def find_step(self, key: str) -> Remembered | None:
        """Outputs kept under a key."""
        rows = self._rows("SELECT job, step, outputs, metrics FROM step_cache WHERE key = ?", key)
        if not rows:
            return None
        job, step, outputs, metrics = rows[0]
        return Remembered(job, step, json.loads(outputs), json.loads(metrics), *self._noticed(job, step))

    def _noticed(self, job: str, step: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Findings and properties of a step; they hold for whoever reuses its outputs."""
        rows = self._rows(
            # in the words of its index: a job of thousands of steps is asked for each of them
            "SELECT body FROM events WHERE job = ? AND kind IN ('finding_raised', 'step_noted') ORDER BY seq",
            job,
        )
        bodies = [body for (text,) in rows if (body := json.loads(text)).get("step") == step]
        properties = {k: v for body in bodies for k, v in body.get("properties", {}).items()}
        return [body["finding"] for body in bodies if "finding" in body], properties

    def forget_step(self, key: str) -> None:
        """Drop an entry."""
        with self._transaction() as db:
            db.execute("DELETE FROM step_cache WHERE key = ?", (key,))

    def cached_steps(self) -> list[CachedStep]:
        """Every entry of the cache."""
        rows = self._rows("SELECT key, job, step, outputs, at FROM step_cache ORDER BY at")
        return [CachedStep(k, job, step, tuple(json.loads(outs).values()), at) for k, job, step, outs, at in rows]

    def last_parts(self, scope: str, step: str) -> Mapping[str, str] | None:
        """The parts of a step's last key."""
        rows = self._rows("SELECT parts FROM step_parts WHERE scope = ? AND step = ?", scope, step)
        return json.loads(rows[0][0]) if rows else None

    def find_stamps(self, prefix: str) -> dict[str, tuple[FileStamp, str]]:
        """Digests known below a path."""
        rows = self._rows(
            "SELECT path, size, mtime, ctime, inode, digest FROM stamps WHERE path = ? OR (path >= ? AND path < ?)",
            prefix,
            prefix + "/",
            prefix + "0",
        )
        return {
            path: (FileStamp(size, mtime, ctime, inode), digest) for path, size, mtime, ctime, inode, digest in rows
        }

    def remember_stamps(self, rows: Mapping[str, tuple[FileStamp, str]]) -> None:
        """Remember digests."""
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO stamps VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET size = excluded.size, "
                "mtime = excluded.mtime, ctime = excluded.ctime, inode = excluded.inode, digest = excluded.digest",
                [(p, s.size_bytes, s.mtime_ns, s.ctime_ns, s.inode, digest) for p, (s, digest) in rows.items()],
            )

    def add_asset(self, row: AssetRow) -> AssetRow:
        """Keep an asset's version, once."""
        with self._transaction() as db:
            columns = f"SELECT {_ASSET_COLUMNS} FROM assets WHERE kind = ? AND name = ? AND version = ?"  # noqa: S608
            found = db.execute(columns, (row.kind, row.name, row.version)).fetchone()
            if found is not None:
                return _same_asset(_asset_row(found), row)
            values = (
                row.kind, row.name, row.version, row.digest, row.created_at, row.path, row.type, row.description,
                _dump(row.tags), _dump(row.body), int(row.archived),
            )  # fmt: skip
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO assets ({_ASSET_COLUMNS}) VALUES ({marks})", values)  # noqa: S608 - constant
        return row

    def assets(self, kind: str, name: str | None = None, *, archived: bool = False) -> list[AssetRow]:
        """Versions, newest first."""
        rows = self._rows(
            f"SELECT {_ASSET_COLUMNS} FROM assets WHERE kind = ? AND (CAST(? AS TEXT) IS NULL OR name = ?) AND archived <= ? "  # noqa: S608
            "ORDER BY seq DESC",
            kind,
            name,
            name,
            int(archived),
        )
        return [_asset_row(r) for r in rows]

    def archive_asset(self, kind: str, name: str, version: str | None, *, archived: bool) -> int:
        """Hide or show versions."""
        with self._transaction() as db:
            done = db.execute(
                "UPDATE assets SET archived = ? WHERE kind = ? AND name = ? AND (CAST(? AS TEXT) IS NULL OR version = ?)",
                (int(archived), kind, name, version, version),
            )
            return done.rowcount

    def change_asset(self, kind: str, name: str, version: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Say something else about a version."""
        with self._transaction() as db:
            db.execute(
                "UPDATE assets SET description = ?, tags = ? WHERE kind = ? AND name = ? AND version = ?",
                (description, _dump(tags), kind, name, version),
            )

    def delete_asset(self, kind: str, name: str, version: str) -> None:
        """Drop a version."""
        with self._transaction() as db:
            db.execute("DELETE FROM assets WHERE kind = ? AND name = ? AND version = ?", (kind, name, version))

    def put(self, collection: str, key: str, body: Mapping[str, Any]) -> None:
        """Keep a document."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO documents (collection, key, body) VALUES (?, ?, ?) "
                "ON CONFLICT (collection, key) DO UPDATE SET body = excluded.body",
                (collection, key, _dump(body)),
            )

    def get(self, collection: str, key: str) -> Mapping[str, Any] | None:
        """One document."""
        rows = self._rows("SELECT body FROM documents WHERE collection = ? AND key = ?", collection, key)
        return json.loads(rows[0][0]) if rows else None

    def documents(self, collection: str) -> dict[str, Mapping[str, Any]]:
        """All documents of a collection."""
        rows = self._rows("SELECT key, body FROM documents WHERE collection = ? ORDER BY seq", collection)
        return {key: json.loads(body) for key, body in rows}

    def delete(self, collection: str, key: str) -> None:
        """Drop a document."""
        with self._transaction() as db:
            db.execute("DELETE FROM documents WHERE collection = ? AND key = ?", (collection, key))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Everything in the body is one transaction, alone."""
        with self._transaction():
            yield


def _project(db: Statements, event: RunEvent) -> None:
    """Rows that follow from an event."""
    match event:
        case JobCreated():
            values = (
                event.job, "Running", event.display_name, event.experiment_name, event.type, event.source,
                event.at, event.at, None, 0, event.owner, _dump(event.tags),
            )  # fmt: skip
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO jobs ({_JOB_COLUMNS}) VALUES ({marks})", values)  # noqa: S608 - constant
        case JobResumed():
            db.execute(
                "UPDATE jobs SET status = 'Running', ended_at = NULL, owner = ? WHERE name = ?",
                (event.owner, event.job),
            )
        case JobEdited():
            db.execute(
                "UPDATE jobs SET display_name = ?, experiment_name = ?, tags = ? WHERE name = ?",
                (event.display_name, event.experiment_name, _dump(event.tags), event.job),
            )
        case JobFinished():
            db.execute("UPDATE jobs SET status = ?, ended_at = ? WHERE name = ?", (event.status, event.at, event.job))
        case StepFinished() if event.status == "Completed":
            _remember_parts(db, event)
            if event.reusable:
                db.execute(
                    "INSERT INTO step_cache VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET job = excluded.job, "
                    "step = excluded.step, outputs = excluded.outputs, metrics = excluded.metrics, at = excluded.at",
                    (event.key, event.job, event.step, _dump(event.outputs), _dump(event.metrics), event.at),
                )
        case StepReused():
            _remember_parts(db, event)
        case _:
            pass


def _remember_parts(db: Statements, event: StepFinished | StepReused) -> None:
    db.execute(
        "INSERT INTO step_parts SELECT source, CAST(? AS TEXT), CAST(? AS TEXT) FROM jobs WHERE name = ? "
        "ON CONFLICT (scope, step) DO UPDATE SET parts = excluded.parts",
        (event.step, _dump(event.parts), event.job),
    )


def _same_asset(kept: AssetRow, wanted: AssetRow) -> AssetRow:
    if kept.digest != wanted.digest:
        raise ConflictError(
            f"{wanted.kind.capitalize()} {wanted.name}:{wanted.version} exists with other content",
            hint="A version never changes: give a new version, or leave the version out.",
        )
    return kept


def _job_row(row: Sequence[Any]) -> JobRow:
    values = dict(zip(_JOB_COLUMNS.split(", "), row, strict=True))
    return JobRow(**values | {"archived": bool(values["archived"]), "tags": json.loads(values["tags"])})


def _asset_row(row: Sequence[Any]) -> AssetRow:
    values = dict(zip(_ASSET_COLUMNS.split(", "), row, strict=True))
    read = {"tags": json.loads(values["tags"]), "body": json.loads(values["body"])}
    return AssetRow(**values | read | {"archived": bool(values["archived"])})


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, Iterable) else str(value)
