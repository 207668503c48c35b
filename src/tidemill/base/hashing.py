"""Digests of files, folders and values; folders on all cores, unchanged files not read again."""

from __future__ import annotations

import hashlib
import json
import os
import stat as st
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tidemill.base.errors import FailedError
from tidemill.base.frozen import frozen
from tidemill.base.trees import refuse, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    GiveUp = Callable[[], bool]

CHUNK = 1 << 20
WITHOUT_A_BREAK = 1 << 24  # bytes
PARALLEL_FROM = 8  # fewer files than this are not worth a thread pool


@frozen
class FileStamp:
    """What tells without reading that a file did not change."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileStamp:
        """The stamp of a file that was just asked for its state."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class StampCache(Protocol):
    """Remembers digests of files by path and stamp."""

    def find(self, path: str, stamp: FileStamp) -> str | None: ...
    def remember(self, path: str, stamp: FileStamp, digest: str) -> None: ...


@dataclass(frozen=True, slots=True, order=True)
class TreeEntry:
    """One file of a folder; `path` is relative, with `/`."""

    path: str
    digest: str
    size_bytes: int
    executable: bool = False


def digest_bytes(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The digest of a JSON value, whatever the order of its keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def digest_file(path: Path, give_up: GiveUp | None = None) -> str:
    """SHA-256 of a file's bytes; `FailedError` once `give_up` says so."""
    with path.open("rb", buffering=0) as file:
        if give_up is None or os.fstat(file.fileno()).st_size <= WITHOUT_A_BREAK:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest, buffer = hashlib.sha256(), memoryview(bytearray(WITHOUT_A_BREAK))
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
            if give_up():
                raise FailedError(f"Canceled while `{path}` was read")
        return digest.hexdigest()


def digest_tree(entries: Iterable[TreeEntry]) -> str:
    """One digest for a folder: of its entries in order of path."""
    lines = (f"{e.path}\0{e.digest}\0{int(e.executable)}\n" for e in sorted(entries))
    return digest_bytes("".join(lines).encode())


def list_files(root: Path) -> list[Path]:
    """Every file below `root`, links followed, sorted by relative path; `FailedError` for what is no file."""
    return [root / relative for relative in sorted(walk(str(root)))] if root.is_dir() else []


def hash_files(
    paths: Sequence[Path], cache: StampCache | None = None, give_up: GiveUp | None = None
) -> list[tuple[str, os.stat_result]]:
    """Digest and stat of each file, in order, read in parallel; what `cache` knows is not read.

    `FailedError` for what is no file, and once `give_up` says so.
    """

    def one(path: Path) -> tuple[str, os.stat_result]:
        if give_up is not None and give_up():
            raise FailedError(f"Canceled while `{path}` was to be read")
        try:
            stat = path.stat()
        except FileNotFoundError:
            if path.is_symlink():
                raise refuse(str(path)) from None
            raise
        if not st.S_ISREG(stat.st_mode):
            raise refuse(str(path))
        stamp = FileStamp.of(stat)
        known = cache.find(str(path), stamp) if cache else None
        if known is not None:
            return known, stat
        digest = digest_file(path, give_up)
        if cache:
            cache.remember(str(path), stamp, digest)
        return digest, stat

    if len(paths) < PARALLEL_FROM:
        return [one(p) for p in paths]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths, chunksize=16))


def hash_folder(
    root: Path,
    files: Sequence[Path] | None = None,
    cache: StampCache | None = None,
    give_up: GiveUp | None = None,
) -> tuple[TreeEntry, ...]:
    """The entries of a folder (or of the `files` of it that count), sorted by path."""
    chosen = list(files) if files is not None else list_files(root)
    hashed = hash_files(chosen, cache, give_up)
    return tuple(
        TreeEntry(path.relative_to(root).as_posix(), digest, stat.st_size, bool(stat.st_mode & 0o100))
        for path, (digest, stat) in zip(chosen, hashed, strict=True)
    )
