"""Paths of inputs, which are relative to the document that names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.spec.references import FileRef, parse_reference


def anchor(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Inputs with relative paths made absolute; the job's own document lies elsewhere."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found[name] = value
        if isinstance(value, Mapping) and isinstance(value.get("path"), str):
            ref = parse_reference(value["path"])
            if isinstance(ref, FileRef):
                found[name] = {**value, "path": str(ref.resolve(folder))}
    return found
