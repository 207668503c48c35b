"""Jobs as az shows them: list, show, stream, download, cancel."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tidemill.app.children import DEFAULT, find_child, show_child
from tidemill.app.run import settle_interrupted
from tidemill.app.sources import find_logged
from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import FailedError, NotFoundError, UsageError
from tidemill.base.ids import JobName
from tidemill.record.ports import JobRow
from tidemill.record.runs import get_job, get_settled
from tidemill.run.events import JobEdited
from tidemill.run.folders import JobFolder, job_folder
from tidemill.run.job import JobView
from tidemill.run.result import make_result
from tidemill.spec.edits import Edits, apply_edits

POLL_S = 0.2
CANCEL_S = 20.0
EDITABLE = ("display_name", "experiment_name", "description")


def list_jobs(
    app: App, *, limit: int | None, archived: bool, parent: str | None, archived_only: bool = False
) -> list[dict[str, Any]]:
    """Newest first; with `parent`, the steps of that job."""
    if parent is not None:
        view = get_settled(app.store, parent, app.is_driven)
        return [
            {
                "name": _child_name(view, n),
                "display_name": n,
                "status": str(s.status),
                "type": s.kind,
                "parent_job_name": parent,
            }
            for n, s in view.steps.items()
        ][:limit]
    if archived_only:
        hidden = [r for r in app.store.jobs(archived=True) if r.archived]
        return [_row(app, r) for r in hidden[:limit]]
    return [_row(app, r) for r in app.store.jobs(limit=limit, archived=archived)]


def _child_name(view: JobView, step: str) -> str:
    """`<job>.<step>`; a stand-alone job's trials are `<job>_<n>`."""
    alone = next(iter(view.steps)) if view.type != "pipeline" else None
    trial = alone is not None and step != alone and step.startswith(alone)
    return f"{view.name}{step.removeprefix(alone)}" if alone and trial else f"{view.name}.{step}"


def _row(app: App, row: JobRow) -> dict[str, Any]:
    status = row.status
    if status == "Running" and not app.is_driven(row.name):
        now = app.store.job(row.name)  # it may have ended between the two looks
        status = now.status if now is not None and now.status != "Running" else "Failed"
    return {
        "name": row.name, "display_name": row.display_name, "experiment_name": row.experiment_name, "type": row.type, "status": status,
        "creation_context": {"created_at": row.created_at}, "started_at": row.started_at, "ended_at": row.ended_at, "tags": dict(row.tags), "source": row.source,
    }  # fmt: skip


def show_job(app: App, name: str) -> dict[str, Any]:
    """One job, its steps and outputs; a step or a trial by the name it has of its own."""
    child = find_child(app, name) if app.store.job(name) is None else None
    if child is not None:
        return show_child(app, child)
    view = get_settled(app.store, name, app.is_driven)
    result = make_result(view, job_folder(app.home, name)).as_json()
    return {
        "id": f"azureml:{name}", "type": view.type, "experiment_name": view.experiment_name, "description": view.description, "inputs": dict(view.inputs), "tags": dict(view.tags),
        "properties": _properties(view), "creation_context": {"created_at": view.created_at}, "source": view.source, **result,
    }  # fmt: skip


def _properties(view: JobView) -> dict[str, str]:
    """The job's own; of a stand-alone sweep also which trial was the best. Its only step comes before its trials."""
    alone = next(iter(view.steps.values()), None) if view.type != "pipeline" else None
    return {**view.properties, **(alone.properties if alone else {})}


def stream_job(app: App, name: str) -> Iterator[str]:
    """Each step's log as it grows, until the job ends; `FailedError` if it did not complete."""
    places: dict[str, int] = {}
    while True:
        view = get_job(app.store, name)
        driven = app.is_driven(name)
        for step in view.steps:
            log = job_folder(app.home, name).step(step).log
            if log.exists():
                with log.open("rb") as file:
                    file.seek(places.get(step, 0))
                    raw = file.read()
                    places[step] = file.tell()
                for line in raw.decode("utf-8", errors="replace").splitlines():
                    yield f"[{step}] {line}"
        if view.status.is_final or not driven:
            break
        SystemClock().sleep(POLL_S)
    view = get_settled(app.store, name, app.is_driven)
    if view.status != "Completed":
        raise FailedError(
            f"Job {name} is {view.status}" + (f": {view.message}" if view.message else ""),
            hint=f"Take it up again: tidemill job resume {name}",
        )


