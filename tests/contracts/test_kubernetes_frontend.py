"""On a real cluster: the frontend comes up with the endpoint and goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.waiting import until
from tidemill.base.errors import FailedError
from tidemill.release.workload import Workload

__all__ = ["namespace", "registry", "target"]
pytestmark = pytest.mark.needs_cluster


def test_a_frontend_answers_beside_its_endpoint_and_leaves_with_it(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    web = build(tmp_path, registry, "web").reference
    version = Workload("echo", "v1", namespace, build(tmp_path, registry, "one").reference, frontend_image=web)
    try:
        target.apply(version)
        target.wait_ready(version, timeout_s=90)
        assert target.request(namespace, "echo", "/") == (200, b"one")
        until(
            lambda: target.request(namespace, "echo-frontend", "/") == (200, b"web"),
            "the frontend did not come up",
        )
        assert [v.deployment for v in target.observe(namespace, "echo")] == ["v1"]
    finally:
        target.delete_endpoint(version, with_namespace=True)


def test_a_frontend_that_does_not_come_is_said_with_its_last_words(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    web = build(tmp_path, registry, "gone", script="raise SystemExit('no page here')").reference
    version = Workload("echo", "v1", namespace, build(tmp_path, registry, "one").reference, frontend_image=web)
    try:
        target.apply(version)
        with pytest.raises(
            FailedError, match=r"`echo-frontend` did not become ready(.|\n)*exit code 1(.|\n)*no page here"
        ):
            target.wait_ready(version, timeout_s=90)
    finally:
        target.delete_endpoint(version, with_namespace=True)
