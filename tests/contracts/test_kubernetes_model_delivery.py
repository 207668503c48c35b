"""On a real cluster: a model beside its server, fetched by digest by an init container; what is lost or changed never serves."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.registry_proxy import proxy
from tests.contracts.test_kubernetes import build, registry, target
from tests.e2e.conftest import Run, tidemill
from tests.e2e.test_up import FLOWER, PIPELINE, TRAIN
from tidemill.app.releases import serving_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.app.workloads import read_workload
from tidemill.backends.builders.oci import open_builder
from tidemill.base.errors import FailedError
from tidemill.base.hashing import digest_file
from tidemill.release.package import COPY_MODEL, MODEL, ImageFile, ImageLayer, Package
from tidemill.release.workload import Workload

__all__ = ["registry", "target", "tidemill"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PROJECT = """
name: iris
pipeline: pipeline.yml
model: iris
environments: {{any: {{python: host}}}}
stages:
  production:
    target: kubernetes
    auth: none
    namespace: {namespace}
    registry: "{registry}"
    base_image: "{base}"
    model_delivery: init
    start_timeout_s: 60
"""


@pytest.fixture
def namespace(target: Any) -> Iterator[str]:
    name = f"tm-{uuid.uuid4().hex[:8]}"
    yield name
    target.delete_endpoint(Workload("iris", "any", name, f"x@sha256:{'0' * 64}"), with_namespace=True)


def ask(target: Any, namespace: str) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    status, text = target.request(namespace, "iris", "/predict", body=json.dumps(FLOWER).encode(), headers=headers)
    assert status == 200, text
    return dict(json.loads(text))


def released(folder: Path) -> Workload:
    with open_app(Settings(folder, folder / ".tidemill")) as app:
        release = serving_release(app, "production")
    assert release is not None
    return read_workload(release["workload"])


@pytest.mark.timeout(900)
def test_a_model_comes_by_digest_and_one_that_was_changed_goes_away_again_with_the_reason(
    tmp_path: Path, registry: str, namespace: str, target: Any, tidemill: Run
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(TRAIN)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    with proxy(registry) as between:
        text = PROJECT.format(namespace=namespace, registry=between.address, base=os.environ["BASE_IMAGE"])
        (tmp_path / "tidemill.yaml").write_text(text)
        tidemill("up")
        first = ask(target, namespace)
        assert (first["prediction"], first["version"]) == ("setosa", "1")
        served = released(tmp_path)
        assert served.model_image.startswith(f"{between.address}/iris-model@sha256:")

        (tmp_path / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", "strength: 20.0"))
        between.fault = "changed"
        failed = tidemill("up", code=1)
        assert "digest" in failed.stderr, failed.stderr
        assert "ErrImagePull" in failed.stderr or "ImagePullBackOff" in failed.stderr
        assert "The previous version is still serving." in failed.stderr
        assert [v.deployment for v in target.observe(namespace, "iris")] == [served.deployment]
        assert ask(target, namespace)["version"] == "1"
        between.fault = ""
        tidemill("up")
        assert ask(target, namespace)["version"] == "2"
        second = released(tmp_path)
        assert second.image == served.image, "the server's image stays"

        swapped = replace(second, deployment="swapped", model_image=served.model_image)
        target.apply(swapped, serving=second.deployment)
        with pytest.raises(FailedError, match="it ended") as caught:
            target.wait_ready(swapped, timeout_s=90)
        assert "digest" in caught.value.message, "the server refuses another version's model"
        target.delete_version(swapped)
        assert ask(target, namespace)["version"] == "2"


def test_a_model_that_is_not_in_the_registry_fails_at_once_with_the_reason(
    tmp_path: Path, registry: str, namespace: str, target: Any
) -> None:
    server = build(tmp_path, registry, "one").reference
    source = tmp_path / "model.txt"
    source.write_text("weights")
    layer = ImageLayer("model", (ImageFile(source, f"{MODEL}/model.txt", digest_file(source)),))
    package = Package(os.environ["BASE_IMAGE"], (layer,), COPY_MODEL, (), {}, {})
    model = open_builder(tmp_path / "home").build(package, f"{registry}/tidemill-test/model", tags=["m"]).reference
    good = Workload("iris", "v1", namespace, server, arguments=("one",), model_image=model)
    lost = replace(good, deployment="v2", model_image=model.partition("@")[0] + "@sha256:" + "0" * 64)
    target.apply(good)
    target.wait_ready(good, timeout_s=90)
    target.apply(lost, serving="v1")
    began = time.monotonic()
    with pytest.raises(FailedError, match=r"ErrImagePull|ImagePullBackOff") as caught:
        target.wait_ready(lost, timeout_s=120)
    assert time.monotonic() - began < 60
    assert "not found" in caught.value.message
    assert target.request(namespace, "iris", "/") == (200, b"one")
