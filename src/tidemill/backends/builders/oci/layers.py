"""Layers that come out the same byte for byte from the same files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value

GZIP_LEVEL = 3  # model weights hardly shrink; a quick level keeps a rebuild in seconds


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer in the blob folder. `digest` is of the gzip, `diff_id` of the tar inside."""

    path: Path
    digest: str
    diff_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of a layer: where it comes from, where it goes (absolute), and the digest of its bytes."""

    source: Path
    target: str
    digest: str
    executable: bool = False


class _Tee(io.RawIOBase):
    """Writes through while hashing what passes."""

    def __init__(self, sink: IO[bytes]) -> None:
        super().__init__()
        self._sink = sink
        self.sha = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.sha.update(data)
        self.size += len(data)
        self._sink.write(data)
        return len(data)


def make_layer(files: Sequence[LayerFile], blobs: Path) -> Layer:
    """The layer of `files`, made once: a second call with the same content reads the record of the first."""
    key = digest_value([[f.target, f.digest, f.executable] for f in sorted(files, key=lambda f: f.target)])
    record = blobs / "layers" / f"{key}.json"
    if record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        layer = Layer(blobs / known["digest"].replace(":", "-"), known["digest"], known["diff_id"], known["size_bytes"])
        if layer.path.exists():
            os.utime(layer.path)  # what is in use is young, for who collects what is old
            return layer
    layer = _write_layer(files, blobs)
    known = {"digest": layer.digest, "diff_id": layer.diff_id, "size_bytes": layer.size_bytes}
    write_atomic(record, json.dumps(known))
    return layer


def _write_layer(files: Sequence[LayerFile], blobs: Path) -> Layer:
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f".part-{id(files)}"
    with part.open("wb") as sink:
        outer = _Tee(sink)
        with gzip.GzipFile(filename="", mode="wb", fileobj=outer, compresslevel=GZIP_LEVEL, mtime=0) as zipped:
            inner = _Tee(zipped)  # type: ignore[arg-type]
            with tarfile.open(fileobj=inner, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                _add_all(tar, sorted(files, key=lambda f: f.target))
    digest = f"sha256:{outer.sha.hexdigest()}"
    path = blobs / digest.replace(":", "-")
    part.replace(path)
    return Layer(path, digest, f"sha256:{inner.sha.hexdigest()}", outer.size)


def _add_all(tar: tarfile.TarFile, files: Sequence[LayerFile]) -> None:
    folders: set[str] = set()
    for file in files:
        for parent in reversed(Path(file.target.lstrip("/")).parents[:-1]):
            if str(parent) not in folders:
                folders.add(str(parent))
                tar.addfile(_info(str(parent), tarfile.DIRTYPE, 0o755))
        info = _info(file.target.lstrip("/"), tarfile.REGTYPE, 0o755 if file.executable else 0o644)
        info.size = file.source.stat().st_size
        with file.source.open("rb") as content:
            tar.addfile(info, content)


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    """A header without owner or time, so that only content counts."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode
    return info
