"""A workspace of Azure ML, and executors that speak to it without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.azureml.service import AzureML, azure_ml
from tests.azureml.steps import ENVIRONMENT, Hurried
from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.backends.executors import azureml
from tidemill.backends.executors.azureml import AzureExecutor


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureML]:
    with azure_ml() as found:
        found.kept[ENVIRONMENT] = {"properties": {"image": "python"}}
        for name, value in found.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(azureml, "POLL_S", 0.05)
        monkeypatch.setattr(azureml, "FIRST_POLL_S", 0.05)
        yield found


@pytest.fixture
def make(azure: AzureML, tmp_path: Path) -> Iterator[Callable[[], AzureExecutor]]:
    made: list[AzureExecutor] = []

    def executor() -> AzureExecutor:
        made.append(AzureExecutor(AzureWorkspace("s", "g", "w", api=azureml.API, clock=Hurried()), tmp_path / "home"))
        return made[-1]

    yield executor
    for one in made:
        one.close()
