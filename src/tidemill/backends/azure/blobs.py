"""A container of Azure Blob Storage, as much of it as jobs need: put, list, fetch. Access is renewed when it expires."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

from tidemill.backends.rest import Answer, RefusedError, Rest
from tidemill.base.files import confine

VERSION = "2021-12-02"
BLOCK_BYTES = 8 << 20  # as many at once as files are under way
AT_ONCE = 8
FORBIDDEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Access:
    """How to get at a container: its address and a shared access signature, or a token for who is logged in."""

    url: str
    signature: str = ""
    token: str = ""


@dataclass(slots=True)
class Container:
    """One container. `open_access` is asked for access at first, and once more whenever the service refuses it."""

    rest: Rest
    open_access: Callable[[], Access]
    _access: Access | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where the container answers, without what lets one in."""
        self._access = self._access or self.open_access()
        return self._access.url

    def read(self, name: str) -> bytes:
        """A small blob; empty when there is none of that name."""
        answer = self._call("GET", name, accept=(HTTPStatus.NOT_FOUND,))
        return answer.body if answer.status == HTTPStatus.OK else b""

    def put(self, name: str, data: bytes) -> None:
        """Write a blob."""
        self._call("PUT", name, data, headers={"x-ms-blob-type": "BlockBlob"})

    def upload_all(self, files: Sequence[tuple[str, Path]]) -> None:
        """Files as blobs, several at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda file: self.upload(file[1], file[0]), files))

    def upload(self, path: Path, name: str) -> None:
        """A file as a blob; a big one goes in blocks, which become the blob at the end."""
        if path.stat().st_size <= BLOCK_BYTES:
            self.put(name, path.read_bytes())
            return
        blocks: list[str] = []
        with path.open("rb") as file:
            while data := file.read(BLOCK_BYTES):
                blocks.append(f"{len(blocks):08d}AAAA")  # base64 as it stands, and all of one length
                self._call("PUT", name, data, query={"comp": "block", "blockid": blocks[-1]})
        listed = "".join(f"<Latest>{b}</Latest>" for b in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        self._call("PUT", name, body, query={"comp": "blocklist"})

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Names below `prefix`, and their sizes."""
        for name, size, _ in self.list_versions(prefix):
            yield name, size

    def list_versions(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Names below `prefix`, their sizes, and what changes whenever they are written."""
        marker = ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix}
            answer = self._call("GET", "", query=query | ({"marker": marker} if marker else {}))
            tree = ET.fromstring(answer.body)  # noqa: S314 - the storage service's own words
            for blob in tree.iter("Blob"):
                if blob.findtext("Properties/ResourceType") != "directory":
                    size = int(blob.findtext("Properties/Content-Length") or 0)
                    yield blob.findtext("Name") or "", size, blob.findtext("Properties/Etag") or ""
            marker = tree.findtext("NextMarker") or ""
            if not marker:
                return

    def download(self, name: str, target: Path, size: int) -> None:
        """A blob as a file, which appears only when it is whole."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        with part.open("wb") as file:
            for start in range(0, size, BLOCK_BYTES):
                span = f"bytes={start}-{min(size, start + BLOCK_BYTES) - 1}"
                file.write(self._call("GET", name, headers={"x-ms-range": span}).body)
            written = file.tell()
        if written != size:
            part.unlink()
            raise RefusedError(f"`{name}` has {size} bytes and {written} arrived", HTTPStatus.GATEWAY_TIMEOUT)
        part.replace(target)

    def download_below(self, prefix: str, folder: Path) -> int:
        """Every blob below `prefix/` into `folder`; how many there were."""
        found = [(n, n.removeprefix(f"{prefix}/"), size) for n, size in self.list(f"{prefix}/")]
        wanted = [(name, confine(folder, relative), size) for name, relative, size in found if relative]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda blob: self.download(*blob), wanted))
        return len(wanted)

    def _call(
        self,
        method: str,
        name: str,
        body: bytes | None = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """With access that is opened anew, once, when the one at hand has expired."""
        answer = self._once(method, name, body, query or {}, headers or {}, (*accept, *FORBIDDEN))
        if answer.status in FORBIDDEN:
            self._access = None
            answer = self._once(method, name, body, query or {}, headers or {}, accept)
        return answer

    def _once(
        self,
        method: str,
        name: str,
        body: bytes | None,
        query: dict[str, str],
        more: dict[str, str],
        accept: tuple[int, ...],
    ) -> Answer:
        access = self._access = self._access or self.open_access()
        url = access.url + (f"/{quote(name)}" if name else "")
        asked = "&".join(part for part in (urlencode(query), access.signature.lstrip("?")) if part)
        login = {"authorization": f"Bearer {access.token}" if access.token else ""}
        kind = {"content-type": "application/octet-stream"} if body is not None else {}
        headers = {"x-ms-version": VERSION, **kind, **login, **more}
        return self.rest.call(method, f"{url}?{asked}" if asked else url, body, headers=headers, accept=accept)


def files_below(root: Path) -> list[tuple[str, Path]]:
    """Every file of a folder with its path in it, sorted; links are what they point at. A file is its own name."""
    if root.is_file():
        return [(root.name, root)]
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        found += [(str((Path(folder) / n).relative_to(root)), Path(folder) / n) for n in names]
    return sorted(found)
