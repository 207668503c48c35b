"""`gc`: what nothing refers to any more."""

from __future__ import annotations

from typing import Any

from tidemill.app.wiring import App
from tidemill.record.retention import used_refs


def collect(app: App, *, dry_run: bool) -> dict[str, Any]:
    """Remove artifacts no cache entry, asset or unfinished job needs; what was (or would be) freed.

    What a run under way has touched is spared: it may need it although nothing refers to it yet.
    """
    since = app.artifacts.busy_since()  # before the references: what is recorded in between was touched after it
    found = app.artifacts.collect_garbage(used_refs(app.store), dry_run=dry_run, spare_since=since)
    return {
        "files": found.objects,
        "bytes": found.size_bytes,
        "spared_files": found.spared,
        "spared_bytes": found.spared_bytes,
        "dry_run": dry_run,
    }
