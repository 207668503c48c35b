"""Artifacts as read-only files in a folder, shared by hard links: keeping and placing copy nothing."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat as st
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from tidemill.backends.artifacts.occupancy import Occupancy
from tidemill.base.clock import SystemClock
from tidemill.base.errors import BackendError
from tidemill.base.frozen import frozen
from tidemill.base.hashing import TreeEntry, digest_file, digest_tree
from tidemill.base.trees import Seen, follow, is_folder, refuse
from tidemill.run.ports import Artifact

READ_ONLY = 0o444
PARALLEL_FROM = 8
STALE_S = 3600


@frozen
class _Found:
    """A file of an output; `foreign` means that its inode must stay as it is, so it is copied."""

    path: str
    relative: str
    size_bytes: int
    executable: bool
    foreign: bool


@frozen
class Garbage:
    """What was (or would be) removed, and what nobody refers to but was spared for those who use the store now.

    Bytes that job folders still link to stay on the disk until those go.
    """

    objects: int
    size_bytes: int
    spared: int = 0
    spared_bytes: int = 0
    paths: tuple[Path, ...] = ()


class FolderArtifacts:
    """`objects/ab/<sha256>` holds each file once, `trees/ab/<sha256>.json` lists each folder.

    Manifests note when an object was last changed, so that a look at its size and time proves it intact
    without reading it.
    """

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"
        self._trees = root / "trees"
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._occupancy = Occupancy(root)
        self._clear_incoming()
        self._made: set[str] = set()
        self._known: dict[str, tuple[dict[str, int], tuple[TreeEntry, ...]]] = {}
        self._lock = threading.Lock()

    def keep(self, path: Path, *, copy: bool = False) -> Artifact:
        """Take in a folder or file; its files become read-only links to what is kept, unless `copy`."""
        with _disk_errors(f"keep `{path}`"), self._occupancy.changing():
            if not path.is_dir():
                return self._keep_file(path, copy=copy)
            found_files, empty = _list_tree(path, foreign=copy)
            taken = _in_parallel(self._take, found_files)
            entries = [
                TreeEntry(f.relative, digest, f.size_bytes, f.executable)
                for f, (digest, _) in zip(found_files, taken, strict=True)
            ]
            entries += [TreeEntry(e, "", 0) for e in empty]
            entries.sort()
            ref = self._write_tree(tuple(entries), dict(taken))
            return Artifact(ref, sum(f.size_bytes for f in found_files), len(found_files))

    def _keep_file(self, path: Path, *, copy: bool) -> Artifact:
        if not path.is_file():
            raise refuse(str(path))
        stat = path.stat()
        found = _Found(str(path), path.name, stat.st_size, executable=False, foreign=copy or _is_foreign(path))
        digest, changed_ns = self._take(found)
        self._write_list(digest, (TreeEntry(path.name, digest, stat.st_size),), {digest: changed_ns})
        return Artifact(f"file:{digest}", stat.st_size, 1)

    def place(self, ref: str, target: Path, *, writable: bool = False) -> None:
        """Make the artifact appear at `target`; `KeyError` if any of it is missing or changed."""
        kind, _, digest = ref.partition(":")
        with _disk_errors(f"place `{target}`"), self._occupancy.changing():
            if not self._check_all(ref):
                raise KeyError(ref)
            if kind == "file":
                target.parent.mkdir(parents=True, exist_ok=True)
                _materialise(self._object(digest), str(target), writable=writable)
                return
            target.mkdir(parents=True, exist_ok=True)
            made = {""}
            for entry in self._read_tree(digest)[1]:
                folder = entry.path.rpartition("/")[0]
                if folder not in made:
                    (target / folder).mkdir(parents=True, exist_ok=True)
                    made.add(folder)
                if entry.digest:
                    path = f"{target}/{entry.path}"
                    _materialise(self._object(entry.digest), path, writable=writable or entry.executable)
                    if entry.executable:
                        os.chmod(path, 0o755)  # noqa: PTH101, S103 - as the step made it

    def is_whole(self, ref: str) -> bool:
        """Whether every byte is there; objects found changed are removed."""
        with self._occupancy.changing():
            return self._check_all(ref)

    def _check_all(self, ref: str) -> bool:
        digest = ref.partition(":")[2]
        try:
            os.utime(self._tree(digest))  # whoever looks is about to use it
            times, entries = self._read_tree(digest)
        except (OSError, ValueError, KeyError):
            return False
        if not times and any(e.digest for e in entries):
            return False
        broken = [e for e in entries if e.digest and not self._check(e, times.get(e.digest))]
        return not broken

    def entries(self, ref: str) -> tuple[TreeEntry, ...] | None:
        """The files of a folder that was kept or remembered."""
        try:
            return self._read_tree(ref.partition(":")[2])[1]
        except (OSError, ValueError, KeyError):
            return None

    def remember(self, entries: Sequence[TreeEntry]) -> str:
        """Keep only the list of files."""
        digest = digest_tree(entries)
        with self._occupancy.changing():
            try:
                os.utime(self._tree(digest))
            except FileNotFoundError:
                return self._write_tree(tuple(sorted(entries)), {})
        return f"folder:{digest}"

    def in_use(self) -> AbstractContextManager[None]:
        """Hold what is kept or looked at from now on against whoever collects garbage meanwhile."""
        return self._occupancy.in_use()

    def busy_since(self) -> float:
        """What to spare at least: whatever was touched since then may be in use. To be asked before what is needed."""
        return self._occupancy.busy_since()

    def _clear_incoming(self) -> None:
        """Half-made files of processes that were killed; what is younger may be in use."""
        oldest = SystemClock().now().timestamp() - STALE_S
        with os.scandir(self._incoming) as listing:
            for entry in listing:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)  # noqa: PTH108

    def collect_garbage(
        self, keep: Iterable[str], *, dry_run: bool = False, spare_since: float = float("inf")
    ) -> Garbage:
        """Remove everything no ref in `keep` needs (or only count it), but what was touched after `spare_since`."""
        with self._occupancy.changing(alone=True):
            trees = {ref.partition(":")[2] for ref in keep}
            lists = list(self._trees.glob("*/*.json"))
            fresh = {p.stem for p in lists if p.stem not in trees and p.stat().st_mtime >= spare_since}
            with self._lock:
                self._known.clear()
            needed, spared = self._objects_of(trees), self._objects_of(fresh)
            sizes = {p: p.stat().st_size for p in self._objects.glob("*/*") if p.name not in needed}
            gone = [p for p in sizes if p.name not in spared]
            unused = [*gone, *(p for p in lists if p.stem not in trees | fresh)]
            if not dry_run:
                for path in [*unused, *self._incoming.iterdir()]:
                    path.unlink()
        size = sum(sizes[p] for p in gone)
        return Garbage(len(gone), size, len(sizes) - len(gone), sum(sizes.values()) - size, tuple(unused))

    def _objects_of(self, trees: Iterable[str]) -> set[str]:
        """Digests of the files that the lists name."""
        found: set[str] = set()
        for digest in trees:
            found.update(e.digest for e in self.entries(f"folder:{digest}") or () if e.digest)
        return found

    def object_path(self, digest: str) -> Path:
        """Where a file's bytes lie, whether or not they are there."""
        return Path(self._object(digest))

    def _object(self, digest: str) -> str:
        return f"{self._objects}/{digest[:2]}/{digest}"

    def _tree(self, digest: str) -> str:
        return f"{self._trees}/{digest[:2]}/{digest}.json"

    def _take(self, found: _Found) -> tuple[str, int]:
        """Digest of a file that is now in the store, and when its object last changed."""
        digest = digest_file(Path(found.path))
        target = self._object(digest)
        self._make_folder(target)
        if _is_object(target, found.size_bytes):
            if not found.foreign:
                self._swap_in(target, found.path)
        elif found.foreign:
            self._link_in(self._copy(found.path), target)
        else:
            os.chmod(found.path, READ_ONLY)  # noqa: PTH101
            self._link_in(found.path, target)
        return digest, os.stat(target).st_mtime_ns  # noqa: PTH116

    def _link_in(self, source: str, target: str) -> None:
        try:
            os.link(source, target)
        except FileExistsError:
            return
        except OSError:  # another file system, or too many links
            os.replace(self._copy(source), target)  # noqa: PTH105

    def _swap_in(self, target: str, path: str) -> None:
        """Let `path` share the bytes kept already."""
        spare = str(self._incoming / secrets.token_hex(8))
        try:
            os.link(target, spare)
        except OSError:  # another file system, or too many links: two copies do no harm
            return
        try:
            os.replace(spare, path)  # noqa: PTH105
        except PermissionError:  # the step made its folder read-only
            os.unlink(spare)  # noqa: PTH108

    def _copy(self, source: str) -> str:
        spare = str(self._incoming / secrets.token_hex(8))
        shutil.copyfile(source, spare)
        os.chmod(spare, READ_ONLY)  # noqa: PTH101
        return spare

    def _make_folder(self, path: str) -> None:
        folder = os.path.dirname(path)  # noqa: PTH120 - hot path
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            self._made.add(folder)

    def _write_tree(self, entries: tuple[TreeEntry, ...], times: dict[str, int]) -> str:
        digest = digest_tree(entries)
        self._write_list(digest, entries, times)
        return f"folder:{digest}"

    def _write_list(self, digest: str, entries: tuple[TreeEntry, ...], times: dict[str, int]) -> None:
        path = self._tree(digest)
        rows = [
            {"path": e.path, "digest": e.digest, "size_bytes": e.size_bytes, "executable": e.executable}
            for e in entries
        ]
        self._make_folder(path)
        spare = self._incoming / secrets.token_hex(8)
        spare.write_text(json.dumps({"entries": rows, "changed_ns": times}), encoding="utf-8")
        spare.replace(path)
        with self._lock:
            self._known[digest] = (times, entries)

    def _read_tree(self, digest: str) -> tuple[dict[str, int], tuple[TreeEntry, ...]]:
        with self._lock:
            known = self._known.get(digest)
        if known is None:
            with open(self._tree(digest), "rb") as file:  # noqa: PTH123 - hot path
                body = json.loads(file.read())
            entries = tuple(
                TreeEntry(r["path"], r["digest"], r["size_bytes"], r["executable"]) for r in body["entries"]
            )
            known = (body.get("changed_ns", {}), entries)
            with self._lock:
                self._known[digest] = known
        return known

    def _check(self, entry: TreeEntry, changed_ns: int | None) -> bool:
        try:
            found = os.stat(self._object(entry.digest))  # noqa: PTH116
        except OSError:
            return False
        if found.st_size == entry.size_bytes and found.st_mtime_ns == changed_ns:
            return True
        return self._verify(entry.digest)

    def _verify(self, digest: str) -> bool:
        """Read the object; one that is not what its name says is removed."""
        path = Path(self._object(digest))
        try:
            if digest_file(path) == digest:
                return True
            path.unlink()
        except OSError:
            return False
        return False


