"""What history needs from outside: somewhere to keep facts, somewhere to keep models."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tidemill.base.frozen import frozen
from tidemill.base.hashing import FileStamp
from tidemill.run.events import RunEvent
from tidemill.run.models import ModelRequest, ModelVersion
from tidemill.run.ports import Remembered

__all__ = ["AssetRow", "JobRow", "KeepsFiles", "ModelRequest", "ModelVersion", "Registry", "RunStore", "place_of"]


@runtime_checkable
class KeepsFiles(Protocol):
    """A `Registry` whose files lie in the workspace."""

    def unused_files(self, jobs: Collection[str]) -> AbstractContextManager[Sequence[Path]]:
        """Files of no version, and those that runs of `jobs` logged; nothing is registered while the body runs."""
        ...


class Registry(Protocol):
    """Where model versions are kept. A version never changes; a label is a pointer that moves."""

    def register(self, request: ModelRequest) -> ModelVersion:
        """Keep the bytes at `request.path`; the same job and step asking again gets the same version.

        The same name and explicit version with other bytes is a `ConflictError`.
        """
        ...

    def list(self, name: str | None = None, *, archived: bool = False) -> tuple[ModelVersion, ...]:
        """Versions of one model, or of all, most recently created first."""
        ...

    def get(self, name: str, version: str) -> ModelVersion:
        """One version by number or label (`latest` is the most recently created); `NotFoundError` if none."""
        ...

    def set_label(self, name: str, label: str, version: str) -> None:
        """Let `label` point at `version`, and at no other."""
        ...

    def archive(self, name: str, version: str, *, archived: bool = True) -> None:
        """Hide a version from lists, or bring it back."""
        ...

    def set_tags(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Add or replace free-text tags of a version."""
        ...

    def describe(self, name: str, version: str, description: str, dropped_tags: Sequence[str] = ()) -> None:
        """Replace the description of a version, and drop tags."""
        ...

    def delete(self, name: str, version: str) -> None:
        """Forget a version; its number is not given again."""
        ...

    def download(self, uri: str, folder: Path) -> Path:
        """Files of a run (`runs:/RUN/PATH`), brought below `folder`; `NotFoundError` when the run has none there."""
        ...


@frozen
class JobRow:
    """A line of the list of jobs; `owner` is `pid:stamp` of the process that drives it."""

    name: str
    status: str
    display_name: str
    experiment_name: str
    type: str
    source: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    archived: bool = False
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@frozen
class AssetRow:
    """One version of a data, environment or component asset; `body` is its document, `path` its bytes."""

    kind: str
    name: str
    version: str
    digest: str
    created_at: str
    path: str = ""
    type: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    archived: bool = False


@frozen
class CachedStep:
    """A result that may stand for a run: under which key, of which job and step, kept as what and when."""

    key: str
    job: str
    step: str
    refs: tuple[str, ...]
    at: str


@frozen
class KnownStep:
    """A step of a job, as its last fact left it: under which key, with which outputs."""

    job: str
    key: str
    refs: tuple[str, ...]


class RunStore(Protocol):
    """Facts, only ever appended, and what can be looked up quickly because of them. Safe across processes."""

    def append(self, events: Sequence[RunEvent]) -> None:
        """Keep events, in order, all or none; rows of jobs and the step cache follow in the same transaction."""
        ...

    def events(self, job: str, *, after: int = 0) -> builtins.list[tuple[int, RunEvent]]:
        """Events of a job in order, each with its sequence number, those above `after`."""
        ...

    def jobs(self, *, limit: int | None = None, archived: bool = False) -> builtins.list[JobRow]:
        """Jobs, most recently created first."""
        ...

    def running_jobs(self) -> builtins.list[JobRow]:
        """Jobs that say they run, hidden ones too, most recently created first; found at once among any number."""
        ...

    def known_steps(self) -> builtins.list[KnownStep]:
        """The steps that began of all jobs, in one pass."""
        ...

    def job(self, name: str) -> JobRow | None:
        """One job's row."""
        ...

    def archive_job(self, name: str, *, archived: bool) -> None:
        """Hide a job from lists, or bring it back."""
        ...

    def find_step(self, key: str) -> Remembered | None:
        """The newest outputs kept under a step's key."""
        ...

    def forget_step(self, key: str) -> None:
        """Drop that entry."""
        ...

    def cached_steps(self) -> builtins.list[CachedStep]:
        """Every entry of the step cache, oldest first."""
        ...

    def last_parts(self, scope: str, step: str) -> Mapping[str, str] | None:
        """What the step's key was made of when it last completed in that pipeline."""
        ...

    def find_stamps(self, prefix: str) -> dict[str, tuple[FileStamp, str]]:
        """Digests remembered of files at or below `prefix`."""
        ...

    def remember_stamps(self, rows: Mapping[str, tuple[FileStamp, str]]) -> None:
        """Remember digests of files by path and stamp."""
        ...

    def add_asset(self, row: AssetRow) -> AssetRow:
        """Keep a version; the same again is a no-op that returns what is kept, other bytes a `ConflictError`."""
        ...

    def assets(self, kind: str, name: str | None = None, *, archived: bool = False) -> builtins.list[AssetRow]:
        """Versions, most recently created first."""
        ...

    def archive_asset(self, kind: str, name: str, version: str | None, *, archived: bool) -> int:
        """Hide or bring back one version or all; how many."""
        ...

    def change_asset(self, kind: str, name: str, version: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Replace what is said about a version; its content never changes."""
        ...

    def delete_asset(self, kind: str, name: str, version: str) -> None:
        """Drop a version, if it is there."""
        ...

    def put(self, collection: str, key: str, body: Mapping[str, Any]) -> None:
        """Keep a small document (a deployment, an approval), replacing the one of that key."""
        ...

    def get(self, collection: str, key: str) -> Mapping[str, Any] | None:
        """The document of that key."""
        ...

    def documents(self, collection: str) -> dict[str, Mapping[str, Any]]:
        """All documents of a collection, in order of first appearance."""
        ...

    def delete(self, collection: str, key: str) -> None:
        """Drop a document, if it is there."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """One writer at a time across processes while the body runs (for read-then-write)."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def place_of(home: Path) -> Path:
    """Where the embedded store's file is."""
    return home / "tidemill.db"
