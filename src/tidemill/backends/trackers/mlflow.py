"""Wires a step to MLflow by environment variables alone, so that a step that does not use it pays nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill import inside
from tidemill.backends.trackers.adoption import STORE, adopt_runs, has_own_store, open_store
from tidemill.base.clock import SystemClock
from tidemill.base.errors import BackendError
from tidemill.base.files import locked
from tidemill.base.ids import JobName
from tidemill.base.imports import import_late
from tidemill.plan.graph import Step

METRICS = "metrics.jsonl"
AWAY_S = 60.0
INSIDE = Path(inside.__file__).parent


class MlflowTracker:
    """A `Tracker`. The run itself is created by the step's own Python on its first `import mlflow`."""

    def __init__(self, home: Path, tracking_uri: str) -> None:
        self._folder = home / "mlflow"
        self._uri = tracking_uri or f"sqlite:///{self._folder / 'mlflow.db'}"
        self._embedded = not tracking_uri
        self._ask_again_at = 0.0

    def begin(self, job: JobName, step: Step, folder: Path) -> Mapping[str, str]:
        """Variables that make `mlflow` and `azureml.core.Run` reach the step's run."""
        del job, step
        if self._embedded:
            self._folder.mkdir(parents=True, exist_ok=True)
        already = os.environ.get("PYTHONPATH", "")
        variables = {
            "PYTHONPATH": os.pathsep.join(p for p in (str(INSIDE), already) if p),
            "MLFLOW_TRACKING_URI": self._uri,
            "MLFLOW_REGISTRY_URI": self._uri,
            "TIDEMILL_STEP_FOLDER": str(folder),
            "TIDEMILL_PYTHON": sys.executable,
            "TIDEMILL_MLFLOW_LOCK": str(self._folder / "create.lock"),
            "GIT_PYTHON_REFRESH": "quiet",
        }
        return variables | (
            {"TIDEMILL_MLFLOW_ARTIFACTS": (self._folder / "artifacts").as_uri()} if self._embedded else {}
        )

    def end(self, job: JobName, step: Step, folder: Path, *, ok: bool) -> Mapping[str, float]:
        """The last value of each metric the step logged; runs it had to keep elsewhere come into the workspace's store."""
        del job, step
        if has_own_store(folder):
            self._adopt(folder)
        if not ok and (note := self.end_abandoned(folder)):
            _log(folder, note)
        return {row["name"]: row["value"] for row in _rows(folder)}

    def end_abandoned(self, folder: Path) -> str:
        """Of a step that was killed: what runs of it runs no more. Why that could not be done; its server is left alone for a while then."""
        from tidemill.backends.trackers.abandoned import end_abandoned  # noqa: PLC0415 - most runs have nothing to end

        if SystemClock().monotonic() < self._ask_again_at:
            return ""
        try:
            end_abandoned(self._uri, folder, int(SystemClock().now().timestamp() * 1000))
        except BackendError as exc:
            self._ask_again_at = SystemClock().monotonic() + AWAY_S
            return f"its MLflow run may be shown as running: {exc}"
        return ""

    def _adopt(self, folder: Path) -> None:
        from tidemill.backends.registries.mlflow import open_registry, speaking_to_mlflow  # noqa: PLC0415 - takes seconds

        refused = import_late("mlflow.exceptions").MlflowException
        artifacts = (self._folder / "artifacts").as_uri() if self._embedded else None
        target = open_registry(self._folder.parent, "" if self._embedded else self._uri).client()
        with speaking_to_mlflow("taking over a step's runs"), locked(self._folder / "adopt.lock"):
            try:
                source = open_store(folder)
            except refused as exc:  # its environment has another MLflow, whose tables this one cannot read
                _log(folder, f"the step's MLflow runs stay in {folder / STORE}: {str(exc).splitlines()[0]}")
                return
            adopt_runs(folder, source, target, artifacts)

    def values(self, folder: Path, metric: str) -> Sequence[float]:
        """Each value of a metric so far."""
        return [row["value"] for row in _rows(folder) if row["name"] == metric]


def _log(folder: Path, line: str) -> None:
    """Where who looks why a step ended looks first."""
    with (folder / "logs" / "std_log.txt").open("a", encoding="utf-8") as log:
        log.write(f"tidemill: {line}\n")


def _rows(folder: Path) -> list[dict[str, Any]]:
    """What the step's Python has noted; a line still being written is left for the next look."""
    path = folder / METRICS
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line]


def open_tracker(home: Path, tracking_uri: str) -> MlflowTracker:
    """The tracker of a workspace."""
    return MlflowTracker(home, tracking_uri)
