"""What a job is to read and is not there is said before anything runs, where that can be known here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

LAKE = "azureml://datastores/lake/paths/tides"
JOB = """\
type: pipeline
inputs:
  tides: {type: uri_folder, path: PLACE}
jobs:
  fit:
    type: command
    command: ls ${{inputs.tides}}
    environment: {image: busybox}
    inputs: {tides: "${{parent.inputs.tides}}"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tidemill.yaml").write_text("name: p\ndatastores: {lake: ./lake}\n")
    (tmp_path / "job.yml").write_text(JOB.replace("PLACE", LAKE))
    return tmp_path


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_path_of_a_datastore_kept_here_that_leads_to_nothing(tidemill: Run, project: Path, verb: str) -> None:
    said = tidemill(verb, "job.yml", code=2).stderr
    assert said.startswith(f"job.yml:3:35: error TM-R101 There is no data at `{LAKE}`")
    assert f"Looked for {project / 'lake' / 'tides'}: tidemill.yaml maps the datastore to `./lake`." in said
    assert "Nothing was run." in said
    (project / "lake" / "tides").mkdir(parents=True)
    (project / "lake" / "tides" / "a.csv").write_text("1")
    assert "TM-" not in tidemill("plan", "job.yml").stderr


def test_a_datastore_nobody_maps_says_how(tidemill: Run, project: Path) -> None:
    (project / "tidemill.yaml").unlink()
    said = tidemill("plan", "job.yml", code=2).stderr
    assert "map the datastore in tidemill.yaml: `datastores: {lake: FOLDER_OR_URL}`" in said


def test_a_data_document_that_points_there_too(tidemill: Run, project: Path) -> None:
    (project / "data.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/data.schema.json\n"
        f"name: tides\nversion: 1\ntype: uri_folder\npath: {LAKE}\n"
    )
    (project / "job.yml").write_text(JOB.replace("PLACE", "azureml:tides:1"))
    said = tidemill("plan", "job.yml", code=2).stderr
    assert said.startswith(f"job.yml:3:35: error TM-R101 There is no data at data asset `azureml:tides:1`: `{LAKE}`")


@pytest.mark.parametrize(
    "mapped",
    ["datastores: {lake: s3://bucket/lake}", "datastores: {lake: ./lake}\ncompute: {far: {executor: azureml}}"],
)
def test_what_lives_elsewhere_is_not_judged(tidemill: Run, project: Path, mapped: str) -> None:
    (project / "tidemill.yaml").write_text(f"name: p\n{mapped}\n")
    (project / "job.yml").write_text(JOB.replace("PLACE", LAKE) + "    compute: azureml:far\n")
    assert "TM-R101" not in tidemill("plan", "job.yml", "--no-cache").stderr


def test_what_another_step_writes_there_is_not_missing(tidemill: Run, project: Path) -> None:
    (project / "job.yml").write_text(
        JOB.replace("PLACE", LAKE)
        + "  make:\n    type: command\n    command: date > ${{outputs.made}}/now\n    environment: {image: busybox}\n"
        f"    outputs: {{made: {{type: uri_folder, path: {LAKE}}}}}\n"
    )
    assert "TM-R101" not in tidemill("plan", "job.yml").stderr


def test_an_empty_folder_is_worth_a_warning(tidemill: Run, project: Path) -> None:
    (project / "empty").mkdir()
    (project / "empty" / ".gitkeep").touch()
    (project / "job.yml").write_text(JOB.replace("PLACE", "./empty"))
    said = tidemill("plan", "job.yml").stderr
    assert said.startswith("job.yml:3:35: warning TM-R109 Input `tides` of `fit` is an empty folder")
