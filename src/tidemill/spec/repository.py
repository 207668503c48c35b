"""Every Azure ML document of a repository, found by kind, name and version without configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from tidemill.base.errors import SpecError
from tidemill.base.frozen import frozen, slotted
from tidemill.spec.folders import walk_files
from tidemill.spec.kinds import COMPONENTS, Kind, detect_kind
from tidemill.spec.load import Loaded, load_source
from tidemill.spec.source import Source, read_source

MAX_BYTES = 4 << 20
# Words one of which every named document contains; a file without any, or without `name`, is not parsed.
HINTS = (b"azureml", b"command:", b"conda_file", b"image:", b"build:", b"path:", b"type:", b"trial:", b"endpoint")
NAMED = {*COMPONENTS, Kind.ENVIRONMENT, Kind.DATA, Kind.MODEL, Kind.COMPUTE, Kind.DATASTORE}

MUTABLE = {Kind.COMPUTE, Kind.DATASTORE}  # two files of one name are two states of one thing


def yaml_files(root: Path) -> Iterator[Path]:
    """YAML files below `root` in a stable order, without what tools put there."""
    return (p for p in walk_files(root) if p.name.endswith((".yml", ".yaml")))


@slotted
class Entry:
    """A named document as parsed; it is validated when somebody asks for it."""

    source: Source
    kind: Kind
    name: str
    version: str | None
    _loaded: Loaded | None = None

    def get(self) -> Loaded:
        """The document, typed."""
        if self._loaded is None:
            self._loaded = load_source(self.source, kind=self.kind)
        return self._loaded


@frozen
class Repository:
    """Documents with a name, by kind; read once."""

    root: Path
    entries: tuple[Entry, ...]
    _by_name: dict[tuple[Kind, str], list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for entry in self.entries:
            self._by_name[entry.kind, entry.name].append(entry)

    @property
    def documents(self) -> tuple[Loaded, ...]:
        """Every document, typed."""
        return tuple(e.get() for e in self.entries)

    def find(self, kinds: Collection[Kind], name: str, version: str | None = None) -> Loaded | None:
        """The document of that name, and version if given; the highest version when several are left.

        A document without a version is given one when it is registered, so it stands for any.
        """
        best = max(self._matching(kinds, name, version), key=lambda e: _order(e.version or ""), default=None)
        return best.get() if best is not None else None

    def find_all(self, kinds: Collection[Kind], name: str, version: str | None = None) -> tuple[Loaded, ...]:
        """Every document that may be meant, the one `find` gives first."""
        found = sorted(self._matching(kinds, name, version), key=lambda e: _order(e.version or ""), reverse=True)
        return tuple(e.get() for e in found)

    def _matching(self, kinds: Collection[Kind], name: str, version: str | None) -> list[Entry]:
        found = [e for kind in kinds for e in self._by_name.get((kind, name), ())]
        return [e for e in found if version is None or e.version == version] or [e for e in found if e.version is None]

    def names(self, kinds: Collection[Kind]) -> list[str]:
        """`name:version` of every document of those kinds; the name alone where no version is written."""
        found = (e for e in self.entries if e.kind in kinds)
        return sorted({f"{e.name}:{e.version}" if e.version is not None else e.name for e in found})

    def duplicates(self) -> list[tuple[Loaded, ...]]:
        """Versioned assets of one kind that say the same name and version, and differ."""
        groups: dict[tuple[Kind, str, str | None], list[Entry]] = defaultdict(list)
        for entry in (e for e in self.entries if e.kind not in MUTABLE):
            groups[entry.kind, entry.name, entry.version].append(entry)
        return [tuple(e.get() for e in g) for g in groups.values() if len({e.source.text for e in g}) > 1]


def scan(root: Path, known: Mapping[Path, Loaded] | None = None) -> Repository:
    """Every YAML file of a folder that declares an asset; files that are not documents are passed over.

    Files in `known` are not read again.
    """
    read = {p.absolute(): loaded for p, loaded in (known or {}).items()}
    entries = [e for path in yaml_files(root.absolute()) if (e := _entry(path, read.get(path))) is not None]
    return Repository(root, tuple(entries))


def _entry(path: Path, known: Loaded | None) -> Entry | None:
    if known is None and not _may_declare(path):
        return None
    try:
        source = known.source if known is not None else read_source(path)
    except SpecError:
        return None
    data: Any = source.data()
    kind = detect_kind(data, path.name)
    if kind not in NAMED or data.get("name") is None:
        return None
    version = data.get("version")
    return Entry(source, kind, str(data["name"]), None if version is None else str(version), known)


def _may_declare(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:
            return False
        raw = path.read_bytes()
    except OSError:
        return False
    return b"name" in raw and any(h in raw for h in HINTS)


def _order(version: str) -> tuple[tuple[int, str], ...]:
    """Numbers as numbers: 0.0.10 after 0.0.9."""
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in version.split("."))
