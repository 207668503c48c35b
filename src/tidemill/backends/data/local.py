"""Data that is on this machine, and datastores that are folders of it."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidemill.base.errors import FailedError, UsageError
from tidemill.base.files import confine
from tidemill.plan.graph import DataRef
from tidemill.run.ports import ArtifactStore, Say

_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resource[gG]roups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?"
    r"datastores/(?P<store>[^/]+)/paths/(?P<path>.*)\Z"
)


class LocalData:
    """Finds paths; `datastores` maps their names to folders, others lie below `home`."""

    def __init__(self, home: Path, datastores: Mapping[str, Path] | None = None) -> None:
        self._home = home
        self._datastores = dict(datastores or {})

    def fetch(self, ref: DataRef, say: Say) -> Path:  # noqa: ARG002 - nothing to wait for
        """The path itself; `FailedError` when there is nothing."""
        path = self.locate(ref.uri)
        if path is None:
            raise UsageError(
                f"`{ref.uri}` is not on this machine",
                hint="Download it, then map it: tidemill data create --name NAME --path FOLDER, or --set inputs.X.path=PATH",
            )
        if not path.exists():
            what = f"Data asset {ref.asset}" if ref.asset else "Input data"
            raise FailedError(f"{what} is not there: {path}", hint="Check the path.")
        return path

    def locate(self, uri: str) -> Path | None:
        """The local path a URI stands for, whether or not anything is there."""
        if uri.startswith("file://"):
            return Path(unquote(urlsplit(uri).path))
        found = _DATASTORE.match(uri)
        if found:
            root = self._datastores.get(found["store"]) or self._home / "datastores" / found["store"]
            return confine(root, found["path"])
        return Path(uri) if "://" not in uri else None

    def publish(self, ref: str, destination: str, artifacts: ArtifactStore) -> None:
        """Copy an output to its datastore path, replacing what was there at once."""
        target = self.locate(destination)
        if target is None:
            raise UsageError(f"Cannot write to `{destination}` from this machine")
        target.parent.mkdir(parents=True, exist_ok=True)
        spare = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        artifacts.place(ref, spare, writable=True)
        if target.is_dir():
            shutil.rmtree(target)
        spare.replace(target)


def open_data(home: Path, datastores: Mapping[str, Path]) -> LocalData:
    """Data as seen from the workspace at `home`."""
    return LocalData(home, datastores)
