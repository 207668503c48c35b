"""Schedules: when they start next, and starting one now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tidemill.app.anchors import anchor
from tidemill.app.run import RunRequest, run_job
from tidemill.app.wiring import App
from tidemill.base.clock import iso
from tidemill.base.errors import BackendError, NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.run.ports import RunObserver
from tidemill.run.result import JobResult
from tidemill.spec.firings import next_firing, read_trigger
from tidemill.spec.overrides import Override, parse_override
from tidemill.spec.references import AssetRef, FileRef, parse_reference

SCHEDULE = "schedule"
# What `create_job` may say over the job's own document.
CHANGES = (
    "display_name", "description", "experiment_name", "compute", "inputs", "outputs", "settings", "tags", "properties",
    "environment", "environment_variables", "resources", "limits",
)  # fmt: skip


def describe(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A schedule with when it would start next; one that is disabled never does."""
    enabled = row.get("is_enabled") is not False
    created = datetime.fromisoformat(row["created_at"]) if row.get("created_at") else now
    at = next_firing(read_trigger(row["trigger"], created), now) if enabled and row.get("trigger") else None
    return {**row, "is_enabled": enabled, "next_run": iso(at) if at else None}


def enable(app: App, name: str, *, enabled: bool) -> bool:
    """Let a schedule start, or not; whether that changed anything."""
    row = _find(app, name)
    changed = (row.get("is_enabled") is not False) != enabled
    app.store.put(SCHEDULE, name, {**row, "is_enabled": enabled})
    return changed


def _find(app: App, name: str) -> dict[str, Any]:
    found = app.store.get(SCHEDULE, name)
    if found is None:
        hint = did_you_mean(name, app.store.documents(SCHEDULE)) or "Create it: tidemill schedule create -f FILE"
        raise NotFoundError(f"There is no schedule `{name}`", hint=hint)
    return dict(found)


def trigger(app: App, name: str, observers: Sequence[RunObserver] = ()) -> JobResult:
    """Run what a schedule starts, now and to its end."""
    row = _find(app, name)
    wanted = row.get("create_job")
    if wanted is None:
        what = "a monitor" if row.get("create_monitor") else "an import"
        raise BackendError(f"The schedule `{name}` starts {what}: it needs Azure", hint="Only jobs start here.")
    said = {"job": wanted} if isinstance(wanted, str) else dict(wanted)
    folder = Path(row["source"]).parent if row.get("source") else app.settings.root
    file = _job_file(app, said["job"], folder)
    return run_job(app, RunRequest(file, tuple(_changes(said, folder))), observers)


def _job_file(app: App, text: str, folder: Path) -> Path:
    """The document of the job, by path, or of a job that ran before, by name."""
    ref = parse_reference(text)
    if isinstance(ref, FileRef):
        return ref.resolve(folder)
    job = app.store.job(ref.name) if isinstance(ref, AssetRef) else None
    if job is None or not job.source:
        raise UsageError(f"`{text}` names no job that can be run here", hint="Give the path of the job's document.")
    return Path(job.source)


def _changes(said: Mapping[str, Any], folder: Path) -> Iterator[Override]:
    """What the schedule says over the job, as `--set` would; each value whole, so that a job can be taken up again."""
    for key in CHANGES:
        value = said.get(key)
        if isinstance(value, Mapping):
            parts = anchor(value, folder) if key == "inputs" else value
            yield from (parse_override(f"{key}.{k}={json.dumps(v)}") for k, v in parts.items())
        elif value is not None:
            yield parse_override(f"{key}={json.dumps(value)}")
