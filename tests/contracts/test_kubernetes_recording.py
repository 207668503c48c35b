"""On a real cluster: what pods are asked is found as Parquet where the stage says, by version and date, with the truth told since."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.test_kubernetes import registry, target
from tidemill.app.candidate import Candidate
from tidemill.app.deploy_kubernetes import deploy_kubernetes
from tidemill.app.project import Project
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.app.workloads import read_workload
from tidemill.backends.targets.kubernetes import KubernetesTarget
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelRequest
from tidemill.serve.records import join
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

__all__ = ["registry", "target"]
pytestmark = [pytest.mark.needs_cluster, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

DEPLOYMENT = """
name: blue
endpoint_name: churn
code_configuration: {code: scoring, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/minimal}
data_collector:
  collections:
    model_inputs: {enabled: "True"}
    model_outputs: {enabled: "True"}
  rolling_rate: hour
"""
SCORE = """
import json
def init(): pass
def run(raw): return ["leaves" if row["age"] > 40 else "stays" for row in json.loads(raw)]
"""


@pytest.fixture
def volume(target: KubernetesTarget, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A namespace with a claim `kept` on a folder of this machine."""
    from lightkube.models.core_v1 import (
        HostPathVolumeSource,
        ObjectReference,
        PersistentVolumeClaimSpec,
        PersistentVolumeSpec,
        ResourceRequirements,
    )
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace, PersistentVolume, PersistentVolumeClaim

    name, folder = f"tm-cap-{uuid.uuid4().hex[:8]}", tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o777)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    client = target._client
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    size = {"storage": "1Gi"}
    volume = PersistentVolumeSpec(
        capacity=size, accessModes=["ReadWriteMany"], persistentVolumeReclaimPolicy="Retain", storageClassName="",
        hostPath=HostPathVolumeSource(str(folder)), claimRef=ObjectReference(namespace=name, name="kept"),
    )  # fmt: skip
    claim = PersistentVolumeClaimSpec(
        accessModes=["ReadWriteMany"],
        storageClassName="",
        volumeName=name,
        resources=ResourceRequirements(requests=size),
    )
    client.create(PersistentVolume(metadata=ObjectMeta(name=name), spec=volume))
    client.create(PersistentVolumeClaim(metadata=ObjectMeta(name="kept", namespace=name), spec=claim))
    try:
        yield name, folder
    finally:
        client.delete(Namespace, name)  # it was there before the endpoint, which leaves it alone
        client.delete(PersistentVolume, name)


@pytest.mark.timeout(600)
def test_what_pods_are_asked_is_kept_by_version_and_date_and_joined_with_what_was_true(
    tmp_path: Path, registry: str, volume: tuple[str, Path], target: KubernetesTarget
) -> None:
    namespace, folder = volume
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "score.py").write_text(SCORE)
    (tmp_path / "deployment.yml").write_text(DEPLOYMENT)
    (tmp_path / "sample.json").write_text('[{"age": 30, "salary": 7}]')
    (tmp_path / "model.txt").write_text("any")
    stage = Stage(
        target="kubernetes", namespace=namespace, registry=registry, base_image=os.environ["BASE_IMAGE"],
        image_proof="off", start_timeout_s=90, capture={"claim": "kept", "to": "serving", "mask": ["salary"]},
    )  # fmt: skip
    document = Document(name="churn", deployment="deployment.yml", sample_request="sample.json")
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        version = app.registry.register(ModelRequest("churn", tmp_path / "model.txt"))
        job: Any = SimpleNamespace(name="job")
        candidate = Candidate(version, job, ran=True, environment=HOST_ENVIRONMENT)
        said: list[str] = []
        made = deploy_kubernetes(app, Project(document, tmp_path, None), candidate, "production", stage, said.append)
    assert said[-1] == "records arrive at claim kept, folder serving/churn"
    workload = read_workload(made.workload)
    assert workload.recording is not None
    target.bring(workload, workload.recording.place, tmp_path / "brought")
    assert len(join(tmp_path / "brought")) == 1, "the smoke test's"
    key = {"content-type": "application/json", **target.key_headers(workload)}
    for age in (50, 20):
        body = json.dumps([{"age": age, "salary": 900}]).encode()
        headers = {**key, "x-request-id": f"asked-{age}"}
        assert target.request(namespace, "churn", "/score", body=body, headers=headers)[0] == 200
    truth = json.dumps({"request_id": "asked-50", "truth": "stays"}).encode()
    status, words = target.request(namespace, "churn", "/feedback", body=truth, headers=key)
    assert (status, words) == (202, b'{"kept":1}')
    target.take_down(namespace, "churn", timeout_s=60)  # what pods still hold leaves with them

    kept = folder / "serving" / "churn"
    files = [p.relative_to(kept).parts for p in kept.rglob("*.parquet")]
    assert {(kind, version) for kind, version, *_ in files} == {("requests", "version=1"), ("feedback", "version=1")}
    assert all(p[2].startswith("date=") and p[3].startswith("hour=") for p in files)
    assert not list(kept.rglob("*.jsonl"))
    rows = {r["request_id"]: r for r in join(kept) if r["request_id"].startswith("asked")}
    assert [(rows[i]["age"], rows[i]["salary"], rows[i]["prediction"], rows[i]["truth"]) for i in sorted(rows)] == [
        (20, "***", "stays", None),
        (50, "***", "leaves", "stays"),
    ]
