"""Mistakes of a repository that no single document shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tidemill.base.findings import Finding

FIXES: Mapping[str, Callable[[str, Finding], str]] = {}


def lint_repository(root: Path, paths: Sequence[Path]) -> list[tuple[Path, Finding]]:
    """Findings of workflows, Dockerfiles, manifests and scripts below `paths`."""
    del root, paths
    return []
