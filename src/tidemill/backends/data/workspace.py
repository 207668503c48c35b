"""What documents call data, as paths of this machine: local ones, datastores, and what is brought from elsewhere."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tidemill.base.errors import FailedError, UsageError
from tidemill.base.files import confine
from tidemill.plan.graph import DataRef
from tidemill.run.ports import ArtifactStore, Say

if TYPE_CHECKING:
    from tidemill.backends.data.remote import RemoteStore

_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resource[gG]roups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?"
    r"datastores/(?P<store>[^/]+)/paths/(?P<path>.*)\Z"
)


class WorkspaceData:
    """Finds and brings data. `datastores` maps their names to folders or URLs; others are folders below `home`.

    What is not in such a folder is looked for where `account` says the datastore is in the cloud, empty for nowhere.
    """

    def __init__(
        self,
        home: Path,
        datastores: Mapping[str, Path | str] | None = None,
        env: Callable[[], Mapping[str, str]] = lambda: os.environ,
        account: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._home = home
        self._datastores = dict(datastores or {})
        self._account = account
        self._env = env

    @cached_property
    def _remote(self) -> RemoteStore:
        from tidemill.backends.data.remote import RemoteStore  # noqa: PLC0415 - 12 ms, and most data lies here

        return RemoteStore(self._home / "downloads", self._env)

    def find_local(self, uri: str) -> Path | None:
        """The local path a path, a datastore's or a file's address stands for."""
        return self.locate(self._source(uri))

    def fetch(self, ref: DataRef, say: Say) -> Path:
        """The path itself, or that of what was downloaded; `FailedError` when there is nothing."""
        uri = self._source(ref.uri)
        path = self.locate(uri)
        if path is None:
            return self._remote.fetch(uri, say)
        if not path.exists():
            what = f"Data asset {ref.asset}" if ref.asset else "Input data"
            raise FailedError(f"{what} is not there: {path}", hint="Check the path.")
        return path

    def mirror(self, uri: str, say: Say) -> Path:
        """A folder of files that never change, as it is there now; a local one is itself."""
        resolved = self._source(uri)
        return self.locate(resolved) or self._remote.mirror(resolved, say)

    def send(self, source: Path, uri: str) -> None:
        """Write a file to a URL."""
        self._remote.send(source, self.resolve(uri))

    def resolve(self, uri: str) -> str:
        """A path of a datastore that is mapped to a URL, as the URL below that."""
        found = _DATASTORE.match(uri)
        root = self._datastores.get(found["store"]) if found else None
        if found and isinstance(root, str):
            if ".." in found["path"].split("/"):
                raise UsageError(f"`{uri}` leads out of its datastore", hint="Use a path inside it.")
            return f"{root.rstrip('/')}/{found['path']}"
        return uri

    def _source(self, uri: str) -> str:
        """Where to read: a datastore's account in the cloud where this machine has nothing at that path."""
        resolved = self.resolve(uri)
        found, path = _DATASTORE.match(resolved), self.locate(resolved)
        if found is None or path is None or path.exists() or found["store"] in self._datastores:
            return resolved
        account = self._account(found["store"])
        return f"{account}/{found['path']}" if account else resolved

    def locate(self, uri: str) -> Path | None:
        """The local path a URI stands for, whether or not anything is there; None for one that is elsewhere."""
        if uri.startswith("file://"):
            return Path(unquote(urlsplit(uri).path))
        found = _DATASTORE.match(uri)
        if found:
            root = self._datastores.get(found["store"]) or self._home / "datastores" / found["store"]
            return confine(root, found["path"]) if isinstance(root, Path) else None
        return Path(uri) if "://" not in uri else None

    def publish(self, ref: str, destination: str, artifacts: ArtifactStore) -> None:
        """Copy an output to its datastore path, replacing what was there at once, or send it to a URL."""
        uri = self.resolve(destination)
        target = self.locate(uri)
        folder = target.parent if target is not None else self._home / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        spare = folder / f".{(target or folder).name}.{secrets.token_hex(4)}"
        artifacts.place(ref, spare, writable=True)
        if target is None:
            try:
                self._remote.send(spare, uri)
            finally:
                shutil.rmtree(spare) if spare.is_dir() else spare.unlink(missing_ok=True)
            return
        if target.is_dir():
            shutil.rmtree(target)
        spare.replace(target)


def open_data(
    home: Path,
    datastores: Mapping[str, Path | str],
    env: Callable[[], Mapping[str, str]],
    account: Callable[[str], str],
) -> WorkspaceData:
    """Data as seen from the workspace at `home`; `env` has the credentials of stores elsewhere."""
    return WorkspaceData(home, datastores, env, account)
