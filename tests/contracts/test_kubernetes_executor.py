"""The Kubernetes executor keeps the promises of executors, on a real cluster."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill.base.errors import FailedError
from tidemill.base.ids import JobName
from tidemill.plan.graph import HOST_ENVIRONMENT, Resources
from tidemill.run.ports import PreparedEnvironment
from tidemill.testing.executors import ExecutorContract, Submitted, make_task, submit

pytestmark = [pytest.mark.needs_cluster, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    from lightkube import Client
    from lightkube.resources.core_v1 import Namespace

    name = f"tm-steps-{secrets.token_hex(3)}"
    yield name
    Client().delete(Namespace, name)


@pytest.fixture
def image() -> str:
    return os.environ["BASE_IMAGE"]


@pytest.fixture
def executor(namespace: str, image: str, tmp_path: Path) -> Iterator[Any]:
    from tidemill.backends.environments.images import ImageEnvironments
    from tidemill.backends.environments.provider import Environments
    from tidemill.backends.executors.kubernetes import KubernetesExecutor
    from tidemill.backends.executors.pods import StepPods

    images = ImageEnvironments(tmp_path / "images", Environments(tmp_path / "envs"), image)
    found = _InImage(StepPods("", namespace), images, grace_s=0.5)
    yield found
    found.close()


def _InImage(*args: Any, **more: Any) -> Any:  # noqa: N802
    """An executor whose tasks run in the base image, as `work.prepare` would have it."""
    from tidemill.backends.executors.kubernetes import KubernetesExecutor

    class InImage(KubernetesExecutor):
        def submit(self, task: Any, watch: Any) -> None:
            prepared = self.prepare(HOST_ENVIRONMENT, lambda _: None)
            super().submit(replace(task, environment=prepared, resources=Resources(cpus=0.1)), watch)

    return InImage(*args, **more)


class TestKubernetesExecutor(ExecutorContract):
    """All of them."""
