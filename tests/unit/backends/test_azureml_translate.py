"""Steps and environments in Azure ML's words."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.azureml.service import ROOT, AzureML
from tests.azureml.steps import task
from tidemill.backends.azure.layout import place_of
from tidemill.backends.azure.translate import job_body, translate
from tidemill.backends.executors.azureml import AzureExecutor, open_executor
from tidemill.base.errors import UsageError
from tidemill.plan.graph import EnvironmentRef, Resources
from tidemill.run.ports import EnvironmentProvider, PreparedEnvironment
from tidemill.spec.project import ComputeMapping
from tidemill.testing.executors import submit


@pytest.mark.parametrize("words", [{"argv": ("python",)}, {"environment": PreparedEnvironment(Path("python"))}])
def test_a_step_of_this_machine_is_refused(
    make: Callable[[], AzureExecutor], tmp_path: Path, words: dict[str, Any]
) -> None:
    one = replace(task(tmp_path / "a", "true"), **words)
    assert "cannot run on Azure ML" in submit(make(), one).wait().message


def test_programs_beside_the_working_folder_find_it_laid_out_there(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    folder = tmp_path / "with ü"
    data, out = folder / "inputs" / "INPUT_data" / "d.txt", folder / "outputs" / "rows"
    env = {"AZURE_ML_INPUT_data": str(data), "AZURE_ML_OUTPUT_rows": str(out), "AZUREML_MODEL_DIR": f"{folder}/model"}
    one = task(folder, f"bash {shlex.quote(f'{folder}/driver/run.sh')} {shlex.quote(str(out))}", env=env)
    (folder / "driver").mkdir()
    data.parent.mkdir(parents=True)
    data.write_text("seven")
    (folder / "driver" / "paths.json").write_text(json.dumps({"data": str(data)}))
    (folder / "driver" / "run.sh").write_text(
        'cd "$(dirname "$0")"; cat "$(sed \'s/.*: "//; s/".*//\' paths.json)" > "$1"\n'
        "echo $AZUREML_MODEL_DIR; echo cwd > ../cwd/outputs/x; echo log > ../logs/y\n"
    )
    (one.cwd / "outputs").mkdir()
    (one.cwd / "logs").symlink_to(folder / "logs")
    (folder / "logs").mkdir()
    one = replace(one, writes=(folder / "outputs", one.cwd / "outputs"), log=folder / "logs" / "std_log.txt")
    end = submit(make(), one).wait()
    assert end.ok, one.log.read_text()
    assert out.read_text() == "seven"
    assert (one.cwd / "outputs" / "x").read_text() == "cwd\n"
    assert (folder / "logs" / "y").read_text() == "log\n"
    assert one.log.read_text() == f"{place_of(one)}/model\n"


@pytest.mark.parametrize(
    ("command", "processes", "instances", "wanted"),
    [
        ("true", ({},), 2, None),
        ("mpirun --allow-run-as-root --oversubscribe -np 4 bash -c 'echo a  b'", ({},), 2, ("Mpi", 2)),
        ("true", ({"RANK": "0"}, {"RANK": "1"}), 1, ("PyTorch", 2)),
        ("true", ({"OMPI_COMM_WORLD_RANK": "0"}, {"OMPI_COMM_WORLD_RANK": "1"}), 2, ("Mpi", 1)),
    ],
)
def test_processes_are_azures_to_start(
    tmp_path: Path, command: str, processes: Any, instances: int, wanted: Any
) -> None:
    one = task(tmp_path / "a", command, processes=processes, resources=Resources(instance_count=instances))
    told = translate(one, {})
    properties = job_body(one, told, {"job": "j", "environment": "e", "inputs": {}}, {})["properties"]
    found = properties.get("distribution")
    assert (found and (found["distributionType"], found["processCountPerInstance"])) == wanted
    assert properties["resources"]["instanceCount"] == (instances if wanted else 1)
    assert told.command in {"true", "echo a  b"}


def test_variables_of_a_cluster_of_tensorflow_are_azures_too(tmp_path: Path) -> None:
    processes = tuple({"TF_CONFIG": json.dumps({"task": {"type": t}})} for t in ("worker", "worker", "ps"))
    one = task(tmp_path / "a", "true", processes=processes, resources=Resources(instance_count=3))
    properties = job_body(one, translate(one, {}), {"job": "j", "environment": "e", "inputs": {}}, {})["properties"]
    assert properties["distribution"] == {
        "distributionType": "TensorFlow", "workerCount": 2, "parameterServerCount": 1
    }  # fmt: skip


class Inline:
    """An environment document."""

    def __init__(self, **values: Any) -> None:
        self.image, self.build, self.conda_file = None, None, None
        self.__dict__.update(values)


def test_an_environment_is_registered_once_for_all_steps_that_ask(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    conda = {"name": "x", "dependencies": ["python=3.11"]}
    wanted = EnvironmentRef(None, None, Inline(conda_file=conda), tmp_path, "venv", "inline")
    executor, said, found = make(), [], []

    def ask() -> None:
        found.append(executor.prepare(wanted, said.append).image)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    (identity,) = set(found)
    properties = azure.kept[str(identity).removeprefix(f"{ROOT}/")]["properties"]
    assert json.dumps(properties).count("python=3.11") == 1


@pytest.mark.parametrize(
    ("name", "version", "label", "there"),
    [
        ("cpu", "3", "cpu:3", f"{ROOT}/environments/cpu/versions/3"),
        ("cpu", "latest", "cpu@latest", f"{ROOT}/environments/cpu/versions/4"),
        ("sk", "latest", "azureml/sk@latest", "azureml://registries/azureml/environments/sk/labels/latest"),
        ("cpu", "3", "ours/cpu:3", "azureml://registries/ours/environments/cpu/versions/3"),
        ("AzureML-sk", "9", "AzureML-sk:9", "azureml://registries/azureml/environments/sk/versions/9"),
    ],
)
def test_an_environment_of_the_workspace_or_a_registry_is_used_as_it_is(  # noqa: PLR0913, PLR0917
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path, name: str, version: str, label: str, there: str
) -> None:
    azure.kept["environments/cpu"] = {"properties": {"latestVersion": "4"}}
    azure.kept |= {f"environments/cpu/versions/{n}": {} for n in "34"}
    assert make().prepare(EnvironmentRef(name, version, None, tmp_path, "host", label), print).image == there


def test_a_docker_context_is_uploaded_for_azure_to_build(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM python:3.12")
    build = Inline(path="docker", dockerfile_path=None)
    wanted = EnvironmentRef("e", "1", Inline(build=build), tmp_path, "venv", "e:1")
    identity = str(make().prepare(wanted, print).image).removeprefix(f"{ROOT}/")
    context = azure.kept[identity]["properties"]["build"]["contextUri"].partition("/acct/")[2]
    assert azure.storage.blobs[f"{context}Dockerfile"] == b"FROM python:3.12"


def test_an_environment_neither_here_nor_there_is_named(make: Callable[[], AzureExecutor], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no environment `azureml:cpu:3`"):
        make().prepare(EnvironmentRef("cpu", "3", None, tmp_path, "venv", "azureml:cpu:3"), print)


def test_a_compute_without_a_workspace_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME"):
        monkeypatch.delenv(name, raising=False)
    nobody: EnvironmentProvider = None  # type: ignore[assignment]  # Azure makes the environments
    with pytest.raises(UsageError, match="needs subscription, workspace"):
        open_executor(ComputeMapping(executor="azureml", resource_group="g"), tmp_path, nobody)
