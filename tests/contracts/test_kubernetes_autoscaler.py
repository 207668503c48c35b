"""A real cluster: an autoscaler and what Tidemill does with numbers of pods do not work against each other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry
from tests.contracts.test_kubernetes_rbac import kubectl
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.backends.targets.kubernetes import KubernetesTarget
from tidemill.release.workload import Workload
from tidemill.spec.project import Stage

__all__ = ["namespace", "registry"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.timeout(600)]
SYNC_S = 20.0  # an autoscaler looks every 15 s


@pytest.fixture
def target(registry: str, namespace: str) -> Iterator[KubernetesTarget]:
    del registry
    opened = KubernetesTarget()
    yield opened
    kubectl("delete", "namespace", namespace, "--wait=false")
    opened.close()


def read(workload: Workload, kind: str = "deployment") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        kubectl("get", kind, workload.name, "-n", workload.namespace, "-o", "json", "--show-managed-fields")
    )
    return found


def pods(workload: Workload) -> int:
    return int(read(workload)["spec"]["replicas"])


def autoscaler(workload: Workload) -> tuple[int, int]:
    spec = read(workload, "horizontalpodautoscalers.v1.autoscaling")["spec"]
    return spec.get("minReplicas", 1), spec["maxReplicas"]


def appliers_of_the_number(workload: Workload) -> list[str]:
    entries = read(workload)["metadata"]["managedFields"]
    return [
        e["manager"] for e in entries if e["operation"] == "Apply" and "f:replicas" in e["fieldsV1"].get("f:spec", {})
    ]


def test_the_number_is_the_autoscalers_and_an_up_leaves_it(
    tmp_path: Path, registry: str, namespace: str, target: KubernetesTarget
) -> None:
    fixed = Workload("echo", "v1", namespace, build(tmp_path, registry, "one").reference, replicas=2)
    target.apply(fixed)
    target.wait_ready(fixed, timeout_s=90)
    scaled = replace(fixed, max_replicas=4)
    before = kubectl("get", "pods", "-n", namespace, "-o", "name")
    target.apply(scaled)
    assert pods(scaled) == 2, "letting go of the number does not make it 1"
    assert "tidemill" not in appliers_of_the_number(scaled)
    assert kubectl("get", "pods", "-n", namespace, "-o", "name") == before
    kubectl("scale", "deployment", scaled.name, "--replicas=3", "-n", namespace)
    target.apply(replace(scaled, annotations={"a": "b"}))
    assert pods(scaled) == 3
    new = replace(scaled, deployment="v2")
    target.apply(new, serving="v1")
    assert pods(new) == 2, "no waiting for the autoscaler"
    assert appliers_of_the_number(new) == []


def test_a_canary_has_the_pods_it_needs_and_the_autoscaler_its_range_afterwards(
    tmp_path: Path, registry: str, namespace: str, target: KubernetesTarget
) -> None:
    image = build(tmp_path, registry, "one").reference
    old = Workload("echo", "v1", namespace, image, replicas=1, max_replicas=2)
    target.apply(old)
    target.wait_ready(old, timeout_s=90)
    target.scale(namespace, old.name, 3)
    assert not target.settled(namespace, "echo")
    time.sleep(SYNC_S)
    assert pods(old) == 3, "more than the autoscaler's most, and it keeps to it"
    target.scale(namespace, old.name, 2)
    target.let_scale(namespace, old.name)
    assert target.settled(namespace, "echo")
    new = replace(old, deployment="v2")
    target.apply(new, serving="v1")
    target.wait_ready(new, timeout_s=90)
    (before,) = (s for s in target.observe(namespace, "echo") if s.serving)
    stage = Stage(target="kubernetes", strategy="canary", steps=[50], start_timeout_s=90)
    said: list[str] = []
    shift_on_cluster(target, new, before, stage, said.append)
    assert said[0] == "v2 takes 50 % of the traffic (2 of 4 pods; 50 % asked for)"
    assert pods(new) == 2, "as many as load had given the old one"
    assert autoscaler(new) == (1, 2)
    target.delete_version(replace(old, max_replicas=0))
    assert kubectl("get", "hpa", "-n", namespace, "-o", "name") == "horizontalpodautoscaler.autoscaling/echo-v2"
    assert target.settled(namespace, "echo")
