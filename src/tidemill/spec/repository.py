"""Every Azure ML document of a repository, found by kind, name and version without configuration."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import Loaded, load

SKIPPED = {
    ".git",
    ".tidemill",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".tox",
    ".mypy_cache",
    ".ruff_cache",
    "site-packages",
    ".hg",
    ".idea",
}
MAX_BYTES = 4 << 20
# Words one of which every named document contains; a file without any is not parsed.
HINTS = (b"azureml", b"command:", b"conda_file", b"image:", b"build:", b"path:", b"type:", b"trial:", b"endpoint")
NAMED = {*COMPONENTS, Kind.ENVIRONMENT, Kind.DATA, Kind.MODEL, Kind.COMPUTE, Kind.DATASTORE}


def yaml_files(root: Path) -> Iterator[Path]:
    """YAML files below `root` in a stable order, without what tools put there."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED)
        for name in sorted(names):
            if name.endswith((".yml", ".yaml")):
                yield Path(folder, name)


@dataclass(frozen=True, slots=True)
class Repository:
    """Documents with a name, by kind; read once."""

    root: Path
    documents: tuple[Loaded, ...]
    _by_name: Mapping[tuple[Kind, str], Sequence[Loaded]] = field(default_factory=dict)

    def find(self, kinds: Collection[Kind], name: str, version: str | None = None) -> Loaded | None:
        """The document of that name, and version if given; the highest version when several are left."""
        found = [d for kind in kinds for d in self._by_name.get((kind, name), ())]
        exact = [d for d in found if version is None or _version(d) == version]
        return max(exact, key=lambda d: _order(_version(d)), default=None)

    def names(self, kinds: Collection[Kind]) -> list[str]:
        """`name:version` of every document of those kinds."""
        return sorted(
            f"{name}:{_version(d)}" for (kind, name), docs in self._by_name.items() if kind in kinds for d in docs
        )

    def duplicates(self) -> list[tuple[Loaded, ...]]:
        """Documents of one kind that say the same name and version."""
        groups: dict[tuple[Kind, str, str], list[Loaded]] = defaultdict(list)
        for (kind, name), docs in self._by_name.items():
            for document in docs:
                groups[kind, name, _version(document)].append(document)
        return [tuple(g) for g in groups.values() if len(g) > 1]


def scan(root: Path) -> Repository:
    """Read every YAML file of a folder that may declare an asset; files that are not documents are passed over."""
    documents: list[Loaded] = []
    by_name: dict[tuple[Kind, str], list[Loaded]] = defaultdict(list)
    for path in yaml_files(root):
        if not _may_declare(path):
            continue
        loaded = load(path)
        name = loaded.data.get("name") if isinstance(loaded.data, dict) else None
        if loaded.kind not in NAMED or name is None:
            continue
        documents.append(loaded)
        by_name[loaded.kind, str(name)].append(loaded)
    return Repository(root, tuple(documents), by_name)


def _may_declare(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:
            return False
        raw = path.read_bytes()
    except OSError:
        return False
    return b"name:" in raw and any(h in raw for h in HINTS)


def _version(loaded: Loaded) -> str:
    found = loaded.data.get("version") if isinstance(loaded.data, dict) else None
    return "1" if found is None else str(found)


def _order(version: str) -> tuple[tuple[int, str], ...]:
    """Numbers as numbers: 0.0.10 after 0.0.9."""
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in version.split("."))
