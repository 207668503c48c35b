"""Data, environments and components by name and version: immutable, and versioned by content when nobody says how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from tidemill.base.clock import Clock, SystemClock, iso
from tidemill.base.errors import ConflictError, FailedError, NotFoundError, UsageError
from tidemill.base.frozen import frozen
from tidemill.base.hashing import digest_value
from tidemill.base.ids import is_name
from tidemill.base.suggest import did_you_mean
from tidemill.record.ports import AssetRow, RunStore
from tidemill.run.ports import ArtifactStore

LATEST = "latest"
DELETED = "deleted-assets"


@frozen
class AssetRequest:
    """A wish to keep an asset.

    Data is kept by its bytes at `path`, or as the address `url`; a document by its `body` and its file at `path`.
    """

    kind: str
    name: str
    version: str | None = None
    path: Path | None = None
    type: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""


class AssetStore:
    """Assets of one workspace."""

    def __init__(self, store: RunStore, artifacts: ArtifactStore, home: Path, clock: Clock | None = None) -> None:
        self._store = store
        self._artifacts = artifacts
        self._home = home
        self._clock = clock or SystemClock()

    def register(self, request: AssetRequest) -> AssetRow:
        """Keep a version. Without one: the version that has this content already, else the next number.

        The same name and version with other content is a `ConflictError`; the same content again changes nothing.
        """
        if not is_name(request.name):
            raise UsageError(f"`{request.name}` cannot name an asset", hint="Use letters, digits, `-`, `_` and `.`.")
        bytes_here = request.kind == "data" and not request.url
        with self._artifacts.in_use():
            digest = self._keep(request) if bytes_here else digest_value(request.url or dict(request.body))
            return self._add(request, digest)

    def register_data(self, name: str, version: str | None, ref: str, path: Path, kind: str) -> str:
        """Keep a step's output as a data asset; the version it got."""
        del path  # the bytes are in the store already
        return self._add(AssetRequest("data", name, version, None, kind), ref).version

    def find(self, kind: str, name: str, version: str | None = None, label: str | None = None) -> AssetRow | None:
        """A version; without one, or as `latest`, the one most recently created."""
        if label not in {None, LATEST}:
            return None
        rows = self._store.assets(kind, name, archived=version is not None)
        return next((r for r in rows if version in {None, r.version}), None)

    def get(self, kind: str, name: str, version: str | None = None, label: str | None = None) -> AssetRow:
        """As `find`; `NotFoundError` with a suggestion when there is none."""
        found = self.find(kind, name, version, label)
        if found is None:
            wanted = f"{name}:{version}" if version else f"{name}@{label}" if label else name
            raise NotFoundError(f"There is no {kind} asset `{wanted}`", hint=did_you_mean(wanted, self.names(kind)))
        return found

    def list(self, kind: str, name: str | None = None, *, archived: bool = False) -> Sequence[AssetRow]:
        """Versions, most recently created first."""
        return self._store.assets(kind, name, archived=archived)

    def names(self, kind: str) -> Sequence[str]:
        """`name:version` of every asset of a kind."""
        return [f"{r.name}:{r.version}" for r in self._store.assets(kind)]

    def archive(self, kind: str, name: str, version: str | None = None, *, archived: bool = True) -> None:
        """Hide a version (or all of a name) from lists, or bring it back."""
        if not self._store.archive_asset(kind, name, version, archived=archived):
            self.get(kind, name, version)

    def delete(self, kind: str, name: str, version: str) -> None:
        """Drop a version. Its number stands for its content for ever, so that no reference changes its meaning."""
        row = self.get(kind, name, version)
        with self._store.exclusive():
            self._store.put(DELETED, _key(row), {"digest": row.digest, "at": iso(self._clock.now())})
            self._store.delete_asset(kind, name, version)

    def _keep(self, request: AssetRequest) -> str:
        """The content of data, kept where nobody changes it, as an upload to Azure would be."""
        path = request.path
        if path is None or not path.exists():
            raise FailedError(f"The data `{path}` is not there", hint="Check the path.")
        return self._artifacts.keep(path, copy=True).ref

    def _add(self, request: AssetRequest, digest: str) -> AssetRow:
        with self._store.exclusive():
            rows = self._store.assets(request.kind, request.name, archived=True)
            gone = self._deleted(request.kind, request.name)
            version = request.version or _next_version(rows, digest, gone)
            if gone.get(version, digest) != digest:
                raise ConflictError(
                    f"{request.kind.capitalize()} {request.name}:{version} was deleted, and had other content",
                    hint="A version never changes: give a new version, or leave the version out.",
                )
            row = AssetRow(
                request.kind,
                request.name,
                version,
                digest,
                iso(self._clock.now()),
                request.url or str(self._folder(request, version)),
                request.type,
                request.description,
                request.tags,
                request.body,
            )
            kept = self._store.add_asset(row)
        if request.kind == "data" and not request.url:
            self._place(kept)
        return kept

    def _deleted(self, kind: str, name: str) -> dict[str, str]:
        """Digests of versions that are gone."""
        prefix = f"{kind}/{name}/"
        found = self._store.documents(DELETED).items()
        return {key.removeprefix(prefix): str(d["digest"]) for key, d in found if key.startswith(prefix)}

    def _folder(self, request: AssetRequest, version: str) -> Path:
        if request.kind != "data":
            return request.path or Path()
        folder = self._home / "assets" / "data" / request.name / version
        return folder / request.path.name if request.path and request.path.is_file() else folder / request.name

    def _place(self, row: AssetRow) -> None:
        """Make the asset's bytes appear at its path, as read-only links."""
        target = Path(row.path)
        if target.exists():
            return
        try:
            self._artifacts.place(row.digest, target)
        except KeyError as exc:
            raise FailedError(f"The bytes of {row.name}:{row.version} are damaged", hint="Register it again.") from exc


def _key(row: AssetRow) -> str:
    return f"{row.kind}/{row.name}/{row.version}"


def _next_version(rows: Sequence[AssetRow], digest: str, gone: Mapping[str, str]) -> str:
    same = next((r.version for r in rows if r.digest == digest), None)
    if same is not None:
        return same
    numbers = [int(v) for v in (*(r.version for r in rows), *gone) if v.isdigit()]
    return str(max(numbers, default=0) + 1)
