"""What is printed, and what is refused before anything is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tidemill.cli.output import format_value

JOB = "type: command\ncommand: echo here > done.txt\nenvironment: azureml:none:1\n"


def test_a_number_json_has_no_word_for_is_null() -> None:
    text = format_value([{"loss": float("nan"), "best": (float("inf"), 1.5)}], "json")
    assert json.loads(text, parse_constant=pytest.fail) == [{"loss": None, "best": [None, 1.5]}]


def test_a_query_that_is_none_is_refused_before_the_job_runs(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    assert "is not JMESPath" in tidemill("run", "job.yml", "--query", "a[[", code=2).stderr
    assert not (tmp_path / ".tidemill").exists()
    words = tidemill("run", "job.yml", "--query", "join(':', [name, status])", "-o", "tsv").stdout
    assert words.endswith(":Completed\n")


def test_a_name_that_is_taken_makes_no_job_of_another_name(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    tidemill("run", "job.yml", "-n", "mine")
    assert "There is a job `mine` already" in tidemill("run", "job.yml", "-n", "mine", code=1).stderr
    assert [row["name"] for row in json.loads(tidemill("job", "list", "-o", "json").stdout)] == ["mine"]


def test_a_project_file_without_a_name_has_its_folders(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "tidemill.yaml").write_text("environments: {none: {python: host}}\n")
    (tmp_path / "job.yml").write_text(JOB)
    tidemill("run", "job.yml")
