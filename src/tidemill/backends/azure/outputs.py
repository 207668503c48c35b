"""What a job wrote, back to where the step would have written it."""

from __future__ import annotations

from pathlib import Path

from tidemill.backends.azure.blobs import Container
from tidemill.backends.azure.metrics import JobMetrics
from tidemill.backends.azure.storage import open_datastore
from tidemill.backends.azure.translate import STORE, Translated, output_place
from tidemill.backends.azure.uploads import remember_output
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.errors import FailedError
from tidemill.run.ports import Task

ARTIFACTS = "workspaceartifactstore"
BEST_TRIAL = "automl_best_child_run_id"  # Azure ML's own tag
KEPT = ("outputs", "logs")  # Azure ML keeps what a command leaves in these of its working folder


def bring_back(workspace: AzureWorkspace, told: Translated, job: str) -> None:
    """The outputs by their names; `FailedError` for a file that the command did not write."""
    store = open_datastore(workspace, STORE)
    for name, path in told.outputs.items():
        place = output_place(job, name)
        if path.is_dir():
            store.download_below(place, path)
        else:
            _bring_file(store, place, path, job)
        remember_output(store, path, place)


def bring_model(workspace: AzureWorkspace, metrics: JobMetrics, job: str, output: Path) -> None:
    """The model of an AutoML job's best trial."""
    best = metrics.tags().get(BEST_TRIAL, "")
    artifacts = open_datastore(workspace, ARTIFACTS)
    if not best or not artifacts.download_below(f"ExperimentRun/dcid.{best}/outputs/mlflow-model", output):
        raise FailedError(f"AutoML job {job} left no MLflow model", hint=f"See job {job} on Azure ML.")


def bring_artifacts(workspace: AzureWorkspace, task: Task, job: str) -> None:
    """What the command left in `./outputs` and `./logs`, also when it failed."""
    if task.cwd / "outputs" not in task.writes:
        return
    artifacts = open_datastore(workspace, ARTIFACTS)
    for name in KEPT:
        folder = task.cwd / name
        if folder.is_dir():
            artifacts.download_below(f"ExperimentRun/dcid.{job}/{name}", folder.resolve())


def _bring_file(store: Container, place: str, path: Path, job: str) -> None:
    size = next((s for n, s in store.list(place) if n == place), None)
    if size is None:
        raise FailedError(f"The command wrote nothing to its output `{path.name}`", hint=f"See job {job} on Azure ML.")
    store.download(place, path, size)
