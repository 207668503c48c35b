"""5,000 requests through the Service of a real cluster while three versions come, each by another strategy: none fails."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.contracts.test_kubernetes_shift import SERVER
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.release.objects import Workload
from tidemill.spec.project import Stage

__all__ = ["namespace", "registry", "target"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.slow]

REQUESTS = 5000
STRATEGIES = ("rolling", "blue-green", "canary")


def test_five_thousand_requests_see_three_rollouts_and_none_fails(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    seen: Counter[tuple[int, bytes]] = Counter()
    lock, stop = threading.Lock(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = target.request(namespace, "echo", "/ask")
            with lock:
                seen[answer] += 1

    versions = [
        Workload("echo", f"v{i}", namespace, build(tmp_path, registry, f"version{i}-200", script=SERVER).reference)
        for i in range(len(STRATEGIES) + 1)
    ]
    threads = [threading.Thread(target=ask) for _ in range(3)]
    try:
        target.apply(versions[0])
        target.wait_ready(versions[0], timeout_s=90)
        for thread in threads:
            thread.start()
        for strategy, old, new in zip(STRATEGIES, versions, versions[1:], strict=False):
            stage = Stage(target="kubernetes", strategy=strategy, steps=[50], bake_s=1, start_timeout_s=90)  # type: ignore[arg-type]
            target.apply(new, serving=old.deployment)
            target.wait_ready(new, timeout_s=90)
            (before,) = [v for v in target.observe(namespace, "echo") if v.deployment == old.deployment]
            shift_on_cluster(target, new, before, stage, lambda _: None)
            target.delete_version(replace(new, deployment=old.deployment))
        deadline = time.monotonic() + 180
        while sum(seen.values()) < REQUESTS and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(30)
        target.delete_endpoint(versions[-1], with_namespace=True)
    sys.stdout.write(f"{sum(seen.values())} answered through {len(STRATEGIES)} rollouts: {dict(seen)}\n")
    assert sum(seen.values()) >= REQUESTS
    assert {status for status, _ in seen} == {200}
    assert {body for _, body in seen} == {f"version{i}".encode() for i in range(4)}
