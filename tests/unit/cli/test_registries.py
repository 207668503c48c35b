"""Registries: assets several workspaces share, shared from this one and named by address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and SQLAlchemy's own

COMPONENT = """\
name: count
version: "1"
type: command
inputs: {words: {type: uri_file}, m: {type: custom_model}}
outputs: {sum: {type: uri_file}}
command: cat ${{inputs.words}} ${{inputs.m}} > ${{outputs.sum}}
environment: {image: busybox}
"""
JOB = """\
type: pipeline
outputs: {sum: {type: uri_file}}
jobs:
  one:
    type: command
    component: azureml://registries/ours/components/count/versions/1
    inputs:
      words: {type: uri_file, path: "azureml://registries/ours/data/shared-words/versions/7"}
      m: {type: custom_model, path: "azureml://registries/ours/models/cats/labels/latest"}
    outputs: {sum: "${{parent.outputs.sum}}"}
"""


def rows(tidemill: Run, *words: str) -> list[str]:
    return tidemill(*words, "-o", "tsv").stdout.split()


@pytest.fixture
def ours(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "words.txt").write_text("hello ")
    (tmp_path / "elsewhere" / "weights").write_text("cats")
    tidemill("registry", "create", "-n", "ours", "--location", "westeurope")
    tidemill("data", "create", "-n", "words", "--path", "elsewhere/words.txt")
    tidemill("model", "create", "-n", "cats", "--path", "elsewhere/weights", "--tags", "a=b")


def test_assets_are_shared_by_another_name_and_the_workspaces_own_stay_apart(
    tidemill: Run, tmp_path: Path, ours: None
) -> None:
    shared = tidemill(
        "data", "share", "-n", "words", "-v", "1", "--registry-name", "ours", "--share-with-name", "shared-words", "--share-with-version", "7"
    )  # fmt: skip
    assert (json.loads(shared.stdout)["name"], json.loads(shared.stdout)["version"]) == ("shared-words", "7")
    tidemill("model", "share", "-n", "cats", "-v", "1", "--registry-name", "ours")
    assert rows(tidemill, "data", "list", "--query", "[].name") == ["words"]
    assert rows(tidemill, "data", "list", "--registry-name", "ours", "--query", "[].name") == ["shared-words"]
    assert rows(tidemill, "model", "show", "-n", "cats", "-v", "1", "--registry-name", "ours", "--query", "tags.a") == [
        "b"
    ]
    tidemill("model", "download", "-n", "cats", "-v", "1", "--registry-name", "ours", "--download-path", "got")
    assert (tmp_path / "got" / "cats" / "weights").read_text() == "cats"
    tidemill("data", "archive", "-n", "shared-words", "--registry-name", "ours")
    assert rows(tidemill, "data", "list", "--registry-name", "ours") == []
    assert rows(tidemill, "data", "list", "--query", "[].name") == ["words"]
    tidemill("registry", "delete", "-n", "ours", "--yes")
    assert not (tmp_path / ".tidemill" / "registries" / "ours").exists()


def test_a_pipeline_takes_its_component_data_and_model_from_a_registry(
    tidemill: Run, tmp_path: Path, ours: None
) -> None:
    (tmp_path / "count.yml").write_text(COMPONENT)
    tidemill("component", "create", "-f", "count.yml", "--registry-name", "ours")
    (tmp_path / "count.yml").write_text("name: other\n")
    tidemill("data", "share", "-n", "words", "-v", "1", "--registry-name", "ours", "--share-with-name", "shared-words", "--share-with-version", "7")  # fmt: skip
    tidemill("model", "share", "-n", "cats", "-v", "1", "--registry-name", "ours")
    (tmp_path / "job.yml").write_text(JOB)
    done = json.loads(tidemill("job", "create", "-f", "job.yml").stdout)
    assert Path(done["outputs"]["sum"]).read_text() == "hello cats"


@pytest.mark.parametrize(
    "words", ["data list", "model show -n x", "component create -f c.yml", "environment archive -n x"]
)
def test_a_registry_that_was_not_created_is_not_found(tidemill: Run, words: str) -> None:
    said = tidemill(*words.split(), "--registry-name", "azureml", code=1)
    assert "(ResourceNotFound) There is no registry `azureml` here" in said.stderr
    assert "cannot name a registry" in tidemill("registry", "create", "-n", "../up", code=2).stderr


def test_a_component_runs_as_it_was_registered_whatever_became_of_its_file(tidemill: Run, tmp_path: Path) -> None:
    file = tmp_path / "say.yml"
    said = "name: say\ntype: command\ncommand: echo {}; echo {} > ${{{{outputs.o}}}}\noutputs: {{o: {{type: uri_file}}}}\nenvironment: {{image: busybox}}\n"
    file.write_text(said.format("one", "one"))
    tidemill("component", "create", "-f", "say.yml", "--set", "version=1.0", "command=echo two > ${{outputs.o}}")
    for text in (said.format("three", "three"), None):
        file.unlink() if text is None else file.write_text(text)
        (tmp_path / "job.yml").write_text(
            "type: pipeline\noutputs: {o: {type: uri_file}}\n"
            "jobs: {a: {type: command, component: 'azureml:say:1.0', outputs: {o: '${{parent.outputs.o}}'}}}\n"
        )
        done = json.loads(tidemill("job", "create", "-f", "job.yml").stdout)
        assert Path(done["outputs"]["o"]).read_text() == "two\n"
