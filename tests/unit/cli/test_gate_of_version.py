"""`tidemill gate --model`: a registered version against the project's gates, without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and SQLAlchemy's own

PROJECT = """\
name: tides
model: {name: tides, output: model}
gates: [metrics.accuracy >= 0.9, model.size_mb < 1]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    (tmp_path / "weights").write_text("1")
    return tmp_path


def test_a_version_from_elsewhere_without_metrics_does_not_pass(tidemill: Run, project: Path) -> None:
    tidemill("model", "create", "-n", "tides", "--path", "weights")
    said = tidemill("gate", "--model", "tides", code=1)
    assert "not passed: metrics.accuracy >= 0.9 (metrics.accuracy is missing" in said.stdout


def test_a_version_that_is_not_there_is_said_so(tidemill: Run, project: Path) -> None:
    assert "No model `tides:3` is registered here" in tidemill("gate", "--model", "tides:3", code=1).stderr
