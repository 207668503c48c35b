"""The datastores of a workspace as containers: `listSecrets` says how to get in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from tidemill.backends.azure.blobs import VERSION, Access, Container
from tidemill.backends.azure.login import STORAGE_SCOPE, find_token
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.clock import Clock
from tidemill.base.errors import UsageError

BLOBS = "TIDEMILL_AZURE_BLOB"
SIGNED_FOR = timedelta(hours=8)


def open_datastore(workspace: AzureWorkspace, name: str) -> Container:
    """The container behind a blob datastore."""
    return Container(workspace.rest, lambda: _open_access(workspace, name))


def _open_access(workspace: AzureWorkspace, name: str) -> Access:
    found = workspace.get(f"datastores/{name}")
    properties = (found or {}).get("properties", {})
    if properties.get("datastoreType") != "AzureBlob":
        raise UsageError(
            f"The workspace has no blob datastore `{name}`", hint="Every new workspace has one; ask its owner."
        )
    account, container = properties["accountName"], properties["containerName"]
    url = container_url(properties.get("protocol") or "https", account, properties.get("endpoint"), container)
    # a datastore that works with the identity of whoever asks keeps no secrets: 400 or 404, by the version of the service
    answer = workspace.post(f"datastores/{name}/listSecrets", {}, accept=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND))
    secrets: dict[str, Any] = (answer.json() or {}) if answer.status == HTTPStatus.OK else {}
    if secrets.get("sasToken"):
        return Access(url, signature=secrets["sasToken"])
    if secrets.get("key"):
        return Access(url, signature=sign(account, container, secrets["key"], workspace.clock))
    return Access(url, token=find_token(STORAGE_SCOPE))


def container_url(protocol: str, account: str, endpoint: str | None, container: str) -> str:
    """Where a container answers; all accounts at one host if TIDEMILL_AZURE_BLOB names it, as in Azurite."""
    host = os.environ.get(BLOBS)
    if host:
        return f"{host.rstrip('/')}/{account}/{container}"
    return f"{protocol}://{account}.blob.{endpoint or 'core.windows.net'}/{container}"


def sign(account: str, container: str, key: str, clock: Clock) -> str:
    """A shared access signature for the container, made with the account's key; the key itself is never sent."""
    expiry = (clock.now() + SIGNED_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    allowed = "rcwl"
    # permissions, start, expiry, resource, identifier, addresses, protocol, version, kind, snapshot, scope, five headers
    signed = [
        allowed,
        "",
        expiry,
        f"/blob/{account}/{container}",
        "",
        "",
        "https,http",
        VERSION,
        "c",
        "",
        "",
        *[""] * 5,
    ]
    digest = hmac.new(base64.b64decode(key), "\n".join(signed).encode(), hashlib.sha256).digest()
    return urlencode(
        {"sv": VERSION, "se": expiry, "sr": "c", "sp": allowed, "spr": "https,http", "sig": base64.b64encode(digest)}
    )
