"""What is wrong with a value given by `--set` is said of the option, not of a line of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

JOB = """\
type: pipeline
inputs: {epochs: 3}
jobs:
  fit:
    type: command
    command: echo ${{inputs.epochs}}
    environment: {image: busybox}
    inputs: {epochs: "${{parent.inputs.epochs}}"}
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    (tmp_path / "job.yml").write_text(JOB)
    return "job.yml"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("inputz.epochs=4", "TM-D101"),
        ("settings.force_rerun=maybe", "TM-D104"),
        ("jobs.fit.resources.instance_count=0", "TM-D105"),
        ("jobs.fit.inputs.epochs=${{parent.inputs.epoch}}", "TM-B104"),
        ('inputs.data={"type": "uri_folder", "path": "nowhere"}', "TM-R101"),
        ("jobs.eval.type=command", "TM-D102"),
    ],
)
def test_a_finding_names_the_option_that_gave_the_value(tidemill: Run, job: str, given: str, code: str) -> None:
    said = tidemill("plan", job, "--set", given, code=2).stderr
    assert said.startswith(f"--set {given}: error {code} ")
    assert "tidemill check" not in said  # which knows nothing of the option


def test_what_stands_in_the_file_keeps_its_line(tidemill: Run, job: str, tmp_path: Path) -> None:
    (tmp_path / job).write_text(JOB.replace("image: busybox", "imag: busybox"))
    said = tidemill("plan", job, "--set", "inputs.epochs=4", code=2).stderr
    assert "job.yml:7:19: error TM-D101 Unknown field `imag`" in said


def test_the_last_of_two_options_is_named(tidemill: Run, job: str) -> None:
    words = ("--set", "settings.force_rerun=true", "--set", "settings.force_rerun=maybe")
    assert tidemill("plan", job, *words, code=2).stderr.startswith("--set settings.force_rerun=maybe: error TM-D104")


def test_the_project_file_too(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "tidemill.yaml").write_text("name: p\nmodel: m\nstages:\n  dev: {target: local}\n")
    said = tidemill("up", "--set", "stages.dev.replicas=0", code=2).stderr
    assert said.startswith("--set stages.dev.replicas=0: error TM-D105")


def test_an_error_that_is_one_finding_is_said_once(tidemill: Run, job: str) -> None:
    said = tidemill("plan", job, "--set", 'inputs.data={"type": "uri_folder", "path": "azureml:nope:1"}', code=2).stderr
    assert said.count("There is no data asset `azureml:nope:1` here") == 1


def test_an_input_that_nothing_has_is_pointed_out_before_the_job_runs_without_it(tidemill: Run, job: str) -> None:
    said = tidemill("plan", job, "--set", "inputs.epoch=4").stderr
    assert "--set inputs.epoch=4: warning TM-D112 Nothing reads the input `epoch`" in said
    assert "Did you mean `epochs`?" in said
    assert "TM-D112" not in tidemill("plan", job, "--set", "inputs.epochs=4").stderr


def test_an_input_that_the_command_reads_may_be_added(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo ${{inputs.n}}\nenvironment: {image: x}\n")
    assert "TM-D112" not in tidemill("plan", "job.yml", "--set", "inputs.n=4").stderr


def test_the_name_of_an_input_alone_is_told_its_whole_path(tidemill: Run, job: str) -> None:
    assert "Did you mean `inputs.epochs`?" in tidemill("plan", job, "--set", "epochs=4", code=2).stderr
