"""What `up` proposes where there is no `tidemill.yaml` yet."""

from __future__ import annotations

from pathlib import Path

import yaml

from tidemill.app.first_project import NO_JOB, propose_project
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load

EXAMPLES = Path(__file__).parents[3] / "examples"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_documents_that_lie_there_are_named_and_the_registered_model(tmp_path: Path) -> None:
    pipeline = "type: pipeline\njobs:\n  r: {type: command, component: x, inputs: {model_name: iris, model_path: p}}\n"
    write(tmp_path / "iris" / "jobs" / "pipeline.yml", pipeline)
    write(tmp_path / "iris" / ".hidden" / "job.yml", "type: command\ncommand: echo\nenvironment: {image: x}\n")
    write(tmp_path / "iris" / "broken.yml", "a: [\n")
    proposed = yaml.safe_load(propose_project(tmp_path / "iris"))
    assert proposed == {
        "name": "iris",
        "pipeline": "jobs/pipeline.yml",
        "model": "iris",
        "stages": {"staging": {"target": "local"}},
    }


def test_a_job_without_a_register_step_has_the_output_that_is_a_model(tmp_path: Path) -> None:
    job = "type: command\ncommand: echo\nenvironment: {image: x}\noutputs: {rest: {type: uri_folder}, fit: {type: mlflow_model}}\n"
    write(tmp_path / "iris" / "job.yml", job)
    write(tmp_path / "iris" / "tidemill.yaml", propose_project(tmp_path / "iris"))
    assert load(tmp_path / "iris" / "tidemill.yaml", kind=Kind.PROJECT).findings == ()
    assert "model: {name: iris, output: fit}" in (tmp_path / "iris" / "tidemill.yaml").read_text()


def test_a_folder_with_nothing_in_it_is_told_what_has_to_come_first(tmp_path: Path) -> None:
    assert NO_JOB in propose_project(tmp_path)


def test_what_is_proposed_for_the_example_is_what_it_says_itself() -> None:
    proposed = yaml.safe_load(propose_project(EXAMPLES / "digits"))
    said = yaml.safe_load((EXAMPLES / "digits" / "tidemill.yaml").read_text())
    for field in ("name", "pipeline", "model", "endpoint", "deployment"):
        assert proposed[field] == said[field]
