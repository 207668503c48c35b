"""On a real cluster: a model beside its server, fetched by digest by an init container; what is lost or changed never serves."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.registry_proxy import proxy
from tests.contracts.test_kubernetes import registry, target
from tests.e2e.conftest import Run, tidemill
from tests.e2e.test_up import FLOWER, PIPELINE, TRAIN
from tidemill.app.releases import serving_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.app.workloads import read_workload
from tidemill.base.errors import FailedError
from tidemill.release.objects import Workload

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


def test_a_model_comes_by_digest_and_one_that_is_lost_or_changed_goes_away_again_with_the_reason(
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

        for strength, fault, words in ((10.0, "lost", "not found"), (20.0, "changed", "digest")):
            (tmp_path / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", f"strength: {strength}"))
            between.fault = fault
            failed = tidemill("up", code=1)
            assert words in failed.stderr, failed.stderr
            assert "ErrImagePull" in failed.stderr or "ImagePullBackOff" in failed.stderr
            assert "The previous version is still serving." in failed.stderr
            assert [v.deployment for v in target.observe(namespace, "iris")] == [served.deployment]
            assert ask(target, namespace)["version"] == "1"
        between.fault = ""
        tidemill("up")
        assert ask(target, namespace)["version"] == "3"
        second = released(tmp_path)
        assert second.image == served.image, "the server's image stays"

        swapped = replace(second, deployment="swapped", model_image=served.model_image)
        target.apply(swapped, serving=second.deployment)
        with pytest.raises(FailedError, match="it ended") as caught:
            target.wait_ready(swapped, timeout_s=60)
        assert "digest" in caught.value.message
        target.delete_version(swapped)
        assert ask(target, namespace)["version"] == "3"
