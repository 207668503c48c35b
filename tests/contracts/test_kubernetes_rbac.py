"""On a real cluster: the role lets its account deploy, and do nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.contracts.test_kubernetes import build, namespace, registry
from tidemill.base import proc
from tidemill.release.rbac import make_rbac
from tidemill.release.workload import Workload

__all__ = ["namespace", "registry"]
pytestmark = pytest.mark.needs_cluster

MAY = [
    "create deployments.apps",
    "patch services",
    "delete networkpolicies.networking.k8s.io",
    "list pods",
    "get pods --subresource=log",
    "get secrets/echo-keys",
]
MAY_NOT = ["get secrets", "list secrets", "create pods", "create pods --subresource=exec", "patch roles.rbac.authorization.k8s.io", "delete namespaces", "create daemonsets.apps", "get nodes", "impersonate users"]  # fmt: skip


def kubectl(*argv: str, text: str | None = None) -> str:
    done = proc.run(["kubectl", *argv], timeout_s=60, stdin=text)
    assert done.returncode == 0 or argv[:2] == ("auth", "can-i"), done.stderr
    return done.stdout.strip()


@pytest.fixture
def account(tmp_path: Path, registry: str, namespace: str) -> Iterator[str]:
    """A namespace with the role; the kubeconfig of its account is at `tmp_path/kubeconfig`."""
    del registry
    file = tmp_path / "rbac.yaml"
    file.write_text(yaml.safe_dump_all(make_rbac(namespace, keys="echo-keys")))
    kubectl("apply", "-f", str(file))
    try:
        names = json.loads(kubectl("get", "secrets", "-n", namespace, "-o", "json"))["items"]
        (secret,) = [s for s in names if s["metadata"]["name"].startswith("tidemill-deployer-token-")]
        config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
        config["users"][0]["user"] = {"token": base64.b64decode(secret["data"]["token"]).decode()}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        yield f"system:serviceaccount:{namespace}:tidemill-deployer"
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def test_the_account_may_do_what_deploying_takes_and_nothing_else(account: str, namespace: str) -> None:
    def can(asked: str, where: str) -> bool:
        return kubectl("auth", "can-i", *asked.split(), "-n", where, "--as", account) == "yes"

    assert {a: can(a, namespace) for a in MAY} == dict.fromkeys(MAY, True)
    assert {a: can(a, namespace) for a in MAY_NOT} == dict.fromkeys(MAY_NOT, False)
    assert {a: can(a, "default") for a in MAY} == dict.fromkeys(MAY, False)


def test_a_version_is_deployed_switched_to_scaled_and_taken_away_with_just_that_role(
    account: str, namespace: str, tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert account
    with monkeypatch.context() as its_own:
        its_own.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        target = KubernetesTarget()
    try:
        version = Workload(
            "echo",
            "v1",
            namespace,
            build(tmp_path, registry, "one").reference,
            host="echo.example.org",
            max_replicas=3,
            token_secret="echo-keys",
        )
        target.apply(version)
        target.wait_ready(version, timeout_s=90)
        target.switch(version)
        target.share(version, "v1")
        target.scale(namespace, version.name, 1)
        assert target.request(namespace, "echo", "/") == (200, b"one")
        assert target.counts(version)
        assert len(set(target.keys(namespace, "echo"))) == 2
        target.delete_endpoint(version)
        assert "echo-keys" not in kubectl("get", "secrets", "-n", namespace)
        assert target.observe(namespace, "echo") == ()
    finally:
        target.close()
