"""What a sweep's document becomes in a plan."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tidemill.base.errors import SpecError
from tidemill.plan.graph import Plan, Step, StepKind
from tidemill.plan.make import make_plan
from tidemill.run.sweep_settings import read_sweep
from tidemill.run.sweep_trial import make_trial_step, trial_name
from tidemill.spec.load import load_valid

SCHEMA = "$schema: https://azuremlschemas.azureedge.net/latest/"
TRIAL = """
    type: command
    name: fit
    inputs: {data: {type: string}, lr: {type: number}, depth: {type: integer, default: 3}}
    outputs: {model: {type: uri_folder}, report: {type: uri_file}}
    environment: {image: some/image}
    distribution: {type: pytorch, process_count_per_instance: 2}
    command: fit ${{inputs.data}} ${{inputs.lr}} ${{inputs.depth}} ${{outputs.model}} ${{outputs.report}}
"""
SWEEP = """
    search_space: {lr: {type: uniform, min_value: 0, max_value: 1}}
    sampling_algorithm: random
    objective: {goal: minimize, primary_metric: loss}
"""


class NoAssets:
    """Nothing is registered."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: [] if name == "known" else None


def plan(tmp_path: Path, text: str, schema: str) -> Plan:
    (tmp_path / "fit.yml").write_text(SCHEMA + "commandComponent.schema.json\n" + textwrap.dedent(TRIAL))
    file = tmp_path / "job.yml"
    file.write_text(SCHEMA + schema + "\n" + textwrap.dedent(text))
    return make_plan(load_valid(file), assets=NoAssets())  # type: ignore[arg-type]


def alone(trial: str) -> str:
    return f"type: sweep\ntrial: {trial}\ninputs: {{data: here}}\n{textwrap.dedent(SWEEP)}limits: {{max_total_trials: 4}}\n"


def only(made: Plan) -> Step:
    (step,) = made.steps
    assert step.kind is StepKind.SWEEP
    return step


def test_a_job_may_take_its_trial_from_a_component(tmp_path: Path) -> None:
    step = only(plan(tmp_path, alone("file:./fit.yml"), "sweepJob.schema.json"))
    assert set(step.inputs) == {"data", "depth"}
    assert set(step.outputs) == {"model", "report"}
    assert step.distribution is not None


def test_a_trial_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"fat\.yml` is not there"):
        plan(tmp_path, alone("file:./fat.yml"), "sweepJob.schema.json")


def test_a_step_has_all_outputs_of_its_trial_and_settings_from_the_pipeline(tmp_path: Path) -> None:
    body = textwrap.indent(textwrap.dedent(SWEEP), " " * 8)
    text = (
        "type: pipeline\ninputs: {most: 7}\noutputs: {best: {type: uri_folder}}\njobs:\n    tune:\n        type: sweep\n"
        "        trial: ./fit.yml\n        inputs: {data: here}\n        outputs: {model: '${{parent.outputs.best}}'}\n"
        f"{body}        limits: {{max_total_trials: '${{{{parent.inputs.most}}}}'}}\n"
    )
    made = plan(tmp_path, text, "pipelineJob.schema.json")
    step = only(made)
    assert set(step.outputs) == {"model", "report"}
    assert read_sweep(step).total == 7


def test_a_trial_step_is_a_command_with_its_values(tmp_path: Path) -> None:
    made = plan(tmp_path, alone("file:./fit.yml"), "sweepJob.schema.json")
    step = only(made)
    trial = make_trial_step(read_sweep(step), step, trial_name(made, step.name, 2), {"lr": 0.5})
    assert (trial.name, trial.kind) == ("sweep_2", StepKind.COMMAND)
    assert {n: b.text for n, b in trial.inputs.items()} == {"data": "here", "depth": "3", "lr": "0.5"}  # type: ignore[union-attr]
