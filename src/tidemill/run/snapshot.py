"""The code a step runs: which files of a folder count, their digest, and a private copy of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tidemill.base.errors import SpecError
from tidemill.base.frozen import frozen
from tidemill.base.hashing import StampCache, TreeEntry, hash_files
from tidemill.base.ignore import Ignored, make_ignore
from tidemill.base.trees import Seen, follow, is_folder

IGNORE_FILES = (".amlignore", ".gitignore")
# `.env` holds secrets: steps get its values as variables, and no copy of it is kept
NEVER = frozenset({".git", ".tidemill", "__pycache__", ".ipynb_checkpoints", ".env"})
EDITORS_LOCK = ".#"  # a link to nowhere beside a file that is open
NESTED_MARK = "pyvenv.cfg"


@frozen
class Snapshot:
    """The files of a code folder: where each lies, and what it holds."""

    sources: tuple[Path, ...]
    entries: tuple[TreeEntry, ...]

    def copy_to(self, folder: Path) -> None:
        """A private copy, so that a step may change its files without touching the user's."""
        made = {folder}
        for source, entry in zip(self.sources, self.entries, strict=True):
            target = folder / entry.path
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            shutil.copyfile(source, target)
            if entry.executable:
                target.chmod(0o755)


def take_snapshot(
    code: Path,
    includes: Sequence[Path] = (),
    stamps: StampCache | None = None,
    give_up: Callable[[], bool] | None = None,
) -> Snapshot:
    """The snapshot of a code folder (or single file), with `additional_includes` merged in."""
    found: dict[str, Path] = {}
    for root in (code, *includes):
        if not root.exists():
            raise SpecError(f"The code `{root}` is not there", hint="Fix `code:` or `additional_includes:`.")
        keep_name = root is not code
        for relative, path in list_code(root, keep_name=keep_name):
            found.setdefault(relative, path)
    names = sorted(found)
    paths = [found[n] for n in names]
    hashed = hash_files(paths, stamps, give_up)
    entries = tuple(
        TreeEntry(name, digest, stat.st_size, bool(stat.st_mode & 0o100))
        for name, (digest, stat) in zip(names, hashed, strict=True)
    )
    return Snapshot(tuple(paths), entries)


def list_code(root: Path, *, keep_name: bool = False) -> Iterator[tuple[str, Path]]:
    """Relative name and path of every file that counts; `keep_name` puts them below the folder's own name."""
    if not root.is_dir():
        yield root.name, root
        return
    ignored = read_ignore(root)
    prefix = f"{root.name}/" if keep_name else ""
    for relative in _walk(root, "", ignored, frozenset()):
        yield prefix + relative, root / relative


def _walk(root: Path, below: str, ignored: Ignored, seen: Seen) -> Iterator[str]:
    with os.scandir(root / below) as listing:
        found = sorted(listing, key=lambda e: e.name)
    for entry in found:
        relative = below + entry.name
        if entry.name in NEVER or entry.name.startswith(EDITORS_LOCK) or _is_special(entry):
            continue
        if ignored(relative, os.path.isdir(entry.path)):  # noqa: PTH112 - unlike the entry, it never raises
            continue
        if not is_folder(entry):
            yield relative
        elif not os.path.exists(os.path.join(entry.path, NESTED_MARK)):  # noqa: PTH110, PTH118 - hot loop
            yield from _walk(root, relative + "/", ignored, follow(entry, seen))


def _is_special(entry: os.DirEntry[str]) -> bool:
    """A pipe, socket or device: no part of a program, as for git."""
    return not (entry.is_symlink() or entry.is_dir() or entry.is_file())


def read_ignore(root: Path) -> Ignored:
    """The rules of a root-level `.amlignore`, or if there is none of a root-level `.gitignore`."""
    for name in IGNORE_FILES:
        path = root / name
        if path.is_file():
            return make_ignore(path.read_text(encoding="utf-8", errors="replace").splitlines())
    return lambda _relative, _folder: False
