"""The Azure ML executor keeps the promises of executors, against a server that really runs the commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.azureml.service import ROOT, AzureML, azure_ml
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.backends.executors import azureml
from tidemill.backends.executors.azureml import AzureExecutor
from tidemill.run.ports import Executor, Task, TaskWatch
from tidemill.testing.executors import ExecutorContract, make_task, submit

ENVIRONMENT = "environments/tidemill/versions/1"


class Prepared(AzureExecutor):
    """With the environment that the contract's tasks do not bring."""

    def submit(self, task: Task, watch: TaskWatch) -> None:
        environment = replace(task.environment, image=f"{ROOT}/{ENVIRONMENT}")
        super().submit(replace(task, environment=environment), watch)


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureML]:
    with azure_ml() as found:
        found.kept[ENVIRONMENT] = {"properties": {"image": "python"}}
        for name, value in found.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(azureml, "POLL_S", 0.1)
        monkeypatch.setattr(azureml, "FIRST_POLL_S", 0.05)
        yield found


@pytest.fixture
def executor(azure: AzureML, tmp_path: Path) -> Iterator[AzureExecutor]:
    found = Prepared(AzureWorkspace("s", "g", "w", api=azureml.API), tmp_path / "home")
    yield found
    found.close()


class TestAzureExecutor(ExecutorContract):
    """All of them, but that the working folder is Azure's."""

    def test_a_command_runs_in_bash_in_its_folder(self, executor: Executor, tmp_path: Path) -> None:
        task = make_task(tmp_path / "a", 'echo "$GREETING" | tr a-z A-Z > ../outputs/x && pwd')
        assert submit(executor, task).wait().ok
        assert (tmp_path / "a" / "outputs" / "x").read_text() == "HELLO\n"
        assert task.log.read_text().strip().endswith("/wd")
