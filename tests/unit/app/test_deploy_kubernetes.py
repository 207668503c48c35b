"""What a second `up` changes in a cluster: nothing, what is around the pods, or the pods, beside the old ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed
from tidemill.app.deploy_kubernetes import deploy_kubernetes
from tidemill.app.images import Images
from tidemill.app.project import Project
from tidemill.app.settings import Settings
from tidemill.app.shift_kubernetes import usual_pods
from tidemill.app.wiring import App, open_app
from tidemill.app.workloads import read_workload
from tidemill.backends.targets.kubernetes import VersionState
from tidemill.base.errors import FailedError, UsageError
from tidemill.plan.graph import EnvironmentRef
from tidemill.record.ports import ModelRequest
from tidemill.release.labels import REPLICAS_ANNOTATION
from tidemill.release.objects import make_objects
from tidemill.release.pod_counts import PodCounts
from tidemill.release.routes import Split
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DOCUMENT = """
name: blue
endpoint_name: digits
instance_count: 2
environment_variables: {MODE: fast}
resources: {requests: {cpu: 200m, memory: 300Mi}, limits: {memory: 500Mi}}
"""
FRONTEND = "127.0.0.1:5000/me/page@sha256:" + "f" * 64


class Up:
    """`deploy_kubernetes` of one model onto a cluster in memory, with other documents each time."""

    def __init__(self, app: App, folder: Path, cluster: FakeCluster) -> None:
        self.app, self.folder, self.cluster, self.image = app, folder, cluster, "1"
        self.said: list[str] = []
        (folder / "model").mkdir()
        (folder / "model" / "w.txt").write_text("one")
        version = app.registry.register(ModelRequest("digits", folder / "model"))
        job: Any = SimpleNamespace(name="job")
        self.candidate = Candidate(version, job, ran=True, environment=cast("EnvironmentRef", None))

    def __call__(self, document: str = DOCUMENT, **stage: Any) -> Deployed:
        (self.folder / "deployment.yml").write_text(document)
        project = Project(Document(name="digits", deployment="deployment.yml"), self.folder, None)
        wishes = Stage(**{"target": "kubernetes", "namespace": "ns", "registry": "127.0.0.1:5000", **stage})
        return deploy_kubernetes(self.app, project, self.candidate, "production", wishes, self.said.append)


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    cluster = FakeCluster()
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        made = Up(app, tmp_path, cluster)
        monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": cluster)
        monkeypatch.setattr(
            "tidemill.app.deploy_kubernetes.build_images", lambda *_: Images(f"r/digits@sha256:{made.image * 64}")
        )
        yield made


def test_the_document_says_how_many_pods_with_what_and_the_stage_has_the_last_word(up: Up) -> None:
    up()
    (made,) = up.cluster.there.values()
    assert (made.replicas, made.environment, made.cpu, made.memory, made.memory_limit) == (
        2, {"MODE": "fast"}, "200m", "300Mi", "500Mi",
    )  # fmt: skip
    up(replicas=3, environment_variables={"MODE": "slow"}, memory="1Gi")
    (made,) = up.cluster.there.values()
    assert (made.replicas, made.environment, made.memory_limit) == (3, {"MODE": "slow"}, "1Gi")


def test_the_same_again_changes_nothing(up: Up) -> None:
    assert up().changed
    up.cluster.did.clear()
    assert not up().changed
    assert up.cluster.did == []


@pytest.mark.parametrize(
    "stage", [{"replicas": 4}, {"max_replicas": 6}, {"frontend_image": FRONTEND}, {"ingress_host": "d.example.org"}]
)
def test_what_is_around_the_pods_changes_and_they_stay(up: Up, stage: dict[str, Any]) -> None:
    up()
    up.cluster.did.clear()
    found = up(**stage)
    assert (found.changed, found.deployment) == (True, "blue-1")
    assert up.cluster.did == ["apply blue-1", "prune"]
    assert not up(**stage).changed


@pytest.mark.parametrize(
    "document",
    [DOCUMENT.replace("fast", "slow"), DOCUMENT.replace("200m", "250m"), DOCUMENT.replace("500Mi", "600Mi")],
)
def test_other_variables_or_resources_come_beside_the_old_and_the_old_goes(up: Up, document: str) -> None:
    up()
    found = up(document)
    assert found.changed
    assert found.deployment.startswith("blue-1-")
    assert list(up.cluster.there) == [found.deployment]
    assert up.cluster.selected == found.deployment
    assert not up(document).changed
    assert up().deployment == "blue-1", "back to the first settings"


def test_an_endpoint_on_a_cluster_asks_for_a_key_unless_told(up: Up) -> None:
    assert up().changed
    (made,) = up.cluster.there.values()
    assert made.token_secret == "digits-keys"
    assert up(auth="none").changed, "pods that let everybody in come beside those that do not"
    (made,) = up.cluster.there.values()
    assert made.token_secret == ""


def test_a_version_that_answers_without_the_key_gets_no_traffic(up: Up) -> None:
    up()
    up.cluster.knows_no_keys = True
    with pytest.raises(FailedError, match="without the endpoint's key"):
        up(DOCUMENT.replace("fast", "slow"))
    assert up.cluster.selected == "blue-1"
    assert list(up.cluster.there) == ["blue-1"]


PROBED = (
    DOCUMENT
    + """
