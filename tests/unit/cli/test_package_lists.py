"""A conda file no environment can be built from ends a run before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

JOB = """\
type: pipeline
jobs:
  fit:
    type: command
    command: ls
    environment: azureml:train-env@latest
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "env.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\n"
        "name: train-env\nimage: busybox\nconda_file: conda.yml\n"
    )
    (tmp_path / "conda.yml").write_text("dependencies:\n  - python=3.11\npip:\n  - numpy\n")
    (tmp_path / "job.yml").write_text(JOB)
    return tmp_path


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_what_is_wrong_with_it_is_said_where_it_stands(tidemill: Run, project: Path, verb: str) -> None:
    said = tidemill(verb, "job.yml", code=2).stderr
    assert "conda.yml:3:1: error TM-E103 `pip:` beside `dependencies:` is not read" in said
    assert "Nothing was run." in said


def test_one_that_is_not_there_too(tidemill: Run, project: Path) -> None:
    (project / "conda.yml").unlink()
    said = tidemill("plan", "job.yml", code=2).stderr
    assert "job.yml:3:3: error TM-R101 Environment `train-env" in said
    assert "No conda file at" in said


def test_an_environment_nobody_builds_is_not_judged(tidemill: Run, project: Path) -> None:
    (project / "tidemill.yaml").write_text("name: p\nenvironments: {train-env: {python: host}}\n")
    assert "TM-" not in tidemill("plan", "job.yml").stderr


def test_a_warning_is_said_once(tidemill: Run, project: Path) -> None:
    (project / "conda.yml").write_text("dependencies: [pip, {pip: [numpy]}]\n")
    (project / "job.yml").write_text("type: command\ncommand: ls\nenvironment: {image: x, conda_file: ./conda.yml}\n")
    said = tidemill("plan", "job.yml").stderr
    assert said.count("TM-E104") == 1
    assert said.startswith("conda.yml:1:1: warning TM-E104")
