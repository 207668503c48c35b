"""Files that a run logged, models among them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill.base.errors import NotFoundError
from tidemill.base.imports import import_late

TRACKING, PROGRESS = "MLFLOW_TRACKING_URI", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


def download_of_run(uri: str, folder: Path, tracking_uri: str) -> Path:
    """What is at `runs:/…`, brought below `folder`; `NotFoundError` when the run has nothing there."""
    refused = import_late("mlflow.exceptions").MlflowException
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _tracking_to(tracking_uri):
            download = import_late("mlflow.artifacts").download_artifacts
            found = Path(download(artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri))
            run, _, inner = uri.removeprefix("runs:/").partition("/")
            for name in _models_of(run, tracking_uri) if not inner else ():
                download(artifact_uri=f"runs:/{run}/{name}", dst_path=str(found), tracking_uri=tracking_uri)
            return found
    except (refused, OSError) as exc:
        raise NotFoundError(f"MLflow has nothing at `{uri}`", hint=str(exc).partition("\n")[0]) from exc


def _models_of(run: str, tracking_uri: str) -> list[str]:
    """Names of the models that a run logged: since MLflow 3 they lie beside its other files."""
    client = import_late("mlflow").MlflowClient(tracking_uri)
    outputs = getattr(client.get_run(run), "outputs", None)
    return sorted({str(client.get_logged_model(m.model_id).name) for m in (outputs.model_outputs if outputs else ())})


@contextmanager
def _tracking_to(uri: str) -> Iterator[None]:
    """MLflow asks the store it is set to for a model that was logged, whatever store it was told: and makes one here."""
    mlflow, before = import_late("mlflow"), {name: os.environ.get(name) for name in (TRACKING, PROGRESS)}
    os.environ[PROGRESS] = "false"
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[TRACKING])
        for name in (n for n, value in before.items() if value is None):
            os.environ.pop(name, None)
