"""Runs of a step that had an MLflow store of its own, taken over into the workspace's."""

# ruff: noqa: ANN401 - MLflow is imported late, and so are the types of its answers

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from tidemill.base.files import write_atomic
from tidemill.base.imports import import_late

STORE = "mlflow"
DATABASE = "mlflow.db"
FILES = "files"  # of an MLflow that can use no database
RUN_FILE = "mlflow-run.json"
PARENT = "mlflow.parentRunId"
AT_ONCE = 1000  # values of one metric that MLflow takes in a call


def has_own_store(folder: Path) -> bool:
    """Whether the step in `folder` tracked to a store of its own."""
    return (folder / STORE / DATABASE).is_file() or (folder / STORE / FILES).is_dir()


def open_store(folder: Path) -> Any:
    """A client of the step's own store; raises MLflow's own error when it is another MLflow's."""
    database, files = folder / STORE / DATABASE, folder / STORE / FILES
    uri = f"sqlite:///{database}" if database.is_file() else files.as_uri()
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = import_late("mlflow").MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.search_experiments(max_results=1)
    return client


def adopt_runs(folder: Path, source: Any, target: Any, artifacts: str | None) -> int:
    """Copy every run of the step's own store to `target` (clients): parameters, metrics, tags, files, logged models.

    The step's own run is then known by its new id, and the store of its own is gone. How many runs there were.
    """
    copies: dict[str, str] = {}
    for experiment in source.search_experiments():
        runs = list(_runs(source, experiment.experiment_id))
        if runs:
            there = _experiment(target, experiment.name, artifacts)
            for run in runs:
                copies[run.info.run_id] = _copy_run(source, target, run, there, copies)
            _copy_models(source, target, experiment.experiment_id, there, copies)
    _rename(folder / RUN_FILE, copies)
    shutil.rmtree(folder / STORE)
    return len(copies)


def _runs(source: Any, experiment: str) -> Iterator[Any]:
    """Oldest first, so that a parent comes before its children."""
    token = None
    while True:
        page = source.search_runs([experiment], order_by=["attributes.start_time ASC"], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _experiment(target: Any, name: str, artifacts: str | None) -> str:
    found = target.get_experiment_by_name(name)
    return str(found.experiment_id if found else target.create_experiment(name, artifacts))


def _copy_run(source: Any, target: Any, run: Any, experiment: str, copies: dict[str, str]) -> str:
    param = import_late("mlflow.entities").Param
    tags = dict(run.data.tags)
    if PARENT in tags:
        tags[PARENT] = copies.get(tags[PARENT], tags[PARENT])
    made = target.create_run(experiment, start_time=run.info.start_time, tags=tags, run_name=run.info.run_name)
    new = str(made.info.run_id)
    params = [param(k, v) for k, v in run.data.params.items()]
    for start in range(0, len(params), 100):
        target.log_batch(new, params=params[start : start + 100])
    for key in run.data.metrics:
        history = source.get_metric_history(run.info.run_id, key)
        for start in range(0, len(history), AT_ONCE):
            target.log_batch(new, metrics=history[start : start + AT_ONCE])
    files = _path(run.info.artifact_uri)
    if files.is_dir():
        target.log_artifacts(new, str(files))
    target.set_terminated(new, run.info.status, run.info.end_time)
    return new


def _copy_models(source: Any, target: Any, experiment: str, there: str, copies: dict[str, str]) -> None:
    """What MLflow 3 calls logged models; an older MLflow keeps models among a run's files."""
    if not hasattr(source, "search_logged_models"):
        return
    for model in source.search_logged_models([experiment]):
        made = target.create_logged_model(
            there,
            name=model.name,
            source_run_id=copies.get(model.source_run_id, model.source_run_id),
            tags=dict(model.tags or {}),
            params=dict(model.params or {}),
            model_type=model.model_type,
        )
        target.log_model_artifacts(made.model_id, str(_path(model.artifact_location)))
        target.finalize_logged_model(made.model_id, model.status)


def _path(uri: str) -> Path:
    return Path(unquote(urlparse(uri).path))


def _rename(file: Path, copies: dict[str, str]) -> None:
    """Whoever looks for the step's run later finds the copy."""
    if file.is_file():
        known = json.loads(file.read_text(encoding="utf-8"))
        write_atomic(file, json.dumps({**known, "run_id": copies.get(known["run_id"], known["run_id"])}))
