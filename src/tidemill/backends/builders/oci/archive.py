"""An image as one file that container engines load: the format of `docker save`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tidemill.base.hashing import digest_bytes


def write_archive(path: Path, config: bytes, layers: Sequence[Path]) -> Path:
    """Config and compressed layers, the lowest first; the image loaded from it has the config's digest as its id."""
    names = [f"{index:03d}.tar.gz" for index in range(len(layers))]
    manifest = [{"Config": f"{digest_bytes(config)}.json", "RepoTags": None, "Layers": names}]
    with tarfile.open(path, "w") as tar:
        for name, layer in zip(names, layers, strict=True):
            tar.add(layer, arcname=name)
        _add(tar, manifest[0]["Config"], config)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def _add(tar: tarfile.TarFile, name: object, data: bytes) -> None:
    entry = tarfile.TarInfo(str(name))
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
