"""Where bytes come from that a command names: a path, an output of a job, files of an MLflow run, a datastore."""

from __future__ import annotations

import json
from pathlib import Path

from tidemill.app.children import ARTIFACTS, DEFAULT, find_child
from tidemill.app.wiring import App
from tidemill.base.errors import FailedError, NotFoundError, UsageError
from tidemill.plan.graph import DataRef
from tidemill.record.runs import get_job
from tidemill.run.folders import StepFolder, job_folder

JOBS, RUNS = "azureml://jobs/", "runs:/"
RUN_FILE = "mlflow-run.json"
WORKING = "outputs"  # Azure ML keeps `./outputs` of a job below this name of its artifacts


def find_source(app: App, where: str, folder: Path) -> Path:
    """The file or folder that `where` means; a relative path is relative to `folder`. `UsageError` when nothing is there."""
    path = _find(app, where, folder)
    if not path.exists():
        raise UsageError(
            f"There is nothing at `{where}`", hint="The path is relative to the document, or to the current folder."
        )
    return path


def _find(app: App, where: str, folder: Path) -> Path:
    if where.startswith(JOBS):
        job, _, rest = where.removeprefix(JOBS).partition("/outputs/")
        output, _, inner = rest.partition("/paths/")
        return _output(app, job, output, inner.strip("/"))
    if where.startswith(RUNS):
        run, _, inner = where.removeprefix(RUNS).strip("/").partition("/")
        known = app.store.job(run) is not None or find_child(app, run) is not None
        return _output(app, run, ARTIFACTS, inner) if known else _logged(app, run, inner)
    if "://" in where:
        return app.data.fetch(DataRef(where, "uri_folder"), lambda _: None)
    return (folder / where).absolute()


def _output(app: App, job: str, output: str, inner: str) -> Path:
    """An output of a job or of a step; `artifacts` is what its command left in `./outputs`, or logged to MLflow."""
    child = find_child(app, job) if app.store.job(job) is None else None
    declared = (child.folder if child else job_folder(app.home, job)).outputs / output
    step = child.folder if child else _only_step(app, job)
    if output != ARTIFACTS or declared.exists() or step is None:
        return _inside(declared, inner)
    top, _, rest = inner.partition("/")
    path = _inside(step.outputs / DEFAULT, rest if top == WORKING else inner)
    run = _run_of(step)
    return path if path.exists() or run is None else _logged(app, run, inner)


def _only_step(app: App, name: str) -> StepFolder | None:
    """The step of a job that is no pipeline."""
    if app.store.job(name) is None:
        return None
    view = get_job(app.store, name)
    alone = next(iter(view.steps), None) if view.type != "pipeline" else None
    return job_folder(app.home, name).step(alone) if alone else None


def _inside(base: Path, inner: str) -> Path:
    if ".." in inner.split("/"):
        raise UsageError(f"`{inner}` leads out of the output", hint="Use a path inside it.")
    return base / inner


def _run_of(folder: StepFolder) -> str | None:
    """The MLflow run of a step, if it began one."""
    file = folder.root / RUN_FILE
    return str(json.loads(file.read_text(encoding="utf-8"))["run_id"]) if file.exists() else None


def find_logged(app: App, folder: StepFolder) -> Path | None:
    """Everything a step logged to MLflow, brought here; None when that is nothing."""
    run = _run_of(folder)
    try:
        return app.registry.download(f"{RUNS}{run}/", app.home / "downloads" / run / "all") if run else None
    except NotFoundError:
        return None


def _logged(app: App, run: str, inner: str) -> Path:
    try:
        return app.registry.download(f"{RUNS}{run}/{inner}", app.home / "downloads" / run)
    except NotFoundError as exc:
        raise FailedError(
            f"MLflow has no `{inner}` of run {run}", hint="See what the step logged, and under which name."
        ) from exc
