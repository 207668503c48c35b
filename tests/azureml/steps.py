"""Steps of tests on Azure ML."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.azureml.service import ROOT, AzureML
from tests.unit.backends.fake_rest import Patience
from tests.waiting import until
from tidemill.run.ports import PreparedEnvironment, Task
from tidemill.testing.executors import Submitted, make_task

ENVIRONMENT = "environments/tidemill/versions/1"
PYTHON = PreparedEnvironment(Path("python"), image=f"{ROOT}/{ENVIRONMENT}")


class Hurried(Patience):
    """Waits that services ask for are counted, and not waited."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.waited)


def task(folder: Path, command: str, **more: Any) -> Task:
    return make_task(folder, command, environment=PYTHON, **more)


def started(azure: AzureML, line: str, submitted: Submitted) -> str:
    """The name of the only job, once its command has said `line`."""
    until(lambda: line in submitted.lines)
    (name,) = azure.jobs
    return name
