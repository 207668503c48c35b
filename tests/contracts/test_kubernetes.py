"""A real cluster and registry: build, push, become ready, switch, fail with a reason, disappear."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.base.errors import FailedError
from tidemill.base.hashing import digest_file
from tidemill.release.objects import Workload
from tidemill.release.package import BuiltImage, ImageFile, ImageLayer, Package

pytestmark = pytest.mark.needs_cluster

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[1].encode())
    def log_message(self, *words): pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture
def registry() -> str:
    if not os.environ.get("KUBECONFIG") or not os.environ.get("REGISTRY"):
        pytest.skip("no cluster: set KUBECONFIG, REGISTRY and BASE_IMAGE")
    return os.environ["REGISTRY"]


def build(tmp_path: Path, registry: str, words: str, *, script: str = SERVER) -> BuiltImage:
    from tidemill.backends.builders.oci import open_builder

    source = tmp_path / "server.py"
    source.write_text(script)
    layer = ImageLayer("server", (ImageFile(source, "/srv/server.py", digest_file(source)),))
    package = Package(
        os.environ["BASE_IMAGE"],
        (layer,),
        ("python3", "/srv/server.py"),
        (words,),
        {"PYTHONUNBUFFERED": "1"},
        {"words": words},
    )
    return open_builder(tmp_path / "home").build(package, f"{registry}/tidemill-test/echo", tags=[words])


@pytest.fixture
def namespace() -> str:
    return f"tm-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def target(registry: str) -> Iterator[object]:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    opened = KubernetesTarget()
    yield opened
    opened.close()


def test_the_same_package_gives_the_same_digest_and_sends_nothing_the_second_time(
    tmp_path: Path, registry: str
) -> None:
    words = uuid.uuid4().hex[:8]
    first = build(tmp_path, registry, words)
    second = build(tmp_path / "again" if (tmp_path / "again").mkdir() is None else tmp_path, registry, words)
    assert first.digest == second.digest
    assert first.sent_bytes > 0
    assert second.sent_bytes == 0


def test_a_version_becomes_ready_serves_is_switched_and_leaves_nothing(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    blue = Workload("echo", "v1", namespace, build(tmp_path, registry, "one").reference)
    target.apply(blue)
    target.wait_ready(blue, timeout_s=90)
    assert target.request(namespace, "echo", "/") == (200, b"one")
    green = Workload("echo", "v2", namespace, build(tmp_path, registry, "two").reference)
    target.apply(green, serving="v1")
    target.wait_ready(green, timeout_s=90)
    assert target.request(namespace, "echo", "/") == (200, b"one"), "a version that was not switched to answered"
    target.switch(green)
    assert target.request(namespace, "echo", "/") == (200, b"two")
    assert [(v.deployment, v.serving, v.state) for v in target.observe(namespace, "echo")] == [
        ("v1", False, "Healthy"),
        ("v2", True, "Healthy"),
    ]
    target.delete_endpoint(green, with_namespace=True)
    assert target.observe(namespace, "echo") == ()


def test_a_version_that_crashes_is_refused_with_its_last_words(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    bad = Workload(
        "echo",
        "bad",
        namespace,
        build(tmp_path, registry, "bad", script="raise SystemExit('the weights are missing')").reference,
    )
    target.apply(bad)
    with pytest.raises(FailedError, match="the weights are missing"):
        target.wait_ready(bad, timeout_s=90)
    target.delete_endpoint(bad, with_namespace=True)
