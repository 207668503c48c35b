"""A release that brings nothing new: other files around the very numbers that serve already."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tidemill.base.hashing import digest_file, list_files

WEIGHTS = re.compile(
    r"(?:variables\.data-\d+-of-\d+"
    r"|\.(?:h5|hdf5|keras|onnx|joblib|pkl|pickle|pt|pth|safetensors|bin|cbm|ubj|npz|tflite|skops))$"
)
SAVED_AT = "metadata.json"  # of a .keras archive: when it was saved, and by which Keras


def differences(before: Path, after: Path) -> tuple[str, ...] | None:
    """The files that differ between two models with the same weights; None when the weights differ or none are known."""
    old, new = _files(before), _files(after)
    old_weights, new_weights = ({n: p for n, p in side.items() if WEIGHTS.search(n)} for side in (old, new))
    if not old_weights or old_weights.keys() != new_weights.keys():
        return None
    if any(_numbers(old_weights[n]) != _numbers(new_weights[n]) for n in old_weights):
        return None
    differing = {n for n in old.keys() & new.keys() if digest_file(old[n]) != digest_file(new[n])}
    return tuple(sorted(differing | (old.keys() ^ new.keys())))


def _files(root: Path) -> Mapping[str, Path]:
    if root.is_file():
        return {root.suffix: root}  # a model of one file may be called otherwise in every version
    return {p.relative_to(root).as_posix(): p for p in list_files(root)} if root.is_dir() else {}


def _numbers(path: Path) -> object:
    """What can be compared of a file of weights, without the time it was saved at."""
    if path.suffix == ".keras" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sorted((m.filename, m.file_size, m.CRC) for m in archive.infolist() if m.filename != SAVED_AT)
    return path.stat().st_size, digest_file(path)