def download_job(app: App, name: str, folder: Path, *, output: str | None, all_parts: bool, flat: bool) -> list[Path]:
    """Copy outputs as az lays them out (`named-outputs/<name>/…`), with `all_parts` logs and default artifacts too.

    Only of an ended job (X01): a half-written output is never handed out.
    """
    child = find_child(app, name) if app.store.job(name) is None else None
    view = child.parent if child else get_job(app.store, name)
    status = view.steps[child.step].status if child else view.status
    if not status.is_final:
        raise FailedError(
            f"Job {name} is {status}; outputs can be downloaded when it has ended",
            hint=f"Wait for it: tidemill job stream -n {name}",
        )
    place = job_folder(app.home, view.name)
    outputs = {n: place.outputs / n for n in view.outputs}
    if child:
        outputs = {n: child.output(n) for n in view.steps[child.step].outputs}
    if output is not None and output not in outputs:
        raise NotFoundError(f"Job {name} has no output `{output}`", hint=f"It has: {', '.join(outputs) or 'none'}.")
    chosen = {output: outputs[output]} if output else outputs
    copied = [_copy(path, folder / n if flat else folder / "named-outputs" / n) for n, path in chosen.items()]
    left = _left_behind(view, child.step if child else None, place)
    if left is not None and output is None:
        copied.append(_copy(left, folder / "artifacts" / "outputs"))
    if all_parts:
        copied += [
            _copy(place.step(s).logs, folder / "artifacts" / s / "logs")
            for s in ([child.step] if child else view.steps)
            if place.step(s).logs.exists()
        ]
        alone = child is not None or view.type != "pipeline"
        for step in [child.step] if child else view.steps:
            logged = find_logged(app, place.step(step))
            if logged is not None:
                copied.append(_copy(logged, folder / "artifacts" / ("" if alone else step)))
    return copied


def _left_behind(view: JobView, step: str | None, place: JobFolder) -> Path | None:
    """What the command of a step, or of a job that is no pipeline, left in `./outputs`."""
    alone = step or (next(iter(view.steps), None) if view.type != "pipeline" else None)
    found = place.step(alone).outputs / DEFAULT if alone else None
    return found if found is not None and found.is_dir() and any(found.iterdir()) else None


def _copy(source: Path, target: Path) -> Path:
    """Copies the user may change, of what the store keeps read-only."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return target


def update_job(app: App, name: str, edits: Edits) -> dict[str, Any]:
    """Change what is said about a job; `UsageError` for what it is."""
    view = get_job(app.store, name)
    before = {field: getattr(view, field) for field in EDITABLE} | {"tags": dict(view.tags)}
    unknown = {str(p[0]) for p in (*(o.path for o in (*edits.set, *edits.added)), *edits.removed)} - {*before}
    if unknown:
        raise UsageError(f"`{min(unknown)}` of a job cannot change", hint=f"These can: {', '.join(before)}.")
    after = {**dict.fromkeys(before, ""), **apply_edits(before, edits)}
    said = {field: str(after[field]) for field in EDITABLE}
    tags = {str(k): str(v) for k, v in (after["tags"] or {}).items()}
    app.store.append([JobEdited(JobName(name), iso(SystemClock().now()), **said, tags=tags)])
    return show_job(app, name)


def cancel_job(app: App, name: str) -> dict[str, Any]:
    """Ask the process that drives the job to end it, and wait until it has; end what a killed one left."""
    view = get_job(app.store, name)
    pid = int(view.owner.partition(":")[0] or 0)
    if not view.status.is_final and not app.is_driven(name):
        settle_interrupted(app)
        return show_job(app, name)
    if view.status.is_final:
        raise UsageError(f"Job {name} is not running ({view.status})")
    if proc.started_at(pid) == view.owner.partition(":")[2]:
        os.kill(pid, signal.SIGINT)
    elif app.settings.store and app.is_driven(name):
        raise UsageError(f"Job {name} is driven by another machine", hint="Cancel it there.")
    deadline = SystemClock().monotonic() + CANCEL_S
    while app.is_driven(JobName(name)) and SystemClock().monotonic() < deadline:
        SystemClock().sleep(POLL_S)
    if app.is_driven(JobName(name)):
        raise FailedError(
            f"Job {name} was asked to end {CANCEL_S:g} s ago and has not ended yet (process {pid})",
            hint=f"It ends as soon as that process goes on. To end it now: kill -9 {pid}; tidemill job cancel {name}",
        )
    return show_job(app, name)
