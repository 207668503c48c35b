"""What documents become."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plan.conftest import PREP, Planner
from tidemill.base.errors import SpecError
from tidemill.plan.graph import DataInput, Literal, StepKind, StepOutput

ONE = """\
type: pipeline
inputs:
  raw: {type: uri_folder, path: ./data}
settings: {default_compute: azureml:cpu}
jobs:
  prep:
    component: ./prep.yml
    inputs: {data: "${{parent.inputs.raw}}"}
"""


def test_a_step_gets_its_component_its_inputs_and_their_defaults(plan: Planner, tmp_path: Path) -> None:
    (step,) = plan(ONE).steps
    assert step.inputs["data"] == DataInput(plan(ONE).step("prep").inputs["data"].ref, "ro_mount", "uri_folder")  # type: ignore[union-attr]
    assert step.inputs["size"] == Literal("28", 28)
    assert step.inputs["rate"] == Literal("0.001", 0.001)
    assert "note" not in step.inputs
    assert step.compute == "cpu"
    assert step.at.file == str(tmp_path / "pipeline.yml")
    assert step.at.line == 6


def test_literals_become_text_as_python_writes_them(plan: Planner) -> None:
    flag = plan(
        "type: pipeline\njobs:\n  a:\n    command: echo ${{inputs.f}} ${{inputs.v}} ${{inputs.e}}\n"
        "    environment: azureml:e:1\n    inputs: {f: yes, v: 1.10, e: 1e-3}\n"
    ).steps[0]
    assert [b.text for b in flag.inputs.values()] == ["True", "1.1", "1e-3"]


def test_outputs_bind_to_the_pipelines_outputs_and_take_their_destination(plan: Planner) -> None:
    made = plan(
        ONE.replace("jobs:", "outputs:\n  kept: {type: uri_folder, path: azureml://datastores/d/paths/p}\njobs:")
        + "    outputs: {clean: '${{parent.outputs.kept}}'}\n"
    )
    assert made.outputs["kept"] == StepOutput("prep", "clean", "ro_mount", "uri_folder")  # type: ignore[arg-type]
    assert made.step("prep").outputs["clean"].destination == "azureml://datastores/d/paths/p"


def test_steps_are_ordered_by_what_they_need_whatever_the_order_written(plan: Planner) -> None:
    made = plan(
        "type: pipeline\njobs:\n"
        "  late: {command: 'ls ${{inputs.x}}', environment: 'azureml:e:1', inputs: {x: '${{parent.jobs.early.outputs.o}}'}}\n"
        "  early: {command: 'echo > ${{outputs.o}}/a', environment: 'azureml:e:1', outputs: {o: {type: uri_folder}}}\n"
    )
    assert [s.name for s in made.steps] == ["early", "late"]
    assert made.step("late").depends_on == {"early"}


def test_a_nested_pipeline_is_flattened_and_bindings_reach_through_it(plan: Planner, tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text(
        "name: inner\ntype: pipeline\ninputs: {raw: {type: uri_folder}, n: {type: integer, default: 7}}\n"
        "outputs: {made: {type: uri_folder}}\njobs:\n"
        "  first: {component: ./prep.yml, inputs: {data: '${{parent.inputs.raw}}', size: '${{parent.inputs.n}}'}}\n"
        "  second: {component: ./prep.yml, inputs: {data: '${{parent.jobs.first.outputs.clean}}'},\n"
        "           outputs: {clean: '${{parent.outputs.made}}'}}\n"
    )
    made = plan(
        "type: pipeline\ninputs: {raw: {type: uri_folder, path: ./data}}\njobs:\n"
        "  use: {component: ./prep.yml, inputs: {data: '${{parent.jobs.nest.outputs.made}}'}}\n"
        "  nest: {type: pipeline, component: ./inner.yml, inputs: {raw: '${{parent.inputs.raw}}'}}\n"
    )
    assert [s.name for s in made.steps] == ["nest.first", "nest.second", "use"]
    assert made.step("nest.first").inputs["size"] == Literal("7", 7)
    assert made.step("use").inputs["data"] == StepOutput("nest.second", "clean", "ro_mount", "uri_folder")  # type: ignore[arg-type]


def test_every_unmapped_data_asset_is_named_with_the_command_that_maps_it(plan: Planner) -> None:
    text = ONE.replace("path: ./data", "path: azureml:cats:3") + (
        "  again:\n    component: ./prep.yml\n    inputs: {data: {type: uri_folder, path: 'azureml:dogs:1'}}\n"
    )
    with pytest.raises(SpecError) as caught:
        plan(text)
    hints = [f.hint for f in caught.value.findings if f.code == "TM-R106"]
    assert hints == [
        "Map it: tidemill data create --name cats --version 3 --path PATH",
        "Map it: tidemill data create --name dogs --version 1 --path PATH",
    ]


def test_all_problems_are_said_at_once(plan: Planner) -> None:
    with pytest.raises(SpecError) as caught:
        plan(
            "type: pipeline\njobs:\n"
            "  a: {component: ./prep.yml, inputs: {dta: x}}\n"
            "  b: {component: ./missing.yml}\n"
            "  c: {component: ./prep.yml, inputs: {data: '${{parent.jobs.nobody.outputs.o}}'}}\n"
        )
    codes = {f.code for f in caught.value.findings if f.severity == "error"}
    assert codes == {"TM-B101", "TM-B102", "TM-R101", "TM-B104"}


def test_a_cycle_is_named(plan: Planner) -> None:
    with pytest.raises(SpecError, match="wait for each other: a → b → a"):
        plan(
            "type: pipeline\njobs:\n"
            "  a: {component: ./prep.yml, inputs: {data: '${{parent.jobs.b.outputs.clean}}'}}\n"
            "  b: {component: ./prep.yml, inputs: {data: '${{parent.jobs.a.outputs.clean}}'}}\n"
        )


def test_the_public_register_component_is_built_in(plan: Planner) -> None:
    made = plan(
        ONE + "  register:\n"
        "    component: azureml://registries/azureml/components/register_model/versions/0.0.9\n"
        "    inputs: {model_name: m, model_type: custom_model, model_path: '${{parent.jobs.prep.outputs.clean}}'}\n"
        "    outputs: {registration_details_folder: {type: uri_folder}}\n"
    )
    step = made.step("register")
    assert step.kind is StepKind.REGISTER_MODEL
    assert step.inputs["model_name"] == Literal("m", "m")
    assert step.depends_on == {"prep"}


def test_inputs_may_arrive_by_set_only(plan: Planner, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    made = plan(ONE.replace(", path: ./data", ""), "inputs.raw.path=./other")
    assert made.step("prep").inputs["data"].ref.uri == str(tmp_path / "other")  # type: ignore[union-attr]


def test_a_pipeline_may_be_a_component(plan: Planner, tmp_path: Path) -> None:
    (tmp_path / "whole.yml").write_text(
        "name: whole\ntype: pipeline\ninputs: {raw: {type: uri_folder}}\noutputs: {o: {type: uri_folder}}\njobs:\n"
        "  prep: {component: ./prep.yml, inputs: {data: '${{parent.inputs.raw}}'}, outputs: {clean: '${{parent.outputs.o}}'}}\n"
    )
    made = plan("type: pipeline\ncomponent: ./whole.yml\ninputs: {raw: {type: uri_folder, path: ./data}}\n")
    assert [s.name for s in made.steps] == ["prep"]
    assert made.outputs["o"].step == "prep"


def test_an_environment_without_packages_runs_on_the_host_and_says_so_once(plan: Planner) -> None:
    made = plan(ONE + "  more: {component: ./prep.yml, inputs: {data: '${{parent.inputs.raw}}'}}\n")
    assert {s.environment.kind for s in made.steps} == {"host"}
    assert [f.code for f in made.findings] == ["TM-E101"]


def test_a_component_found_by_name(plan: Planner, tmp_path: Path) -> None:
    made = plan(ONE.replace("./prep.yml", "azureml:prep:1"), components={"prep": tmp_path / "prep.yml"})
    assert made.step("prep").component == "prep"
    assert PREP.startswith("name: prep")


def test_a_url_literal_without_a_data_type_is_text(plan: Planner) -> None:
    made = plan(
        "type: pipeline\njobs:\n  a:\n    command: curl ${{inputs.url}}\n    environment: azureml:e:1\n"
        "    inputs: {url: 'https://example.org/iris.csv'}\n"
    )
    assert made.steps[0].inputs["url"] == Literal("https://example.org/iris.csv", "https://example.org/iris.csv")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("resources: {instance_count: '${{parent.inputs.n}}'}", "`instance_count` must be at least 1, not 0"),
        ("distribution: {type: mpi, process_count_per_instance: '${{parent.inputs.n}}'}", "`process_count_per_instance` must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_a_count_bound_to_nothing_at_all_is_said_at_its_place(plan: Planner, field: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(
            "type: pipeline\ninputs: {n: 0}\njobs:\n  a:\n    type: command\n    command: echo\n"
            f"    environment: azureml:e:1\n    {field}\n"
        )
    (finding,) = [f for f in caught.value.findings if f.code != "TM-E101"]
    assert (finding.code, finding.message, finding.at.line) == ("TM-D105", text, 8)
