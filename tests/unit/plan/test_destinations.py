"""Outputs that are sent somewhere, and steps that read there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plan.conftest import Planner


def test_a_reader_of_a_datastore_path_comes_after_its_writer(plan: Planner) -> None:
    made = plan(
        "type: pipeline\nsettings: {default_datastore: azureml:lake}\njobs:\n"
        "  reader: {command: 'ls ${{inputs.x}}', environment: 'azureml:e:1',\n"
        "           inputs: {x: {type: uri_folder, path: 'azureml://datastores/lake/paths/out/sub'}}}\n"
        "  writer: {command: 'date > ${{outputs.o}}/d', environment: 'azureml:e:1',\n"
        "           outputs: {o: {type: uri_folder, path: 'azureml://datastores/${{default_datastore}}/paths/out'}}}\n"
    )
    assert [s.name for s in made.steps] == ["writer", "reader"]
    assert made.step("writer").outputs["o"].destination == "azureml://datastores/lake/paths/out"


def test_where_a_pipeline_sends_an_output_is_known_to_the_step_that_writes_it_however_deep(
    plan: Planner, tmp_path: Path
) -> None:
    (tmp_path / "leaf.yml").write_text(
        "type: command\nname: leaf\noutputs: {o: {type: uri_folder}, r: {type: uri_folder}}\n"
        "environment: azureml:e:1\ncommand: 'date > ${{outputs.o}}/d'\n"
    )
    for name, inner in (("mid", "leaf"), ("top", "mid")):
        (tmp_path / f"{name}.yml").write_text(
            f"type: pipeline\nname: {name}\noutputs: {{o: {{type: uri_folder}}, r: {{type: uri_folder}}}}\njobs:\n"
            f"  {inner}:\n    component: ./{inner}.yml\n"
            "    outputs: {o: '${{parent.outputs.o}}', r: '${{parent.outputs.r}}'}\n"
        )
    made = plan(
        "type: pipeline\noutputs: {final: {path: 'azureml://datastores/lake/paths/final'}}\njobs:\n"
        "  top: {component: ./top.yml, outputs: {o: '${{parent.outputs.final}}', r: {name: asset, version: 3}}}\n"
        "  mid: {component: ./mid.yml, outputs: {o: {path: 'azureml://datastores/lake/paths/mid'}}}\n"
    )
    deep, shallow = made.step("top.mid.leaf").outputs, made.step("mid.leaf").outputs
    assert deep["o"].destination == "azureml://datastores/lake/paths/final"
    assert (deep["r"].asset_name, deep["r"].asset_version) == ("asset", "3")
    assert (shallow["o"].destination, shallow["r"].asset_name) == ("azureml://datastores/lake/paths/mid", None)


LEAF = "{command: 'date > ${{outputs.o}}/d', environment: 'azureml:e:1', outputs: {o: '${{parent.outputs.x}}'}}"
DECIDES = (
    "{type: command, component: {type: command, name: d, environment: 'azureml:e:1', command: 'echo True > ${{outputs.ok}}',"
    " outputs: {ok: {type: boolean, is_control: true}}}}"
)


@pytest.mark.parametrize(
    "steps",
    [
        "  a: LEAF\n  c: {type: if_else, condition: '${{parent.jobs.d.outputs.ok}}', true_block: a}\n",
        "  a: LEAF\n  c: {type: do_while, body: a, limits: {max_iteration_count: 2}}\n",
        "  a: PLAIN\n  c: {type: parallel_for, body: a, items: [{}, {}], outputs: {o: '${{parent.outputs.x}}'}}\n",
    ],
)
def test_an_output_of_a_pipeline_may_come_from_within_a_control_step(plan: Planner, steps: str) -> None:
    plain = LEAF.replace("'${{parent.outputs.x}}'", "{type: uri_folder}")
    made = plan(
        "type: pipeline\noutputs: {x: {type: uri_folder, path: 'azureml://datastores/lake/paths/x'}}\njobs:\n"
        f"  d: {DECIDES}\n" + steps.replace("LEAF", LEAF).replace("PLAIN", plain)
    )
    assert (made.outputs["x"].step, made.outputs["x"].output) == ("c", "o")
    control = made.step("c")
    specs = [s.outputs["o"] for s in (control, *(s for block in control.blocks.values() for s in block))]
    assert "azureml://datastores/lake/paths/x" in {spec.destination for spec in specs}
