"""`gc`: what nothing refers to any more."""

from __future__ import annotations

from typing import Any

from tidemill.app.wiring import App
from tidemill.record.retention import used_refs


def collect(app: App, *, dry_run: bool) -> dict[str, Any]:
    """Remove artifacts no cache entry, asset or unfinished job needs; what was (or would be) freed."""
    found = app.artifacts.collect_garbage(used_refs(app.store), dry_run=dry_run)
    return {"files": found.objects, "bytes": found.size_bytes, "dry_run": dry_run}
