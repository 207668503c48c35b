"""The API server as a way to pods and Services, with the login and certificates of the kubeconfig."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2 as httpx
from lightkube.config import client_adapter

from tidemill.backends.cluster import speaking_to_cluster
from tidemill.backends.pod_exec import run_in_pod

TIMEOUT_S = 60


class ClusterProxy:
    """Calls what runs in a cluster from outside it."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - a kubeconfig's context
        self._config = config

    def run(self, namespace: str, pod: str, argv: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Run a program in a pod; `sink` hears what it writes. `BackendError` when it fails or may not be run."""
        params = client_adapter.ConnectionParams(timeout=httpx.Timeout(TIMEOUT_S))
        with speaking_to_cluster("running a program in a pod"), client_adapter.Client(self._config, params) as http:
            run_in_pod(http, (namespace, pod), argv, sink=sink, silence_s=TIMEOUT_S)

    def call(
        self, url: str, body: bytes | None, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
    ) -> tuple[int, bytes]:
        """Status and body of a GET, or of a POST where there is something to send."""
        params = client_adapter.ConnectionParams(timeout=httpx.Timeout(timeout_s))
        with speaking_to_cluster("calling the endpoint"), client_adapter.Client(self._config, params) as http:
            answer = http.request("POST" if body is not None else "GET", url, content=body, headers=dict(headers))
            return answer.status_code, answer.content
