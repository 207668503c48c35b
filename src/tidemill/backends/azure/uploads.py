"""Folders and files into the workspace's storage, each content once."""

from __future__ import annotations

from pathlib import Path

from tidemill.backends.azure.blobs import Access, Container, files_below
from tidemill.backends.azure.storage import open_datastore
from tidemill.backends.azure.translate import STORE
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.errors import BackendError
from tidemill.base.hashing import digest_file, digest_value

FOLDER = "tidemill"
PLACES = 3
EMPTY = ".empty"
PUT_TIMEOUT_S = 300.0


def digest_of(files: list[tuple[str, Path]]) -> str:
    """What tells one content from another."""
    return digest_value([[name, digest_file(path)] for name, path in files])


def upload_folder(workspace: AzureWorkspace, path: Path, store: Container | None = None) -> tuple[str, str]:
    """A folder (or file) in the default datastore, by its content: its address as a blob, and as Azure ML's URI.

    A marker, written last, says where it is as a whole: uploaded, or as a job wrote it.
    """
    store = store or open_datastore(workspace, STORE)
    files = files_below(path)
    digest = digest_of(files)
    place = _known(store, digest, path)
    if not place:
        place = f"{FOLDER}/{digest[:40]}" + (f"/{path.name}" if path.is_file() else "")
        store.upload_all([(place if path.is_file() else f"{place}/{name}", file) for name, file in files])
        if not files:  # there are no folders in a container: one with nothing in it could not be mounted
            store.put(f"{place}/{EMPTY}", b"")
        _remember(store, digest, place)
    end = "" if path.is_file() else "/"
    return f"{store.url}/{place}{end}", f"azureml://datastores/{STORE}/paths/{place}{end}"


def remember_output(store: Container, path: Path, place: str) -> None:
    """What a job wrote at `place` and came to `path` need not be uploaded for the step that reads it."""
    files = files_below(path)
    if files:
        _remember(store, digest_of(files), place)


def _remember(store: Container, digest: str, place: str) -> None:
    store.put(f"{FOLDER}/{digest[:40]}.whole", place.encode())


def _known(store: Container, digest: str, path: Path) -> str:
    """Where that content is; empty when it is nowhere, or has been deleted since."""
    place = store.read(f"{FOLDER}/{digest[:40]}.whole").decode()
    wanted = place if path.is_file() else f"{place}/"
    return place if place and next(store.list(wanted), None) else ""


def upload_code(workspace: AzureWorkspace, files: list[tuple[str, Path]]) -> str:
    """A code asset of these files; its id. The workspace says where to put them, and for how long we may."""
    if not files:
        return ""
    path = f"codes/tidemill-{digest_of(files)[:40]}/versions/1"
    if workspace.get(path) is None:
        place = _PendingUpload(workspace, path)
        container = Container(workspace.rest, place.open)
        _upload_all(container, files)
        about = {"codeUri": place.uri, "isAnonymous": True, "description": "the code of a step"}
        workspace.put(path, {"properties": about}, PUT_TIMEOUT_S)
    return f"{workspace.identity}/{path}"


def _upload_all(container: Container, files: list[tuple[str, Path]]) -> None:
    """All into one place: when the signature expires on the way, the workspace may name another."""
    for _ in range(PLACES):
        place = container.url
        container.upload_all(files)
        if container.url == place:
            return
    raise BackendError(
        "Azure ML's signatures expired faster than the code was uploaded", hint="Leave data out of `code`."
    )


class _PendingUpload:
    """A place to upload an asset to; asked for again when its signature has expired."""

    def __init__(self, workspace: AzureWorkspace, path: str) -> None:
        self._workspace = workspace
        self._path = path
        self.uri = ""

    def open(self) -> Access:
        """The place, and a signature for it."""
        wish = {"pendingUploadType": "TemporaryBlobReference"}
        answer = self._workspace.post(f"{self._path}/startPendingUpload", wish).json() or {}
        found = answer.get("blobReferenceForConsumption") or {}
        signed = (found.get("credential") or {}).get("sasUri", "")
        if not signed:
            raise BackendError("Azure ML gave no place to upload the code to", hint="Try again later.")
        self.uri = found["blobUri"]
        return Access(self.uri.rstrip("/"), signature=signed.partition("?")[2])
