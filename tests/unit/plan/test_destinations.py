"""Outputs that are sent somewhere, and steps that read there."""

from __future__ import annotations

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