def _is_object(target: str, size_bytes: int) -> bool:
    """Whether the object is there; one of the wrong size is removed, so that it is made anew."""
    try:
        if os.stat(target).st_size == size_bytes:  # noqa: PTH116
            return True
        os.unlink(target)  # noqa: PTH108
    except FileNotFoundError:
        return False
    return False


def _materialise(source: str, target: str, *, writable: bool) -> None:
    if writable:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        os.unlink(target)  # noqa: PTH108
        os.link(source, target)
    except OSError:  # another file system, or too many links
        shutil.copyfile(source, target)


def _is_foreign(path: Path) -> bool:
    return path.is_symlink() or path.stat().st_nlink > 1


def _list_tree(root: Path, *, foreign: bool) -> tuple[list[_Found], list[str]]:
    """Files below `root` and folders that hold nothing, links followed."""
    files: list[_Found] = []
    empty: list[str] = []
    stack: list[tuple[str, str, bool, Seen]] = [(str(root), "", False, frozenset())]
    while stack:
        folder, prefix, linked, seen = stack.pop()
        with os.scandir(folder) as listing:
            found = list(listing)
        if not found and prefix:
            empty.append(prefix)
        for entry in found:
            if is_folder(entry):
                inner = linked or entry.is_symlink()
                stack.append((entry.path, f"{prefix}{entry.name}/", inner, follow(entry, seen)))
                continue
            stat = entry.stat()
            executable = bool(stat.st_mode & st.S_IXUSR)
            copied = foreign or linked or stat.st_nlink > 1 or entry.is_symlink() or executable
            files.append(_Found(entry.path, prefix + entry.name, stat.st_size, executable, copied))
    files.sort(key=lambda f: f.relative)
    return files, sorted(empty)


def _in_parallel(work: Callable[[_Found], tuple[str, int]], items: Sequence[_Found]) -> list[tuple[str, int]]:
    """Results in order, on all cores when there is enough to do: hashing releases the interpreter."""
    if len(items) < PARALLEL_FROM:
        return [work(i) for i in items]
    cores = os.cpu_count() or 1
    chunks = [items[i::cores] for i in range(cores)]
    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(lambda chunk: [work(i) for i in chunk], chunks))
    return [parts[i % cores][i // cores] for i in range(len(items))]


@contextlib.contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    """A full or broken disk is an outside failure that says so."""
    try:
        yield
    except OSError as exc:
        where = f" (`{exc.filename}`)" if exc.filename and str(exc.filename) not in what else ""
        raise BackendError(
            f"Cannot {what}: {exc.strerror or exc}{where}",
            hint="Check the disk's free space and permissions, then resume.",
        ) from exc


def open_artifacts(home: Path) -> FolderArtifacts:
    """The store of the workspace at `home`."""
    return FolderArtifacts(home / "store")
