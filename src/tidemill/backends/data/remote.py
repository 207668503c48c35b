"""Data at an address, brought here once: fsspec speaks to the store, a cache keeps what came by the version it had there."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from tidemill.base.errors import BackendError, FailedError, TidemillError, UsageError
from tidemill.base.files import confine, locked, write_atomic
from tidemill.base.frozen import frozen
from tidemill.base.hashing import digest_value, list_files
from tidemill.base.imports import IMPORTING, import_late
from tidemill.base.places import ENV, Place, locate, scrubbed, shown
from tidemill.base.wanted import require_wanted
from tidemill.run.ports import Say

AT_ONCE = 8
SAY_EVERY_S = 2.0
MANIFEST = "tidemill-download.json"
VERSIONS = (
    "ETag",
    "etag",
    "e_tag",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "content_settings",
    "mtime",
    "created",
    "size",
)
_SILENT = logging.NullHandler()
_EXTRA = "pip install 'tidemill[remote]'"
_SPOKEN = "Use https://, s3://, wasbs:// or abfss://, a datastore or a path; others need their package in this Python."
_HINTS = {
    "abfs": "Set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING (in .env), or log in for azure-identity.",
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in .env), and AWS_ENDPOINT_URL for a store that is not Amazon's.",
    "http": "Check the address; a private file needs a signed one.",
    "https": "Check the address; a private file needs a signed one.",
}


@frozen
class _File:
    """One file there: its path, where it goes below the target, and what it says of itself."""

    path: str
    relative: str
    size: int | None
    info: Mapping[str, Any]


class RemoteStore:
    """Downloads below `folder`, and uploads."""

    def __init__(self, folder: Path, env: Callable[[], ENV]) -> None:
        self._folder = folder
        self._env = env

    def fetch(self, uri: str, say: Say) -> Path:
        """The file or folder as it is there now; what came before and is unchanged is not brought again.

        `FailedError` when nothing is there, `BackendError` when the store does not answer or refuses.
        """
        place = locate(uri, self._env())
        with _speaking(place, "reading"):
            system, files = _look(place)
        key = digest_value([shown(uri), place.path, [[f.relative, _version(f.info)] for f in files]])[:32]
        folder = self._folder / key
        with locked(self._folder / f"{key}.lock"):
            if not _is_whole(folder):
                for begun in (folder, *self._folder.glob(f".{folder.name}.*")):  # by whom was killed
                    shutil.rmtree(begun, ignore_errors=True)
                self._bring(system, place, files, folder, say)
            os.utime(folder)  # so that collecting garbage by age sees when it was last used
        only = files[0].relative if len(files) == 1 and not _is_folder(place, files) else ""
        return folder / "data" / only

    def mirror(self, uri: str, say: Say) -> Path:
        """The folder as it is there now, for files that never change once they are there: only new ones are brought.

        Errors as of `fetch`.
        """
        place = locate(uri, self._env())
        with _speaking(place, "reading"):
            system, files = _look(place)
        folder = self._folder / f"mirror-{digest_value([shown(uri), place.path])[:24]}"
        with locked(folder.with_suffix(".lock")):
            missing = [f for f in files if not _has(confine(folder, f.relative), f.size)]
            if missing:
                say(f"downloading {place.shown} ({len(missing)} new files)")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                here = [(copy_context(), file) for file in missing]
                list(pool.map(lambda at: at[0].run(_bring_one, system, place, at[1], folder), here))
            for gone in {p.relative_to(folder).as_posix() for p in list_files(folder)} - {f.relative for f in files}:
                (folder / gone).unlink()
            if folder.exists():
                os.utime(folder)
        return folder

    def _bring(self, system: Any, place: Place, files: Sequence[_File], folder: Path, say: Say) -> None:  # noqa: ANN401
        spare = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        total = sum(f.size or 0 for f in files)
        say(f"downloading {place.shown} ({len(files)} files, {total / 1e6:.1f} MB)")
        told = [time.monotonic(), 0]

        def bring(file: _File) -> list[Any]:
            target = confine(spare / "data", file.relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            with _speaking(place, "downloading"):
                system.get_file(file.path, str(target), callback=_heeding())
            record = _verify(file, target, place)
            told[1] += record[1]
            if time.monotonic() - told[0] > SAY_EVERY_S:
                told[0] = time.monotonic()
                say(f"downloading {place.shown}: {told[1] / 1e6:.1f} of {total / 1e6:.1f} MB")
            return record

        try:
            (spare / "data").mkdir(parents=True)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                records = list(pool.map(lambda at: at[0].run(bring, at[1]), [(copy_context(), f) for f in files]))
            write_atomic(spare / MANIFEST, json.dumps({"from": place.shown, "files": records}))
            spare.replace(folder)
        finally:
            shutil.rmtree(spare, ignore_errors=True)

    def send(self, source: Path, uri: str) -> None:
        """Write a file or folder to a URL; what was there under the same names is replaced."""
        place = locate(uri, self._env())
        if place.protocol in {"http", "https"}:
            raise UsageError(
                f"Nothing can be written to {place.shown}", hint="Use wasbs://, abfss://, s3:// or a datastore."
            )
        with _speaking(place, "writing to"):
            system = _open(place)
            if source.is_file():
                system.put_file(str(source), place.path)
                return
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                target = f"{place.path.rstrip('/')}/{path.relative_to(source).as_posix()}"
                system.makedirs(target.rpartition("/")[0], exist_ok=True)
                system.put_file(str(path), target)


def _has(path: Path, size: int | None) -> bool:
    return path.is_file() and size in {None, path.stat().st_size}


def _bring_one(system: Any, place: Place, file: _File, folder: Path) -> None:  # noqa: ANN401
    target = confine(folder, file.relative)
    target.parent.mkdir(parents=True, exist_ok=True)
    growing = target.with_name(f".{target.name}.growing")
    with _speaking(place, "downloading"):
        system.get_file(file.path, str(growing), callback=_heeding())
    growing.replace(target)


def _heeding() -> Any:  # noqa: ANN401 - fsspec's
    """Told of each piece that came, in a thread of fsspec's: a download that is not wanted any more ends there."""
    asked = copy_context()
    return import_late("fsspec.callbacks").Callback(hooks={"wanted": lambda *_, **__: asked.run(require_wanted)})


