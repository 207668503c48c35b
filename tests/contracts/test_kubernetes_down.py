"""A real cluster: `down` leaves nothing of an endpoint, and everything of its neighbours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry
from tests.contracts.test_kubernetes_rbac import kubectl
from tidemill.backends.targets.kubernetes import KubernetesTarget
from tidemill.release.workload import Workload

__all__ = ["namespace", "registry"]
pytestmark = pytest.mark.needs_cluster


@pytest.fixture
def endpoint(tmp_path: Path, registry: str, namespace: str) -> Iterator[Workload]:
    """Two versions with an autoscaler, an Ingress and a frontend, and a neighbour in the same namespace."""
    target = KubernetesTarget()
    image = build(tmp_path, registry, "one").reference
    first = Workload(
        "echo", "v1", namespace, image, max_replicas=3, host="echo.example.org", frontend_image=image, node_port=0
    )
    target.apply(first)
    target.apply(replace(first, deployment="v2"), serving="v1")
    target.apply(Workload("neighbour", "v1", namespace, image))
    target.wait_ready(first, timeout_s=90)
    yield first
    kubectl("delete", "namespace", namespace, "--wait=false")
    target.close()


def test_nothing_of_the_endpoint_is_left_and_its_neighbour_serves_on(tmp_path: Path, endpoint: Workload) -> None:
    def down(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidemill", "down", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=dict(os.environ),
        )  # fmt: skip

    (tmp_path / "tidemill.yaml").write_text(
        f"name: echo\nstages: {{production: {{target: kubernetes, namespace: {endpoint.namespace}, registry: r}}}}\n"
    )
    kinds = "deploy,service,ingress,hpa,pdb,networkpolicy,serviceaccount,pod"
    refused = down()
    assert refused.returncode == 2
    assert "2 HorizontalPodAutoscaler, 3 Deployment" in refused.stderr
    done = down("--yes")
    assert done.returncode == 0, done.stderr
    left = kubectl("get", kinds, "-n", endpoint.namespace, "-o", "name").splitlines()
    assert not [n for n in left if "echo" in n]
    assert {"deployment.apps/neighbour-v1", "service/neighbour", "networkpolicy.networking.k8s.io/neighbour"} <= {*left}
    assert "Nothing was running" in down("--yes").stdout