liveness_probe: {initial_delay: 10, period: 20, timeout: 2, failure_threshold: 30}
readiness_probe: {period: 15, success_threshold: 2}
scale_settings: {type: target_utilization, min_instances: 1, max_instances: 3, target_utilization_percentage: 55}
"""
).replace("limits: {", "limits: {nvidia.com/gpu: 1, ")


def test_probes_devices_and_the_load_an_autoscaler_aims_at_are_the_documents(up: Up) -> None:
    up(PROBED)
    objects = {o["kind"]: o for o in make_objects(next(iter(up.cluster.there.values())))}
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"] == {
        "httpGet": {"path": "/healthz", "port": "http"},
        "initialDelaySeconds": 10, "periodSeconds": 20, "timeoutSeconds": 2, "failureThreshold": 30,
    }  # fmt: skip
    ready = container["readinessProbe"]
    assert (ready["periodSeconds"], ready["successThreshold"], ready["failureThreshold"]) == (15, 2, 2)
    assert container["resources"] == {
        "requests": {"cpu": "200m", "memory": "300Mi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "500Mi", "nvidia.com/gpu": "1"},
    }
    assert objects["HorizontalPodAutoscaler"]["spec"]["targetCPUUtilizationPercentage"] == 55


def test_what_is_only_allowed_is_asked_for_too(up: Up) -> None:
    up(
        DOCUMENT.replace(
            "requests: {cpu: 200m, memory: 300Mi}, limits: {memory: 500Mi}", "limits: {cpu: 50m, memory: 100Mi}"
        )
    )
    (made,) = up.cluster.there.values()
    assert (made.cpu, made.cpu_limit, made.memory, made.memory_limit) == ("50m", "50m", "100Mi", "100Mi")


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("liveness_probe: {success_threshold: 2}", "success_threshold must be 1"),
        ("readiness_probe: {path: /health}", "answers at /readyz, not at /health"),
        ("readiness_probe: {port: 9000}", "listens on 8080, not 9000"),
        ("readiness_probe: {scheme: https}", "speaks http"),
        ("startup_probe: {method: POST}", "asks by GET"),
    ],
)
def test_a_probe_no_pod_can_have_is_refused_before_anything_is_sent(up: Up, probe: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        up(DOCUMENT + probe)
    assert not up.cluster.there


def test_without_a_namespace_nothing_is_sent(up: Up) -> None:
    with pytest.raises(UsageError, match="no namespace"):
        up(namespace=None)


def test_another_image_comes_beside_the_old(up: Up) -> None:
    up()
    up.image = "2"
    assert not up().changed, "nothing of the project changed"
    assert up(environment_variables={"MODE": "x"}).image.endswith("2")


def test_settings_that_cannot_run_leave_what_served(up: Up) -> None:
    up()
    up.image = "2"
    up.cluster.broken = {f"r/digits@sha256:{'2' * 64}"}
    with pytest.raises(FailedError):
        up(DOCUMENT.replace("fast", "slow"))
    assert list(up.cluster.there) == ["blue-1"]
    up.image = "1"
    with pytest.raises(FailedError):
        up(replicas=11)
    assert up.cluster.pods == {"blue-1": 2}
    assert up().changed, "the settings that failed are taken back"
    assert not up().changed


def test_a_canary_that_was_killed_and_is_not_wished_any_more_is_put_right(up: Up) -> None:
    up()
    old = up.cluster.there["blue-1"]
    up.cluster.pods["blue-1"] = 5
    up.cluster.share(old, "blue-1")
    assert up().changed
    assert (up.cluster.pods, up.cluster.shared) == ({"blue-1": 2}, False)


BY_WEIGHT: dict[str, Any] = {
    "route": {"kind": "ingress", "host": "d.example.org"},
    "strategy": "canary",
    "steps": [10, 50],
}


def test_a_canary_along_an_ingress_moves_by_weight_and_ends_with_a_plain_route(up: Up) -> None:
    up(**BY_WEIGHT)
    up.image = "2"
    up.cluster.did.clear()
    found = up(DOCUMENT.replace("fast", "slow"), **BY_WEIGHT)
    name = found.deployment
    assert up.cluster.did == [f"apply {name}", "weight 10", "weight 50", f"switch {name}", "settle", "prune"]
    assert up.cluster.pods == {name: 2}, "the shares took no pods"


def test_requests_are_mirrored_before_any_is_answered_by_the_new_version(up: Up) -> None:
    stage = {**BY_WEIGHT, "route": {**BY_WEIGHT["route"], "mirror": True}, "strategy": "blue-green", "bake_s": 0.01}
    up(**stage)
    up.image = "2"
    up.cluster.did.clear()
    found = up(DOCUMENT.replace("fast", "slow"), **stage)
    assert up.cluster.did[1:4] == ["mirror", f"switch {found.deployment}", "settle"]
    assert "gets a copy of every request along the ingress, watched for 0.01 s" in found.evidence


def test_where_nothing_weighs_the_shares_are_made_by_pods(up: Up) -> None:
    up.cluster.gap = "no IngressClass is named and the cluster has no default one"
    up(**BY_WEIGHT)
    up.image = "2"
    up.cluster.did.clear()
    found = up(DOCUMENT.replace("fast", "slow"), **BY_WEIGHT)
    assert up.cluster.did.count(f"share {found.deployment}") == 2
    assert not [d for d in up.cluster.did if d.startswith("weight")]


def test_a_weighted_canary_that_was_killed_is_put_right_by_the_next_up(up: Up) -> None:
    up(**BY_WEIGHT)
    up.cluster.split = Split("digits-blue-2", 10)
    assert up(**BY_WEIGHT).changed
    assert up.cluster.split is None
    assert not up(**BY_WEIGHT).changed


def test_a_route_the_cluster_cannot_have_stops_before_an_image_is_built(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.app.deploy_kubernetes.build_images", lambda *_: pytest.fail("an image was built"))
    up.cluster.refuses = "The cluster does not know the Gateway API: it has no HTTPRoute"
    with pytest.raises(UsageError, match="no HTTPRoute"):
        up(route={"kind": "gateway", "host": "d.example.org", "gateway": "public"})
    assert up.cluster.did == []


def test_a_rollback_finds_the_route_in_what_the_release_kept(up: Up) -> None:
    kept = up(**BY_WEIGHT).workload
    assert read_workload(kept).door == up.cluster.there["blue-1"].door


def test_a_version_takes_over_with_as_many_pods_as_load_has_given_the_old_one(up: Up) -> None:
    wishes: dict[str, Any] = {"max_replicas": 6, "strategy": "canary", "steps": [50]}
    up(**wishes)
    up.cluster.pods["blue-1"] = 4  # its autoscaler's doing
    assert not up(**wishes).changed
    up.image = "2"
    name = up(DOCUMENT.replace("fast", "slow"), **wishes).deployment
    assert up.cluster.pods == {name: 4}
    assert f"digits-{name}" not in up.cluster.held, "and the number is the autoscaler's again"


@pytest.mark.parametrize(
    ("told", "there", "expected"), [("2", 5, 2), ("2", 1, 2), ("2-6", 4, 4), ("2-6", 9, 6), ("", 3, 3), ("", 0, 1)]
)
def test_pods_that_a_killed_canary_added_are_not_taken_for_the_usual_number(
    told: str, there: int, expected: int
) -> None:
    about = {REPLICAS_ANNOTATION: told} if told else {}
    assert usual_pods(VersionState("blue-1", "i", there, there, serving=True, annotations=about)) == expected


def test_what_serves_already_is_told_with_the_images_it_runs_so_that_a_rollback_can_bring_it_back(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Images(f"r/server@sha256:{'5' * 64}", f"r/digits@sha256:{'6' * 64}", ("--model", "/model"))
    monkeypatch.setattr("tidemill.app.deploy_kubernetes.build_images", lambda *_: images)
    first, again = up(), up()
    assert (first.changed, again.changed) == (True, False)
    assert (again.image, again.model_image, again.arguments) == (images.server, images.model, images.arguments)
    assert again.workload == first.workload


def test_what_cannot_be_deployed_is_said_all_at_once_with_the_stage_and_the_file(up: Up) -> None:
    with pytest.raises(UsageError, match="Stage production cannot be deployed:") as refused:
        up(namespace="${NS}", ingress_host="<HOST>")
    assert "`namespace` still holds `${NS}`" in refused.value.message
    assert "`host` still holds `<HOST>`" in refused.value.message
    assert "stages.production" in refused.value.hint
    assert not up.cluster.did


COLLECTS = DOCUMENT + "data_collector: {collections: {model_inputs: {enabled: 'True'}}}\n"


def test_where_nothing_says_where_records_go_nothing_is_built(up: Up) -> None:
    with pytest.raises(UsageError, match="nothing says where pods send them"):
        up(COLLECTS)
    assert (up.cluster.did, up.said) == ([], [])


def test_whether_records_arrive_is_said_while_somebody_is_looking(up: Up) -> None:
    up(COLLECTS, capture="s3://ml/kept")
    assert up.said[-1] == "records arrive at s3://ml/kept/digits"
    up.cluster.records = PodCounts(unsent=2)
    up.cluster.words = "WARNING records do not reach s3://ml/lost/digits, they wait here: Forbidden"
    up(COLLECTS, capture="s3://ml/lost")
    assert up.said[-1].startswith("warning: records of blue-1")
    assert up.said[-1].endswith("do not arrive at s3://ml/lost/digits: Forbidden")
    assert len(up.cluster.there) == 1, "recording is no reason to go back"