def _open(place: Place) -> Any:  # noqa: ANN401 - an fsspec file system
    _require_host(place)
    # what Azure's packages say beside their errors, at length and each time they ask: the error has it all
    logging.getLogger("azure").addHandler(_SILENT)
    with IMPORTING:  # fsspec imports the package of each protocol when it is first asked for it
        return import_late("fsspec").filesystem(place.protocol, skip_instance_cache=True, **place.options)


def _require_host(place: Place) -> None:
    """`BackendError` where the name of an account stands for nothing: Azure's packages would ask for a minute and a half."""
    name = place.options.get("account_name")
    if place.protocol != "abfs" or name is None or place.options.get("connection_string") or getproxies().get("https"):
        return
    host = str(place.options.get("account_host") or f"{name}.blob.core.windows.net")
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as exc:
        hint = "Check the name of the account and the network; a datastore may be mapped to a folder in tidemill.yaml."
        raise BackendError(
            f"{place.shown} did not let itself be reached: there is no host `{host}`", hint=hint
        ) from exc


def _look(place: Place) -> tuple[Any, list[_File]]:
    """A way in, and what is there: Azure's public data is had by nobody in particular, and without asking who one is."""
    if place.options.get("anon") is False:
        try:
            system = _open(replace(place, options={**place.options, "anon": True}))
            return system, _list(system, place)
        except Exception as exc:
            if not _is_refusal(exc):
                raise
    system = _open(place)
    return system, _list(system, place)


def _is_refusal(exc: BaseException) -> bool:
    """Whether a store answered, and not with what was asked for; what is private is hidden from strangers."""
    refused = isinstance(exc, FileNotFoundError | PermissionError)
    return refused or any(getattr(e, "status_code", None) for e in (exc, exc.__cause__))


