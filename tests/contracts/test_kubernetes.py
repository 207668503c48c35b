"""A real cluster and registry: build, push, become ready, switch, fail with a reason, disappear."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.base.errors import FailedError
from tidemill.base.hashing import digest_file
from tidemill.release.package import BuiltImage, ImageFile, ImageLayer, Package
from tidemill.release.workload import Workload

pytestmark = pytest.mark.needs_cluster

# the first process of a container is not ended by a signal it does not ask for: each pod would stay its whole grace
SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
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
    (tmp_path / "again").mkdir()
    second = build(tmp_path / "again", registry, words)
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


WITNESSED = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer({"digest": sys.argv[1]})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"])); self.answer({"prediction": "cat"})
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.mark.parametrize(
    ("held", "wanted", "why"),
    [
        ("d" * 64, "cat", ""),
        ("e" * 64, "cat", "it holds the model eee"),
        ("d" * 64, "dog", "golden row 0: it answers cat, at training time dog"),
    ],
)
def test_an_image_is_started_and_compared_before_anybody_can_pull_it(
    tmp_path: Path, registry: str, held: str, wanted: str, why: str
) -> None:
    from tidemill.app.proof import prove_image
    from tidemill.backends.builders.oci import open_builder
    from tidemill.backends.builders.oci.client import RegistryClient
    from tidemill.backends.builders.oci.reference import parse_image
    from tidemill.base.errors import NotFoundError
    from tidemill.record.ports import ModelVersion

    model, source = tmp_path / "model", tmp_path / "server.py"
    model.mkdir()
    (model / "golden.json").write_text(json.dumps({"inputs": [{"x": 1}], "predictions": [wanted]}))
    source.write_text(WITNESSED)
    layer = ImageLayer("server", (ImageFile(source, "/srv/server.py", digest_file(source)),))
    name = uuid.uuid4().hex[:8]
    package = Package(os.environ["BASE_IMAGE"], (layer,), ("python3", "/srv/server.py"), (held,), {}, {"unique": name})
    version = ModelVersion(
        name="pets", version="1", type="custom_model", path=model, digest="d" * 64, created_at="2026-11-21T00:00:00Z"
    )
    said: list[str] = []
    image = f"{registry}/tidemill-test/proof-{name}"

    def build_it() -> BuiltImage:
        builder = open_builder(tmp_path / "home")
        return builder.build(package, image, tags=["x"], prove=lambda a, i: prove_image(a, i, version, said.append))

    client = RegistryClient(registry)
    try:
        if why:
            with pytest.raises(FailedError, match=why):
                build_it()
            with pytest.raises(NotFoundError):
                client.get_manifest(parse_image(f"{image}:x"))
            return
        build_it()
        assert "answers 1 golden rows as at training time" in said[-1]
        said.clear()
        build_it()
        assert not said, "an image that the registry holds was proven again"
    finally:
        client.close()
