"""What one invocation of a batch endpoint lays over its deployment's job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidemill.app.batch_job import make_job
from tidemill.app.batch_wishes import Invocation, with_wishes
from tidemill.base.errors import UsageError
from tidemill.cli.main import run_command_line
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import parse_override

MODEL = """
$schema: https://azuremlschemas.azureedge.net/latest/batchDeployment.schema.json
name: scorer
endpoint_name: night
type: model
model: {path: ./model}
code_configuration: {code: code, scoring_script: score.py}
environment: {image: some/image}
settings: {mini_batch_size: 2, output_action: append_row, output_file_name: scores.csv}
"""
PIPELINE = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: greet
inputs:
  names: {type: uri_folder}
  greeting: {type: string, default: hello}
outputs:
  said: {type: uri_folder}
jobs:
  say:
    type: command
    command: for f in $(ls ${{inputs.names}}); do echo ${{inputs.greeting}} $f >> ${{outputs.said}}/said.txt; done
    environment: {image: some/image}
    inputs: {names: "${{parent.inputs.names}}", greeting: "${{parent.inputs.greeting}}"}
    outputs: {said: "${{parent.outputs.said}}"}
"""
JOB = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
component: ./pipeline.yml
inputs: {names: {type: uri_folder, path: names}, greeting: first}
"""
REPEAT = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponentBatchDeployment.schema.json
name: again
endpoint_name: night
type: pipeline
job_definition: azureml:placeholder
settings: {continue_on_step_failure: false}
"""


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    for folder, name in (("model", "w"), ("code", "score.py")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("")
    (tmp_path / "deployment.yml").write_text(MODEL)
    document = load_valid(tmp_path / "deployment.yml", expect=(Kind.BATCH_DEPLOYMENT,)).document
    return make_job(document, tmp_path, "night", "scorer")


def wishes(*overrides: str, **more: Any) -> Invocation:
    return Invocation(input="data", overrides=tuple(parse_override(o) for o in overrides), **more)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ((), "scores.csv"),
        (("output_file_name=mine.csv",), "mine.csv"),
        (("settings.output_file_name=mine.csv",), "mine.csv"),
        (("output_action=summary_only",), None),
        (("settings.output_action=summary_only", "settings.output_file_name=mine.csv"), None),
    ],
)
def test_settings_of_the_deployment_are_set_by_their_own_names(
    job: dict[str, Any], said: tuple[str, ...], written: str | None
) -> None:
    task = with_wishes(job, wishes(*said))["task"]
    assert task.get("append_row_to") == (written and f"${{{{outputs.score}}}}/{written}")


def test_other_settings_reach_the_job_with_and_without_their_part(job: dict[str, Any]) -> None:
    said = ("settings.mini_batch_size=7", "max_concurrency_per_instance=4", "settings.error_threshold=3")
    made = with_wishes(job, wishes(*said, "settings.retry_settings.max_retries=1"))
    assert (made["mini_batch_size"], made["max_concurrency_per_instance"], made["error_threshold"]) == ("7", 4, 3)
    assert made["retry_settings"]["max_retries"] == 1


def test_the_one_input_of_a_model_may_have_any_name(job: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "inputs.yml").write_text("inputs:\n  heart_dataset: {type: uri_folder, path: data}\n")
    made = with_wishes(dict(job), Invocation(file=tmp_path / "inputs.yml"))
    assert made["inputs"]["data"]["path"] == str(tmp_path / "data")
    assert "heart_dataset" not in made["inputs"]
    with pytest.raises(UsageError, match="scores one input, not data, heart_dataset"):
        with_wishes(dict(job), wishes(file=tmp_path / "inputs.yml"))


@pytest.mark.filterwarnings("ignore")
def test_a_deployment_repeats_a_job_with_other_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("pipeline.yml", PIPELINE), ("job.yml", JOB), ("again.yml", REPEAT)):
        (tmp_path / name).write_text(text)
    for folder, name in (("names", "ann"), ("others", "bob")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("")
    (tmp_path / "inputs.yml").write_text(
        "inputs:\n  names: {type: uri_folder, path: others}\n  greeting: {type: string, default: good day}\n"
        "outputs:\n  said: {type: uri_folder, mode: upload}\n"
    )
    assert run_command_line(["batch-endpoint", "create", "-n", "night", "-o", "none"]) == 0
    create = ["batch-deployment", "create", "-f", "again.yml", "-o", "none", "--set"]
    assert run_command_line([*create, "job_definition=azureml:the_jobs"]) == 1
    assert run_command_line(["job", "create", "-f", "job.yml", "-n", "the_job", "-o", "none"]) == 0
    assert run_command_line([*create, "job_definition=azureml:the_jobs"]) == 1
    assert "Did you mean `the_job`?" in capsys.readouterr().err
    assert run_command_line([*create, "job_definition=azureml:the_job"]) == 0
    assert run_command_line(["batch-endpoint", "invoke", "-n", "night", "-j", "one", "-f", "inputs.yml"]) == 0
    said = [p.read_text() for p in (tmp_path / ".tidemill").rglob("said.txt")]
    assert sorted(said) == ["first ann\n", "good day bob\n"]
    capsys.readouterr()
    argv = ["batch-deployment", "list-jobs", "-e", "night", "-n", "again", "--query", "[].name", "-o", "tsv"]
    assert run_command_line(argv) == 0
    assert capsys.readouterr().out == "one\n"


@pytest.mark.usefixtures("job")
def test_what_a_deployment_cannot_be_is_refused_also_when_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["batch-endpoint", "create", "-n", "night", "-o", "none"]) == 0
    create = ["batch-deployment", "create", "-f", "deployment.yml", "-o", "none"]
    for said in ("model.path=nowhere", "settings.mini_batch_size=0", "settings.error_threshold=-5"):
        assert run_command_line([*create, "--set", said]) == 2, said
    assert run_command_line([*create, "--set", "settings.mini_batch_size=3"]) == 0
    assert run_command_line(["batch-deployment", "delete", "-n", "scorer", "-e", "night", "-y"]) == 0
    capsys.readouterr()
    assert run_command_line(["batch-endpoint", "show", "-n", "night", "--query", "defaults", "-o", "tsv"]) == 0
    assert capsys.readouterr().out.strip() == "", "the default went with the deployment"
