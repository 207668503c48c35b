"""On a real cluster: versions change under constant load, each by another strategy, and no request fails."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any, Literal, Self

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.contracts.test_kubernetes_shift import SERVER
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.release.workload import Workload
from tidemill.spec.project import Stage

__all__ = ["namespace", "registry", "target"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.slow]
REQUESTS = 5000
STRATEGIES: tuple[Literal["rolling", "blue-green", "canary"], ...] = ("rolling", "blue-green", "canary")


class Load:
    """Threads that ask through the Service, each over a connection of its own, until it is enough and they are told to stop."""

    def __init__(self, namespace: str) -> None:
        from lightkube import KubeConfig
        from lightkube.config import client_adapter

        config = KubeConfig.from_env().get()
        assert config is not None
        params = client_adapter.ConnectionParams(timeout=60)
        self._clients = [client_adapter.Client(config, params) for _ in range(4)]
        self._url = f"/api/v1/namespaces/{namespace}/services/http:echo:http/proxy/ask"
        self._stop = threading.Event()
        self.seen: Counter[tuple[int, bytes]] = Counter()
        self._threads = [threading.Thread(target=self._ask, args=(c,)) for c in self._clients]

    def _ask(self, client: Any) -> None:
        while not self._stop.is_set() or sum(self.seen.values()) < REQUESTS:
            answer = client.get(self._url)
            self.seen[answer.status_code, answer.content] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        for client in self._clients:
            client.close()


def test_not_one_of_5000_requests_fails_while_three_versions_come_each_by_another_strategy(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    images = [build(tmp_path, registry, f"version{i}-200", script=SERVER).reference for i in range(len(STRATEGIES) + 1)]
    versions = [Workload("echo", f"v{i}", namespace, image, replicas=2) for i, image in enumerate(images)]
    try:
        target.apply(versions[0])
        target.wait_ready(versions[0], timeout_s=90)
        with Load(namespace) as load:
            for strategy, old, new in zip(STRATEGIES, versions, versions[1:], strict=False):
                stage = Stage(target="kubernetes", strategy=strategy, steps=[25], start_timeout_s=90, replicas=2)
                target.apply(new, serving=old.deployment)
                target.wait_ready(new, timeout_s=90)
                (before,) = [v for v in target.observe(namespace, "echo") if v.serving]
                shift_on_cluster(target, new, before, stage, lambda _: None)
                target.delete_version(old)
                assert {status for status, _ in load.seen} == {200}, f"{strategy}: {load.seen}"
        assert sum(load.seen.values()) >= REQUESTS
        assert set(load.seen) == {(200, f"version{i}".encode()) for i in range(len(versions))}, load.seen
    finally:
        target.delete_endpoint(versions[-1], with_namespace=True)
