"""Data in the workspace's datastores, which its jobs read where it lies."""

from __future__ import annotations

import re

from tidemill.backends.azure.storage import open_datastore
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.hashing import digest_value
from tidemill.run.ports import Elsewhere

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


def _of(workspace: AzureWorkspace, uri: str) -> re.Match[str] | None:
    """The parts of a URI that names its workspace, if it is this one."""
    found = _LONG.match(uri)
    if found is None:
        return None
    named = f"{found['group']}/workspaces/{found['workspace']}".lower()
    ours = workspace.identity.replace("/providers/Microsoft.MachineLearningServices", "").lower()
    return found if named == ours else None
