"""Data in the workspace's datastores, which its jobs read where it lies."""

from __future__ import annotations

import re
from pathlib import Path

from tidemill.backends.azure.blobs import files_below
from tidemill.backends.azure.storage import open_datastore
from tidemill.backends.azure.translate import STORE
from tidemill.backends.azure.uploads import FOLDER, digest_of
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.hashing import digest_value
from tidemill.run.abilities import Elsewhere

_SHORT = re.compile(r"azureml://datastores/(?P<store>[^/]+)/paths/(?P<path>.*)\Z")
_LONG = re.compile(
    r"azureml:/(?P<group>/subscriptions/[^/]+/resource[gG]roups/[^/]+)/(?:providers/[^/]+/)?workspaces/(?P<workspace>[^/]+)"
    r"/datastores/(?P<store>[^/]+)/paths/(?P<path>.*)\Z"
)


def look(workspace: AzureWorkspace, uri: str) -> Elsewhere | None:
    """What is at the URI of a datastore of this workspace, by the names, sizes and versions of its blobs."""
    found = _SHORT.match(uri) or _of(workspace, uri)
    if found is None or not workspace.has_datastore(found["store"]):
        return None
    store, path = open_datastore(workspace, found["store"]), found["path"].rstrip("/")
    blobs = sorted(b for b in store.list_versions(path) if b[0] == path or b[0].startswith(f"{path}/" if path else ""))
    if not blobs:
        return None
    return Elsewhere(digest_value([uri, blobs]), is_file=blobs[0][0] == path)


def send(workspace: AzureWorkspace, path: Path, uri: str) -> bool:
    """Put a file or folder at a URI of a datastore of this workspace; False for any other URI.

    A note in the default datastore says what was sent last: the same is not sent twice while nobody touches it.
    """
    found = _SHORT.match(uri) or _of(workspace, uri)
    if found is None or not workspace.has_datastore(found["store"]):
        return False
    place, files = found["path"].rstrip("/"), files_below(path)
    notes, note = open_datastore(workspace, STORE), f"{FOLDER}/sent/{digest_value(uri)[:40]}"
    content, there = digest_of(files), look(workspace, uri)
    if there is not None and notes.read(note) == f"{content} {there.digest}".encode():
        return True
    only = path.is_file()
    store = open_datastore(workspace, found["store"])
    store.upload_all([(place if only else f"{place}/{name}", file) for name, file in files])
    after = look(workspace, uri)
    notes.put(note, f"{content} {after.digest if after else ''}".encode())
    return True


def _of(workspace: AzureWorkspace, uri: str) -> re.Match[str] | None:
    """The parts of a URI that names its workspace, if it is this one."""
    found = _LONG.match(uri)
    if found is None:
        return None
    named = f"{found['group']}/workspaces/{found['workspace']}".lower()
    ours = workspace.identity.replace("/providers/Microsoft.MachineLearningServices", "").lower()
    return found if named == ours else None
