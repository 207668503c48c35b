"""Digests of files, folders and values; folders on all cores, unchanged files not read again."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CHUNK = 1 << 20
PARALLEL_FROM = 8  # fewer files than this are not worth a thread pool


@dataclass(frozen=True, slots=True)
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


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_tree(entries: Iterable[TreeEntry]) -> str:
    """One digest for a folder: of its entries in order of path."""
    lines = (f"{e.path}\0{e.digest}\0{int(e.executable)}\n" for e in sorted(entries))
    return digest_bytes("".join(lines).encode())


def list_files(root: Path) -> list[Path]:
    """Every file below `root`, links followed, sorted by relative path."""
    found = [root.__class__(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names]
    return sorted(found, key=lambda p: p.relative_to(root).as_posix())


def hash_files(paths: Sequence[Path], cache: StampCache | None = None) -> list[tuple[str, os.stat_result]]:
    """Digest and stat of each file, in order, read in parallel; what `cache` knows is not read."""

    def one(path: Path) -> tuple[str, os.stat_result]:
        stat = path.stat()
        stamp = FileStamp.of(stat)
        known = cache.find(str(path), stamp) if cache else None
        if known is not None:
            return known, stat
        digest = digest_file(path)
        if cache:
            cache.remember(str(path), stamp, digest)
        return digest, stat

    if len(paths) < PARALLEL_FROM:
        return [one(p) for p in paths]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths, chunksize=16))


def hash_folder(
    root: Path, files: Sequence[Path] | None = None, cache: StampCache | None = None
) -> tuple[TreeEntry, ...]:
    """The entries of a folder (or of the `files` of it that count), sorted by path."""
    chosen = list(files) if files is not None else list_files(root)
    hashed = hash_files(chosen, cache)
    return tuple(
        TreeEntry(path.relative_to(root).as_posix(), digest, stat.st_size, bool(stat.st_mode & 0o100))
        for path, (digest, stat) in zip(chosen, hashed, strict=True)
    )
