"""A registered version is judged by what its own job measured, whatever the project makes now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow

PROJECT = """\
name: tides
model: {name: tides, output: model}
pipeline: job.yml
gates: [metrics.accuracy >= 0.9, model.size_mb < 1]
"""
JOB = """\
type: pipeline
inputs: {accuracy: 0.95}
outputs: {model: {type: uri_folder}}
jobs:
  fit:
    type: command
    command: >-
      python -c "import mlflow; mlflow.log_metric('accuracy', ${{inputs.accuracy}})" &&
      echo ${{inputs.accuracy}} > ${{outputs.model}}/weights
    environment: {image: busybox}
    inputs: {accuracy: "${{parent.inputs.accuracy}}"}
    outputs: {model: "${{parent.outputs.model}}"}
"""


def test_the_metrics_of_the_job_that_made_a_version_count_whatever_the_project_makes_now(
    tidemill: Run, tmp_path: Path
) -> None:
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    (tmp_path / "job.yml").write_text(JOB)
    tidemill("gate")
    (tmp_path / "job.yml").write_text(JOB.replace("0.95", "0.5"))
    tidemill("gate", code=1)
    said = tidemill("gate", "--model", "tides:1")
    assert "passed: metrics.accuracy >= 0.9 (metrics.accuracy = 0.95)" in said.stdout
    assert "judging tides:1 for staging" in said.stderr
    said = tidemill("gate", "--model", "tides@latest", "-o", "json", code=1)
    assert [v["passed"] for v in json.loads(said.stdout)] == [False, True]
    assert len(json.loads(tidemill("job", "list").stdout)) == 2
    past = tidemill("gate", "--history", "--model", "azureml:tides:1").stdout
    assert past.count("tides:1 (") == 2
    assert "tides:2" not in past
