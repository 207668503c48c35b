"""`gc`: what nothing needs any more, and what is too old; how much there is of each kind."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tidemill.app.caches import find_old_conversions, find_old_images
from tidemill.app.made_from import COLLECTION
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import ConflictError
from tidemill.base.files import locked, remove_tree
from tidemill.base.ids import JobName
from tidemill.record.ports import KeepsFiles
from tidemill.record.retention import COMPLETED, RUNNING, Limits, expired_jobs, expired_steps, keys_of, used_refs

CONVERTED, TRACKED = "converted models", "tracking and models"
# Kinds in the order in which bytes that several of them link to are counted.
KINDS = {
    "outputs": "store",
    "jobs": "jobs",
    "environments": "envs",
    "downloads": "downloads",
    CONVERTED: "converted",
    "images": "images",
    TRACKED: "mlflow",
    "data assets": "assets",
}
OTHER = "other"
READY = "tidemill-ready"  # begins the name of a file in an environment that was built to its end
GONE = ".gone"  # what is being removed lies there, so that a `gc` that is killed leaves nothing half gone
YOUNGEST_S = 3600.0  # nothing tells whether an image is being built, or a server is about to start from a conversion
_JOB_FOLDER = re.compile(r"/jobs/([\w.-]+)(?=/)")
MENTIONS = ("endpoints/*/*.json", "serves/*.json")


@dataclass(frozen=True, slots=True)
class Wish:
    """What else may go: jobs, and what can be made or fetched again, not used for so long; jobs beyond the newest of their document."""

    older_than: timedelta | None = None
    keep: int | None = None


def collect(app: App, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
    """Remove (or only name) what may go; what was (or would be) freed, and how much there is of each kind.

    What a run under way has touched is spared: it may need it although nothing refers to it yet.
    """
    since = app.artifacts.busy_since()  # before the references: what is recorded in between was touched after it
    jobs, keys = _expired(app, wish)
    bare = _bare(app)
    places = (app.home / "jobs" / name for name in jobs)
    with _of_the_registry(app, {*jobs, *bare}) as tracked:
        folders = {"jobs": [place for place in places if place.exists()], **_unused(app, wish, since), TRACKED: tracked}
        gone = {*jobs, *(name for name, status in bare.items() if status == COMPLETED)}
        found = app.artifacts.collect_garbage(used_refs(app.store, gone, keys), dry_run=True, spare_since=since)
        left = (app.home / GONE).glob("*")  # of a `gc` that was killed
        report = {
            "files": found.objects,
            "bytes": _freed(found.paths, [*left, *(f for some in folders.values() for f in some)]),
            "spared_files": found.spared,
            "spared_bytes": found.spared_bytes,
            "dry_run": dry_run,
            "gone": {kind: _names(app.home / KINDS[kind], some) for kind, some in folders.items() if some},
            "kinds": measure(app.home),
        }
        if not dry_run:
            for key in keys:
                app.store.forget_step(key)
            _remove_all(app, folders)
            app.artifacts.collect_garbage(used_refs(app.store, gone), spare_since=since)
    return report


def _names(root: Path, found: Iterable[Path]) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in found)


@contextmanager
def _of_the_registry(app: App, jobs: Collection[str]) -> Iterator[Sequence[Path]]:
    """What the workspace's MLflow holds of versions that were deleted, and of runs of those jobs."""
    registry = app.registry if (app.home / KINDS[TRACKED]).exists() else None
    with registry.unused_files(jobs) if isinstance(registry, KeepsFiles) else nullcontext(()) as found:
        yield found


def _expired(app: App, wish: Wish) -> tuple[list[str], set[str]]:
    """Names of jobs whose files go, and keys of results that are forgotten."""
    if wish.older_than is None and wish.keep is None:
        return [], set()
    before = iso(SystemClock().now() - wish.older_than) if wish.older_than is not None else ""
    rows = app.store.jobs(archived=True)
    needed = _jobs_in(_mentions(app))
    gone = [row.name for row in expired_jobs(rows, Limits(before, wish.keep or 1)) if row.name not in needed]
    kept = keys_of(app.store, {row.name for row in rows} - set(gone))
    return gone, {step.key for step in expired_steps(app.store.cached_steps(), rows, set(gone), kept)}


def _bare(app: App) -> dict[str, str]:
    """Names and statuses of ended jobs whose files are gone already; one that did not complete may be taken up without them."""
    rows = app.store.jobs(archived=True)
    return {r.name: r.status for r in rows if r.status != RUNNING and not (app.home / "jobs" / r.name).exists()}


def _jobs_in(texts: Iterable[str]) -> set[str]:
    """Names of jobs whose folders are mentioned, or that are mentioned alone."""
    found: set[str] = set()
    for text in texts:
        found |= {text, *_JOB_FOLDER.findall(text)}
    return found


