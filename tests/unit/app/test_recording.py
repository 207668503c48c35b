"""What documents and stages say about recording, and where pods send what they record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidemill.app.project import Project
from tidemill.app.recording import capture_arguments, pod_recording, recording_requirements
from tidemill.app.serves import check_recording, elsewhere_variables
from tidemill.app.workloads import read_workload, workload_record
from tidemill.base.errors import UsageError
from tidemill.release.objects import make_objects
from tidemill.release.recording import Recording
from tidemill.release.workload import Workload, find_problems
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

BOTH = {"collections": {"model_inputs": {"enabled": "True"}, "model_outputs": {"enabled": True}}}
COLLECTS = "name: blue\nendpoint_name: churn\nmodel: azureml:churn@latest\ndata_collector: {collections: {model_inputs: {enabled: 'True'}}}\n"
HOURLY = ["--capture-rolling", "hour"]
IMAGE = "127.0.0.1:5000/me/digits@sha256:" + "a" * 64


def document(collector: dict[str, Any] | None = None, **said: Any) -> OnlineDeployment:
    return OnlineDeployment.model_validate({**said, **({"data_collector": collector} if collector else {})})


def pods(collector: dict[str, Any] | None = None, capture: Any = None, **datastores: str) -> Recording | None:
    stage = Stage.model_validate({"target": "kubernetes", "capture": capture})
    return pod_recording(document(collector), stage, "churn", datastores)


def container(recording: Recording | None, **more: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    workload = Workload("churn", "blue-3", "ns", IMAGE, recording=recording, **more)
    found = {o["kind"]: o for o in make_objects(workload)}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    return pod["containers"][0], pod, found["NetworkPolicy"]["spec"]


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        ({"collections": {"model_inputs": {"enabled": "False"}}}, []),
        (BOTH, ["--capture-dir", "/captured", "--capture-rate", "1.0", "--capture-parts", "request,response"]),
        (
            {"collections": {"model_outputs": {"enabled": True}}, "sampling_rate": 0.1, "rolling_rate": "Hour"},
            ["--capture-dir", "/captured", "--capture-rate", "0.1", "--capture-parts", "response", *HOURLY],
        ),
    ],
)
def test_the_data_collector_says_what_is_recorded(collector: dict[str, Any], expected: list[str]) -> None:
    assert capture_arguments(Path("/captured"), document(collector)) == expected


def test_a_local_stage_masks_and_records_where_no_document_speaks_of_it() -> None:
    masked = Stage.model_validate({"capture": {"mask": "salary"}})
    assert capture_arguments(Path("/c"), None, masked)[-2:] == ["--capture-mask", "salary"]
    assert capture_arguments(Path("/c"), document(BOTH), Stage.model_validate({"capture": False})) == []
    assert capture_arguments(Path("/c"), document(), Stage()) == []
    with pytest.raises(UsageError, match="local stage has no destination"):
        capture_arguments(Path("/c"), document(BOTH), Stage.model_validate({"capture": "s3://bucket"}))


def test_a_collection_nobody_fills_is_named() -> None:
    with pytest.raises(UsageError, match="`model_imputs`") as caught:
        capture_arguments(Path("/c"), document({"collections": {"model_imputs": {"enabled": True}}}))
    assert "model_inputs" in caught.value.hint


def test_pods_are_told_all_of_it_and_their_walls_let_the_records_out() -> None:
    capture = {"to": "s3://ml/kept/", "secret": "keys", "mask": ["salary", "age"], "buffer": "1Gi"}
    recording = pods({**BOTH, "sampling_rate": 0.25, "rolling_rate": "hour"}, capture)
    server, pod, walls = container(recording, environment={"AWS_ENDPOINT_URL": "http://minio.store:9000"})
    said = {e["name"].removeprefix("TIDEMILL_CAPTURE_"): e["value"] for e in server["env"]}
    assert {k: said[k] for k in ("DIR", "TO", "RATE", "PARTS", "ROLLING", "MASK")} == {
        "DIR": "/captured", "TO": "s3://ml/kept/churn", "RATE": "0.25", "PARTS": "request,response",
        "ROLLING": "hour", "MASK": "salary,age",
    }  # fmt: skip
    assert int(said["MAX_BYTES"]) < 1 << 30, "room is left for a Parquet file that is being made"
    assert server["envFrom"] == [{"prefix": "TIDEMILL_CAPTURE_SECRET_", "secretRef": {"name": "keys"}}]
    assert server["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "captured", "emptyDir": {"sizeLimit": "1024Mi"}} in pod["volumes"]
    assert [p["port"] for p in walls["egress"][1]["ports"]] == [443, 9000]
    assert pod["terminationGracePeriodSeconds"] == 100


def test_a_claim_is_mounted_and_asks_for_no_way_out() -> None:
    server, pod, walls = container(pods(BOTH, {"claim": "kept", "to": "serving"}))
    said = {e["name"]: e["value"] for e in server["env"]}
    assert said["TIDEMILL_CAPTURE_TO"] == "/records/serving/churn"
    assert {m["mountPath"] for m in server["volumeMounts"]} == {"/tmp", "/captured", "/records"}
    assert {"name": "records", "persistentVolumeClaim": {"claimName": "kept"}} in pod["volumes"]
    assert len(walls["egress"]) == 1


def test_without_recording_nothing_of_it_is_in_the_pod() -> None:
    assert pods() is None
    assert pods(BOTH, "off") is None
    server, pod, _ = container(None)
    assert not any("CAPTURE" in e["name"] for e in server["env"])
    assert [v["name"] for v in pod["volumes"]] == ["tmp"]


def test_a_stage_that_says_where_records_everything_where_no_document_speaks_of_it() -> None:
    recording = pods(None, "s3://ml/kept")
    assert recording is not None
    assert (recording.rate, recording.parts) == (1.0, ("request", "response"))


def test_without_a_destination_it_says_what_to_set() -> None:
    with pytest.raises(UsageError, match="nothing says where pods send them") as caught:
        pods(BOTH)
    assert "capture: s3://" in caught.value.hint
    assert "capture: off" in caught.value.hint


def test_a_datastore_is_a_destination_where_it_is_an_address() -> None:
    path = "azureml://datastores/kept/paths/serving"
    recording = pods(BOTH, path, kept="abfss://c@a.dfs.core.windows.net/x")
    assert recording is not None
    assert recording.to == "abfss://c@a.dfs.core.windows.net/x/serving/churn"
    inputs = {"model_inputs": {"enabled": True, "data": {"name": "in", "path": path}}}
    documented = pods({"collections": inputs}, None, kept="s3://ml")
    assert documented is not None
    assert documented.to == "s3://ml/serving/churn"
    with pytest.raises(UsageError, match="folder of this machine"):
        pods(BOTH, path, kept="./kept")
    with pytest.raises(UsageError, match="nothing says where it is"):
        pods(BOTH, path)


@pytest.mark.parametrize(
    ("capture", "words"),
    [
        ("/mnt/kept", "pods cannot send records to `/mnt/kept"),
        ("https://example.org/kept", "pods cannot send records"),
        ("abfss://c@a.dfs.core.windows.net/x?sv=1&sig=secret", "holds a secret"),
        ({"to": "s3://b", "claim": "kept"}, "not to both"),
        ({"to": "../other", "claim": "kept"}, "leads out of the claim"),
        ({"to": "s3://b", "buffer": "40Mi"}, "at least 64Mi"),
    ],
)
def test_what_could_not_arrive_is_refused_before_anything_is_sent(capture: Any, words: str) -> None:
    problems = find_problems(Workload("churn", "blue-3", "ns", IMAGE, recording=pods(BOTH, capture)))
    assert any(words in p for p in problems), problems
    assert not any("sig=secret" in p for p in problems)


def test_a_release_keeps_how_its_pods_recorded() -> None:
    import json

    workload = Workload("churn", "blue-3", "ns", IMAGE, recording=pods(BOTH, {"claim": "kept", "mask": "a"}))
    assert read_workload(json.loads(json.dumps(workload_record(workload)))) == workload


def test_an_image_gets_what_its_records_need_and_nothing_else() -> None:
    def names(capture: Any) -> set[str]:
        return {r.partition(">")[0] for r in recording_requirements(pods(BOTH, capture))}

    assert names("s3://b") == {"pyarrow", "fsspec", "s3fs"}
    assert names("abfss://c@a.dfs.core.windows.net") == {"pyarrow", "fsspec", "adlfs"}
    assert names({"claim": "kept"}) == {"pyarrow"}
    assert recording_requirements(None) == []


def test_a_stage_that_could_not_record_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "deployment.yml").write_text(COLLECTS)

    def check(**stages: Any) -> None:
        document = Document.model_validate({"name": "churn", "deployment": "deployment.yml", "stages": stages})
        check_recording(Project(document, tmp_path, None), document.stages)

    check(staging={"target": "local"}, production={"target": "kubernetes", "capture": "s3://kept"})
    with pytest.raises(UsageError, match=r"Stage production: .* nothing says where"):
        check(staging={"target": "local"}, production={"target": "kubernetes"})
    with pytest.raises(UsageError, match=r"Stage production cannot record: .*/mnt"):
        check(production={"target": "kubernetes", "capture": "/mnt/kept"})
    with pytest.raises(UsageError, match=r"Stage staging: .*local stage has no destination"):
        check(staging={"capture": "s3://kept"})
    with pytest.raises(UsageError, match="on azureml has no `claim`"):
        check(cloud={"target": "azureml", "capture": {"to": "s3://kept", "secret": "keys"}})


def test_a_server_on_somebody_elses_service_is_told_by_variables(tmp_path: Path) -> None:
    (tmp_path / "deployment.yml").write_text(COLLECTS)
    project = Project(Document(name="churn", deployment="deployment.yml"), tmp_path, None)
    stage = Stage.model_validate(
        {
            "target": "azureml",
            "capture": "abfss://kept@a.dfs.core.windows.net",
            "environment_variables": {"MODE": "fast"},
        }
    )
    said = elsewhere_variables(project, stage)
    assert (said["MODE"], said["TIDEMILL_CAPTURE_DIR"]) == ("fast", "/tmp/captured")
    assert said["TIDEMILL_CAPTURE_TO"] == "abfss://kept@a.dfs.core.windows.net/churn"


def test_headers_are_recorded_where_the_document_names_them_but_never_credentials() -> None:
    named = {**BOTH, "request_logging": {"capture_headers": ["X-User"]}}
    assert capture_arguments(Path("/c"), document(named))[-2:] == ["--capture-headers", "x-user"]
    recording = pods(named, "s3://kept")
    assert recording is not None
    assert recording.variables()["TIDEMILL_CAPTURE_HEADERS"] == "x-user"
    with pytest.raises(UsageError, match="names `authorization`"):
        capture_arguments(Path("/c"), document({**BOTH, "request_logging": {"capture_headers": ["Authorization"]}}))
