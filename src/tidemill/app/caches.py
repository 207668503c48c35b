"""What can be made again: the parts that images were built from, and models that were converted; which of it is old."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

SITE, READY = "site-", ".ready"
SMALL = ("layers", "environment-")  # what was built and pushed already; a few bytes each


def find_old_images(folder: Path, before: float) -> list[Path]:
    """Layers, packages and what a build that was killed left, last used before that; marks before what they stand for."""
    found = [p for p in folder.glob("*") if not p.name.startswith(SMALL) and _is_older(_mark_of(p), before)]
    return sorted(found, key=lambda path: (path.suffix != READY, path.name))


def _mark_of(path: Path) -> Path:
    """The file whose time tells when something was used last: packages have one for all of theirs."""
    if not path.name.startswith(SITE):
        return path
    mark = path.with_name(path.name.partition(".")[0].removesuffix("-constraints") + READY)
    return mark if mark.exists() else path


def find_old_conversions(folder: Path, before: float, known: Collection[str]) -> list[Path]:
    """Conversions last used before that, but of models whose digests are `known`; notes before what they stand for."""
    old = [note for note in sorted(folder.glob("*.json")) if _is_older(note, before) and _model_of(note) not in known]
    return [*old, *(path for path in (note.with_suffix(".onnx") for note in old) if path.exists())]


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.lstat().st_mtime < before
    except FileNotFoundError:
        return False


def _model_of(note: Path) -> str:
    """The digest of the model that a conversion was made of; none for a note that is none."""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