def _mentions(app: App) -> list[str]:
    """Where what serves and what is registered lies, and the jobs that registered models came from."""
    found = [p.read_text(encoding="utf-8", errors="replace") for glob in MENTIONS for p in app.home.glob(glob)]
    found += [row.path for row in app.store.assets("data", archived=True)]
    if _has_registry(app):
        for version in app.registry.list(archived=True):
            found += [f"{version.path}/", version.job or ""]
    return found


def _unused(app: App, wish: Wish, since: float) -> dict[str, list[Path]]:
    """Environments and downloads that nothing has used for so long, nothing serves from and nothing is registered from."""
    if wish.older_than is None:
        return {}
    before = min(SystemClock().now().timestamp() - wish.older_than.total_seconds(), since)
    texts = _mentions(app)
    known = {version.digest for version in app.registry.list(archived=True)} if _has_registry(app) else set()
    early = min(before, SystemClock().now().timestamp() - YOUNGEST_S)
    found = {
        "images": find_old_images(app.home / KINDS["images"], early),
        CONVERTED: find_old_conversions(app.home / KINDS[CONVERTED], early, known),
    }
    for kind, mark in (("environments", f"{READY}.json"), ("downloads", "")):
        root = app.home / KINDS[kind]
        folders = sorted(root.iterdir()) if root.is_dir() else []
        found[kind] = [
            folder
            for folder in folders
            if (folder / mark).exists()
            and folder.is_dir()
            and (folder / mark).stat().st_mtime < before
            and not any(f"{folder}/" in text for text in texts)
        ]
    found["environments"] += _half_built(app.home / KINDS["environments"], early)
    return found


def _half_built(root: Path, before: float) -> list[Path]:
    """Environments that a killed run left, and that nobody builds now."""
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.is_dir() and not any(folder.glob(f"{READY}*")) and folder.stat().st_mtime < before:
            with suppress(ConflictError), locked(root / f"{folder.name}.lock", wait=False):
                found.append(folder)
    return found


def _has_registry(app: App) -> bool:
    return (app.home / KINDS[TRACKED]).exists() or bool(app.settings.tracking_uri)


def _remove_all(app: App, folders: Mapping[str, Sequence[Path]]) -> None:
    """Everything that goes; of jobs those that nobody has taken up meanwhile."""
    trash = app.home / GONE
    trash.mkdir(exist_ok=True)
    for kind, paths in folders.items():
        for path in paths:
            if kind != "jobs":
                _remove(path, trash)
                continue
            with suppress(ConflictError), app.locks.job(JobName(path.name)):
                app.store.delete(COLLECTION, path.name)
                _remove(path, trash)
    with suppress(OSError):  # another `gc` removes the same, or the next one tries again
        remove_tree(trash)
    shutil.rmtree(trash, ignore_errors=True)


def _remove(path: Path, trash: Path) -> None:
    """Out of the way at once, under a name that no other `gc` gives it; what another one took is gone."""
    with suppress(FileNotFoundError):
        path.replace(trash / f"{path.name}-{uuid.uuid4().hex}")


def _freed(files: Iterable[Path], folders: Iterable[Path]) -> int:
    """Bytes that nothing links to once these are gone."""
    links: Counter[tuple[int, int]] = Counter()
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    stats = [*(_stat(str(p)) for p in files), *(s for folder in folders for s in _stats(str(folder)))]
    for stat in (s for s in stats if s is not None):
        identity = stat.st_dev, stat.st_ino
        links[identity] += 1
        sizes[identity] = stat.st_size, stat.st_nlink
    return sum(size for identity, (size, linked) in sizes.items() if links[identity] >= linked)


def measure(home: Path) -> dict[str, int]:
    """Bytes of each kind; a file that several link to counts once, as an output if it is one."""
    seen: set[tuple[int, int]] = set()
    found: dict[str, int] = {}
    known = {home / folder for folder in KINDS.values()}
    for kind, folder in KINDS.items():
        found[kind] = sum(_new_sizes(str(home / folder), seen))
    rest = [p for p in home.iterdir() if p not in known] if home.is_dir() else []
    found[OTHER] = sum(sum(_new_sizes(str(p), seen)) for p in rest)
    return {kind: size for kind, size in found.items() if size}


def _new_sizes(root: str, seen: set[tuple[int, int]]) -> Iterator[int]:
    for stat in _stats(root):
        identity = stat.st_dev, stat.st_ino
        if identity not in seen:
            seen.add(identity)
            yield stat.st_size


def _stats(root: str) -> Iterator[os.stat_result]:
    """Of every file below a folder, or of the file itself; links are not followed."""
    if not os.path.isdir(root):  # noqa: PTH112 - hundreds of thousands of them
        yield from (s for s in (_stat(root),) if s is not None)
        return
    folders = [root]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as found:  # others may remove it meanwhile
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_dir() and (stat := _stat(entry.path)) is not None:
                    yield stat


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, PermissionError):  # a step may take the right to look into its folders
        return None