def _list(system: Any, place: Place) -> list[_File]:  # noqa: ANN401
    """Every file at a place, sorted."""
    info = system.info(place.path)
    if info.get("type") != "directory":
        name = PurePosixPath(urlsplit(place.path).path if "://" in place.path else place.path).name
        return [_File(place.path, unquote(name) or "data", info.get("size"), info)]
    root = place.path.rstrip("/")
    found = system.find(place.path, detail=True)
    files = [
        _File(p, _below(p, root), i.get("size"), i) for p, i in sorted(found.items()) if i.get("type") != "directory"
    ]
    if not files:
        raise FileNotFoundError(place.path)
    return files


def _below(path: str, root: str) -> str:
    return path.lstrip("/").removeprefix(root.lstrip("/")).lstrip("/")


def _is_folder(place: Place, files: Sequence[_File]) -> bool:
    return files[0].path != place.path


def _version(info: Mapping[str, Any]) -> list[str]:
    return [f"{name}={info[name]}" for name in VERSIONS if info.get(name) is not None]


def _verify(file: _File, target: Path, place: Place) -> list[Any]:
    """Path, size and digest of what came; `BackendError` when it is not what was announced."""
    size = target.stat().st_size
    if file.size is not None and size != file.size:
        raise BackendError(
            f"{place.shown}: {size:,} of {file.size:,} bytes of `{file.relative}` came", hint="Run again."
        )
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with target.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            sha.update(block)
            md5.update(block)
    wanted = _announced_md5(file.info)
    if wanted and wanted != md5.digest():
        raise BackendError(
            f"{place.shown}: other bytes of `{file.relative}` came than its checksum says", hint="Run again."
        )
    return [file.relative, size, sha.hexdigest(), target.stat().st_mtime_ns]


def _announced_md5(info: Mapping[str, Any]) -> bytes | None:
    """Content-MD5, as HTTP and Azure Blob Storage give it."""
    settings = info.get("content_settings")
    given = info.get("Content-MD5") or (settings.get("content_md5") if isinstance(settings, Mapping) else None)
    if isinstance(given, bytes | bytearray):
        return bytes(given)
    try:
        return base64.b64decode(str(given), validate=True) if given else None
    except ValueError:
        return None


def _is_whole(folder: Path) -> bool:
    """Whether every file is there as it came; one touched since is hashed again."""
    path = folder / MANIFEST
    if not path.exists():
        return False
    for relative, size, digest, stamp in json.loads(path.read_text(encoding="utf-8"))["files"]:
        target = folder / "data" / relative
        if not target.is_file() or target.stat().st_size != size:
            return False
        if target.stat().st_mtime_ns != stamp and hashlib.sha256(target.read_bytes()).hexdigest() != digest:
            return False
    return True


@contextmanager
def _speaking(place: Place, what: str) -> Iterator[None]:
    """Every store has errors of its own; they become ours, without the query of the address."""
    try:
        yield
    except TidemillError:
        raise
    except FileNotFoundError as exc:
        cause = exc.__cause__  # fsspec calls whatever HTTP says no with "not found"
        if cause is not None and getattr(cause, "status", 0) not in {404, 410}:
            raise _unreachable(place, what, cause) from exc
        raise FailedError(f"Nothing is at {place.shown}", hint="Check the address.") from exc
    except (ImportError, ValueError) as exc:
        known = "no such protocol" if isinstance(exc, ValueError) and "rotocol" in str(exc) else scrubbed(exc)
        raise UsageError(
            f"{what} {place.shown} cannot be done: {known}", hint=_EXTRA if place.protocol in _HINTS else _SPOKEN
        ) from exc
    except Exception as exc:
        raise _unreachable(place, what, exc) from exc


def _unreachable(place: Place, what: str, exc: BaseException) -> BackendError:
    hint = _HINTS.get(place.protocol, "")
    return BackendError(f"{place.shown} did not let itself be reached ({what}): {scrubbed(exc)}", hint=hint)
