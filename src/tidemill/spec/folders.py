"""Which folders of a repository hold its own files, and not what tools put there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SKIPPED = frozenset(
    {
        *(".git", ".hg", ".idea", ".tidemill", ".tox", ".mypy_cache", ".ruff_cache"),
        *(".venv", "venv", "site-packages", "node_modules", "__pycache__"),
    }
)
# A packaging tool's output, where there is one; elsewhere people keep build contexts under these names.
BUILT = frozenset({"build", "dist"})
BUILDS = frozenset({"pyproject.toml", "setup.py", "package.json"})


def walk_files(root: Path) -> Iterator[Path]:
    """The files below `root` in a stable order, without what tools put there."""
    for folder, folders, names in os.walk(root):
        left_out = SKIPPED if BUILDS.isdisjoint(names) else SKIPPED | BUILT
        folders[:] = sorted(f for f in folders if f not in left_out)
        yield from (Path(folder, name) for name in sorted(names))
