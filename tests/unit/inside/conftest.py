"""A step's folder and environment, and a way to run Python in it as a step does."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tidemill.backends.trackers.mlflow import INSIDE
from tidemill.base import proc


@dataclass(frozen=True)
class StepOfTest:
    """One step of a workspace at `home`."""

    home: Path
    cache: Path
    name: str = "train"

    @property
    def folder(self) -> Path:
        return self.home / "jobs" / "job" / self.name

    @property
    def env(self) -> dict[str, str]:
        mlflow = self.home / "mlflow"
        uri = f"sqlite:///{mlflow / 'mlflow.db'}"
        ours = {
            "PYTHONPATH": str(INSIDE), "PYTHONUTF8": "1", "XDG_CACHE_HOME": str(self.cache),
            "TIDEMILL_STEP_FOLDER": str(self.folder), "TIDEMILL_PYTHON": sys.executable, "TIDEMILL_STATE": str(self.home),
            "TIDEMILL_JOB": "job", "TIDEMILL_STEP": self.name, "AZUREML_RUN_ID": f"job.{self.name}", "AZUREML_ROOT_RUN_ID": "job",
            "AZUREML_EXPERIMENT_NAME": "experiment", "MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri,
            "TIDEMILL_MLFLOW_LOCK": str(mlflow / "create.lock"), "TIDEMILL_MLFLOW_ARTIFACTS": (mlflow / "artifacts").as_uri(),
        }  # fmt: skip
        return {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTHON"))} | ours

    def run(self, code: str, *, python: str = sys.executable, fails: bool = False) -> str:
        """What the code prints, run in the step's working folder."""
        cwd = self.folder / "cwd"
        cwd.mkdir(parents=True, exist_ok=True)
        done = proc.run([python, "-c", code], cwd=cwd, env=self.env)
        assert (done.returncode != 0) is fails, done.stderr
        return done.stdout + done.stderr if fails else done.stdout

    def rows(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        """What was written beside."""
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def step(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> StepOfTest:
    return StepOfTest(tmp_path / ".tidemill", tmp_path_factory.getbasetemp() / "cache")
