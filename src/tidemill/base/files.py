"""Files that are there whole or not at all, and paths that stay where they belong."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tidemill.base.errors import ConflictError, UsageError
from tidemill.base.wanted import LOOK_S, may_be_given_up, require_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def write_atomic(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`: a reader or a crash sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode() if isinstance(data, str) else data
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)  # noqa: PTH101 - the temporary name is a string
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise


def is_there(path: Path) -> bool:
    """Whether anything is at a path a document names; one the system cannot even look up (too long, a null in it) is not."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for those


def is_plain_file(path: Path) -> bool:
    """Whether a file is there, by the same rule."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether a folder is there, by the same rule."""
    return os.path.isdir(path)  # noqa: PTH112


def remove_tree(root: Path) -> None:
    """Remove a folder and all in it, also what a step took its own right to change from; links are not followed."""
    try:
        shutil.rmtree(root)
    except PermissionError:
        _take_rights_back(root)
        shutil.rmtree(root)


def _take_rights_back(root: Path) -> None:
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        os.chmod(folder, 0o700)  # noqa: PTH101 - as scandir gives it
        with os.scandir(folder) as listing:
            waiting += [entry.path for entry in listing if entry.is_dir(follow_symlinks=False)]


def confine(root: Path, relative: str | Path) -> Path:
    """`root / relative`, resolved; a `UsageError` when that leaves `root`."""
    base = root.resolve()
    path = (base / relative).resolve()
    if path != base and base not in path.parents:
        raise UsageError(f"`{relative}` leads out of `{root}`", hint="Use a path inside that folder.")
    return path


@contextlib.contextmanager
def locked(
    path: Path, *, wait: bool = True, what: str = "", waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold an advisory lock on `path` while the body runs; it goes with the process, however that ends.

    With `wait=False` a lock somebody else holds is a `ConflictError`. `waiting` is told who holds it before a wait begins.
    """
    with _open_locked(path, wait=wait, what=what, waiting=waiting) as file:
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield


def _open_locked(path: Path, *, wait: bool, what: str, waiting: Callable[[str], None] | None) -> IO[bytes]:
    """The file at `path`, locked; again if its folder was removed meanwhile, as somebody else may hold the lock that counts."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(path.open("a+b"))
            _take(file, path, wait=wait, what=what, waiting=waiting)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    opened.pop_all()
                    return file


def _take(file: IO[bytes], path: Path, *, wait: bool, what: str, waiting: Callable[[str], None] | None) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        if not wait:
            raise ConflictError(
                f"Another process is at work on {what or path}",
                hint="Wait for it to end, or stop it, and try again.",
            ) from exc
        if waiting is not None:
            file.seek(0)
            waiting(f"process {file.read().decode() or '(unknown)'}")
        while may_be_given_up():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            require_wanted()
            time.sleep(LOOK_S)
        fcntl.flock(file, fcntl.LOCK_EX)
