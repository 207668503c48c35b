"""On a real cluster: a deployment's scoring script, its limits and its code travel in the image, and changed code rolls out."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_kubernetes import registry, target
from tests.e2e.conftest import Run, tidemill
from tests.e2e.test_up import PIPELINE, TRAIN
from tidemill.release.workload import Workload

__all__ = ["registry", "target", "tidemill"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PROJECT = """
name: iris
pipeline: pipeline.yml
model: iris
deployment: serving/deployment.yml
sample_request: sample.json
environments: {{any: {{python: host}}}}
stages:
  production:
    target: kubernetes
    namespace: {namespace}
    registry: "{registry}"
    base_image: "{base}"
    start_timeout_s: 90
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: iris
model: azureml:iris@latest
code_configuration: {code: ../scoring, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/minimal}
request_settings: {request_timeout_ms: 20000}
instance_type: Standard_DS2_v2
instance_count: 1
"""
SCORE = """
import os, json, joblib, pathlib
from words import WORD
def init():
    global names
    names = sorted(p.name for p in pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*") if p.is_file())
def run(raw):
    return {"word": WORD, "rows": len(json.loads(raw)["data"]), "files": names,
            "secret": pathlib.Path(__file__).with_name(".env").exists(), "joblib": joblib.__version__}
"""


@pytest.fixture
def namespace(target: Any) -> Iterator[str]:
    name = f"tm-{uuid.uuid4().hex[:8]}"
    yield name
    target.delete_endpoint(Workload("iris", "any", name, f"x@sha256:{'0' * 64}"), with_namespace=True)


def ask(target: Any, namespace: str) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    assert target.request(namespace, "iris", "/score", body=b'{"data": [1, 2]}', headers=headers)[0] == 401
    headers |= target.key_headers(Workload("iris", "any", namespace, "", token_secret="iris-keys"))
    status, text = target.request(namespace, "iris", "/score", body=b'{"data": [1, 2]}', headers=headers)
    assert status == 200, text
    return dict(json.loads(text))


@pytest.mark.timeout(600)
def test_a_scoring_script_answers_in_a_cluster_and_its_changes_roll_out(
    tmp_path: Path, registry: str, namespace: str, target: Any, tidemill: Run
) -> None:
    for folder in ("src", "serving", "scoring"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "train.py").write_text(TRAIN)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "serving" / "deployment.yml").write_text(DEPLOYMENT)
    (tmp_path / "scoring" / "score.py").write_text(SCORE)
    (tmp_path / "scoring" / "words.py").write_text("WORD = 'one'\n")
    (tmp_path / "scoring" / ".env").write_text("KEY=secret\n")
    (tmp_path / "sample.json").write_text('{"data": [1]}')
    text = PROJECT.format(namespace=namespace, registry=registry, base=os.environ["BASE_IMAGE"])
    (tmp_path / "tidemill.yaml").write_text(text)
    tidemill("up")
    first = ask(target, namespace)
    assert (first["word"], first["rows"], first["secret"]) == ("one", 2, False)
    assert any(name in {"MLmodel", "model.pkl"} for name in first["files"]), first

    (tmp_path / "scoring" / "words.py").write_text("WORD = 'two'\n")
    tidemill("up")
    assert ask(target, namespace)["word"] == "two"
    tidemill("up")
    assert len(json.loads(tidemill("history", "-o", "json").stdout)) == 2, "an `up` without changes changed something"

    tidemill("rollback", "--reason", "the other word was better")
    assert ask(target, namespace)["word"] == "one", "and nobody without a key is answered, as before"
    assert "held back" in tidemill("up").stdout
    assert ask(target, namespace)["word"] == "one"
