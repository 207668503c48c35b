"""Azure's SDKs inside a step, where they are not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.unit.inside.conftest import StepOfTest
from tidemill.backends.registries.mlflow import open_registry

without_real = pytest.mark.skipif(importlib.util.find_spec("azureml") is not None, reason="the real one is installed")


@without_real
def test_a_run_of_the_first_sdk_logs_and_uploads(step: StepOfTest) -> None:
    said = step.run(
        """
from azureml.core import Run
run = Run.get_context()
run.log("accuracy", 0.5); run.log_list("loss", [3, 2, 1]); run.log_row("row", x=1); run.log("note", "words")
run.log_confusion_matrix("confusion", {"data": {"matrix": [[1, 0], [0, 1]]}})
open("model.txt", "w").write("weights")
run.upload_file("outputs/model.txt", "model.txt"); run.tag("a", "b"); run.complete()
run.upload_folder("all", ".")
print(run.id, run.parent.id, run.experiment.name, run.get_details()["status"], run.get_metrics()["accuracy"])
"""
    )
    assert said.split() == ["job.train", "job", "experiment", "Completed", "0.5"]
    assert [(r["name"], r["value"]) for r in step.rows()] == [
        ("accuracy", 0.5), ("loss", 3), ("loss", 2), ("loss", 1), ("row.x", 1),
    ]  # fmt: skip
    outputs = step.folder / "cwd" / "outputs"
    assert sorted(p.relative_to(outputs).as_posix() for p in outputs.rglob("*") if p.is_file()) == [
        "all/model.txt", "all/outputs/logged/confusion.json", "all/outputs/logged/row.jsonl", "all/outputs/model.txt",
        "logged/confusion.json", "logged/row.jsonl", "model.txt",
    ]  # fmt: skip


@without_real
def test_outside_a_job_the_run_is_offline_and_prints(step: StepOfTest) -> None:
    said = step.run(
        "import os; del os.environ['AZUREML_RUN_ID']\n"
        "from azureml.core import Run; run = Run.get_context(); run.log('a', 1); print(run.id)"
    )
    assert "Attempted to log scalar metric a:\n1\nOfflineRun" in said
    assert step.rows() == []


@without_real
def test_what_is_not_served_says_how_to_get_it(step: StepOfTest) -> None:
    assert "install azureml-core" in step.run("from azureml.core import Unheard", fails=True)


@without_real
@pytest.mark.parametrize(
    "use", ["azureml.core import Dataset as X; X.get_by_name", "azure.ai.ml import load_job as X; X('f')"]
)
def test_what_is_only_imported_does_no_harm_and_says_what_is_missing_when_used(step: StepOfTest, use: str) -> None:
    wanted, _, used = use.partition("; ")
    assert step.run(f"from {wanted}; print(X.__name__)")
    assert "install the real package" in step.run(f"from {wanted}; {used}", fails=True)


@without_real
def test_data_made_in_a_step_is_copied_out_of_the_jobs_folder_when_it_is_registered(step: StepOfTest) -> None:
    said = step.run(
        """
import os
from azure.ai.ml import Input, MLClient
from azure.ai.ml.entities import Data
from azure.identity import DefaultAzureCredential
os.makedirs("made"); open("made/a.txt", "w").write("1")
client = MLClient(DefaultAzureCredential(), "subscription", "group", "workspace")
data = client.data.create_or_update(Data(name="made", path="made", type="uri_folder"))
print(data.name, data.version, client.data.get("made", version=data.version).path)
"""
    )
    name, version, path = said.split()[-3:]
    assert (name, version) == ("made", "1")
    assert (Path(path) / "a.txt").read_text() == "1"
    assert not Path(path).is_relative_to(step.home / "jobs")


def test_ml_client_registers_in_the_local_workspace_once_per_step(step: StepOfTest) -> None:
    said = step.run(
        """
import os
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model
from azure.ai.ml.constants import AssetTypes
from azure.identity import DefaultAzureCredential
os.makedirs("model"); open("model/weights.txt", "w").write("1")
client = MLClient(DefaultAzureCredential(), "subscription", "group", "workspace")
for _ in range(2):
    made = client.models.create_or_update(
        Model(name="seen", path="model", type=AssetTypes.CUSTOM_MODEL, description="d", tags={"k": "v"})
    )
print(made.name, made.version, open(client.models.get("seen", label="latest").path + "/weights.txt").read())
"""
    )
    assert said.split()[-3:] == ["seen", "1", "1"]
    kept = open_registry(step.home).get("seen", "1")
    assert (kept.job, kept.step, kept.tags, kept.type) == ("job", "train", {"k": "v"}, "custom_model")


def test_a_token_for_the_workspace_needs_no_network(step: StepOfTest) -> None:
    said = step.run(
        "from azure.identity import DefaultAzureCredential as C\n"
        "print(C().get_token('https://management.azure.com/.default').token)"
    )
    assert said == "tidemill-local\n"
