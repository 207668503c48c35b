"""Where nobody listens, it is said at once, with the address and without the password in it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.azureml.steps import Hurried
from tidemill.backends.builders.oci.client import RegistryClient
from tidemill.backends.cluster import find_cluster
from tidemill.backends.registries.mlflow import require_answer
from tidemill.backends.rest import RefusedError, Rest
from tidemill.base.errors import BackendError, UsageError


@pytest.fixture
def address() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_an_mlflow_server(address: str) -> None:
    with pytest.raises(BackendError, match=f"http://me:…@{address} does not answer") as failed:
        require_answer(f"http://me:secret@{address}")
    assert "secret" not in failed.value.message
    require_answer("databricks://profile")
    require_answer("")


def test_azure_ml(address: str) -> None:
    service = Rest("Azure ML", lambda _: "token", "", Hurried())
    with pytest.raises(
        RefusedError, match=f"Azure ML did not answer at http://{address}: Connection refused"
    ) as failed:
        service.call("GET", f"http://{address}/subscriptions/s")
    assert failed.value.passing
    assert "HTTPS_PROXY" in failed.value.hint


def test_a_registry(address: str) -> None:
    client = RegistryClient(address)
    with pytest.raises(BackendError, match=f"The registry `{address}` did not answer") as failed:
        client.has_blob("digits", "sha256:0")
    assert "`registry:` or `base_image:`" in failed.value.hint
    client.close()


def test_a_context_nobody_knows_is_said_with_those_there_are(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path_factory.mktemp("kube") / "config"
    config.write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n"
        "contexts: [{name: mine, context: {cluster: c, user: u}}]\ncurrent-context: mine\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(UsageError, match="nope") as failed:
        find_cluster("nope")
    assert "Contexts there: mine." in failed.value.hint
