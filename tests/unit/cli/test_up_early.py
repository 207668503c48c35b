"""What `up` can know to be wrong is said before anything is trained."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Run

JOB = """\
type: pipeline
outputs: {model: {type: uri_folder}}
jobs:
  fit:
    type: command
    command: date > ${{outputs.model}}/m
    environment: {image: busybox}
    outputs: {model: "${{parent.outputs.model}}"}
"""
REGISTER = """\
  keep:
    component: azureml://registries/azureml/components/register_model/versions/0.0.21
    inputs: {model_name: tides, model_type: custom_model, model_path: "${{parent.jobs.fit.outputs.model}}"}
"""


def test_a_job_that_does_not_make_the_projects_model_is_not_run(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    (tmp_path / "tidemill.yaml").write_text("name: p\npipeline: job.yml\nmodel: {name: tides, output: modle}\n")
    said = tidemill("up", code=2).stderr
    assert "has no output `modle`" in said
    assert "Did you mean `model`?" in said
    (tmp_path / "tidemill.yaml").write_text("name: p\npipeline: job.yml\nmodel: tides\n")
    assert "registers no model called `tides`" in tidemill("up", code=2).stderr
    (tmp_path / "job.yml").write_text(JOB + REGISTER)
    (tmp_path / "tidemill.yaml").write_text("name: p\npipeline: job.yml\nmodel: tide\n")
    said = tidemill("up", code=2).stderr
    assert "registers no model called `tide`" in said
    assert "Did you mean `tides`?" in said
    assert tidemill("job", "list").stdout == "[]\n"


def test_what_a_document_means_and_does_not_say_is_told_before_it_runs(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB.replace("jobs:", "settings: {defualt_compute: azureml:cpu}\njobs:"))
    for words in (("plan", "job.yml"), ("run", "job.yml")):
        said = tidemill(*words).stderr
        assert "job.yml:3:12: warning TM-D106 Azure ignores the unknown field `defualt_compute`" in said
        assert "Did you mean `default_compute`?" in said


def test_what_is_no_job_is_told_what_it_is(tidemill: Run, tmp_path: Path) -> None:
    assert "`.` is a folder, not a job" in tidemill("run", ".", code=2).stderr
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    for words in (("run", "."), ("plan", "tidemill.yaml")):
        said = tidemill(*words, code=2).stderr
        assert "not a job" in said
        assert "tidemill up" in said


def test_an_endpoint_nobody_has_cannot_be_taken_down(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "tidemill.yaml").write_text("name: tides\n")
    said = tidemill("down", "tide", code=1).stderr
    assert "There is no endpoint `tide`" in said
    assert "Did you mean `tides`?" in said
    assert tidemill("down", "tides").stdout == "Nothing was running.\n"
    assert tidemill("down").stdout == "Nothing was running.\n"


def test_an_environment_that_is_a_slip_is_told_which_was_meant(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "env.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nname: train-env\nimage: busybox\n"
    )
    (tmp_path / "job.yml").write_text("type: command\ncommand: ls\nenvironment: azureml:trian-env@latest\n")
    said = tidemill("plan", "job.yml").stderr
    assert "TM-E101 Environment `trian-env@latest` has no package list here" in said
    assert "hint: Did you mean `train-env`?" in said
    assert "env.yml is an environment, not a job" in tidemill("run", "env.yml", code=2).stderr


def test_a_job_that_failed_says_when_to_resume_and_when_to_run_again(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("type: command\ncommand: exit 3\nenvironment: {image: busybox}\n")
    said = tidemill("run", "job.yml", "-n", "one", code=1).stdout
    assert "When code or data is mended, take it up again: tidemill job resume one" in said
    assert "When a document is mended, run it again" in said
