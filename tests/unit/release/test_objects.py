"""Kubernetes objects and their files."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from tests.unit.release.helm import fill, without_empty

from tidemill.base.errors import UsageError
from tidemill.release.labels import REPLICAS_ANNOTATION
from tidemill.release.objects import APPLY_ORDER, make_objects
from tidemill.release.render import render
from tidemill.release.workload import Workload, read_range

IMAGE = "127.0.0.1:5000/me/digits@sha256:" + "a" * 64


def workload(**changes: Any) -> Workload:
    return Workload(**({"endpoint": "digits", "deployment": "v3", "namespace": "mlops-ns", "image": IMAGE} | changes))


def by_kind(item: Workload) -> dict[str, dict[str, Any]]:
    return {o["kind"]: o for o in make_objects(item)}


def test_the_namespace_comes_before_everything_that_lives_in_it() -> None:
    kinds = [o["kind"] for o in make_objects(workload(host="digits.example.org", max_replicas=3))]
    assert kinds[0] == "Namespace"
    assert kinds == sorted(kinds, key=APPLY_ORDER.index)


def test_the_service_reaches_the_port_the_container_opens() -> None:
    objects = by_kind(workload(port=9000))
    (port,) = objects["Service"]["spec"]["ports"]
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert port["targetPort"] in {p["name"] for p in container["ports"]}
    assert container["readinessProbe"]["httpGet"]["port"] == port["targetPort"]


def test_a_pod_knows_which_deployment_it_is_for_its_log_metrics_and_traces() -> None:
    (container,) = by_kind(workload(environment={"MODE": "fast"}))["Deployment"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert {e["name"]: e["value"] for e in container["env"]} == {"MODE": "fast", "TIDEMILL_DEPLOYMENT": "v3"}


@pytest.mark.parametrize(
    ("arguments", "seconds"), [((), 70), (("--timeout", "2.0"), 40), (("--max-queue", "4", "--timeout", "120"), 130)]
)
def test_a_pod_that_ends_has_as_long_as_its_last_request_may_take(arguments: tuple[str, ...], seconds: int) -> None:
    pod = by_kind(workload(arguments=arguments))["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds


def test_the_service_selects_the_version_that_serves_not_the_one_being_started() -> None:
    objects = {o["kind"]: o for o in make_objects(workload(deployment="v4"), serving="v3")}
    assert objects["Service"]["spec"]["selector"]["tidemill.dev/deployment"] == "v3"
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"]["tidemill.dev/deployment"] == "v4"


def test_a_pod_runs_without_root_without_rights_and_cannot_write_its_image() -> None:
    pod = by_kind(workload())["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "ghcr.io/me/digits:latest"}, "not named by digest"),
        ({"image": "ghcr.io/${OWNER}/digits@sha256:" + "a" * 64}, r"\$\{OWNER\}"),
        ({"namespace": "MLOps"}, "cannot be a namespace"),
        ({"replicas": 3, "max_replicas": 2}, "at most 2"),
    ],
)
def test_what_a_cluster_would_refuse_late_is_refused_before_anything_is_sent(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_objects(workload(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "digits.example.org", "max_replicas": 4},
        {"host": "digits.example.org", "route": "ingress", "ingress_class": "nginx"},
        {"host": "digits.example.org", "route": "gateway", "gateway": "infra/public", "frontend_image": ""},
        {"model_image": "127.0.0.1:5000/me/model@sha256:" + "b" * 64, "frontend_image": IMAGE},
    ],
)
def test_every_style_holds_the_same_objects(changes: dict[str, Any]) -> None:
    objects = make_objects(workload(**changes))
    plain = list(yaml.safe_load_all(render(objects, style="yaml", name="digits", version="3")["digits.yaml"]))
    assert plain == list(objects)
    base = render(objects, style="kustomize", name="digits", version="3")
    listed = yaml.safe_load(base["kustomization.yaml"])["resources"]
    assert [yaml.safe_load(base[name]) for name in listed] == list(objects)
    chart = render(objects, style="helm", name="digits", version="3")
    values = yaml.safe_load(chart["values.yaml"])
    filled = [
        without_empty(yaml.safe_load(fill(t, values))) for n, t in chart.items() if re.match(r"templates/.*yaml", n)
    ]
    assert filled == [without_empty(o) for o in objects if o["kind"] != "Namespace"]


def test_a_model_beside_its_server_is_copied_in_before_it_starts() -> None:
    model = "127.0.0.1:5000/me/digits-model@sha256:" + "b" * 64
    pod = by_kind(workload(model_image=model, arguments=("--name", "digits")))["Deployment"]["spec"]["template"]["spec"]
    (first,) = pod["initContainers"]
    (server,) = pod["containers"]
    assert first["image"] == model
    assert first["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {m["name"]: m for m in server["volumeMounts"]}
    assert mounts["model"]["readOnly"] is True
    assert first["command"][2].startswith(mounts["model"]["mountPath"])
    assert server["args"] == ["--name", "digits"]
    with pytest.raises(UsageError, match="model's image"):
        make_objects(workload(model_image="digits-model:3"))


def test_the_number_of_pods_is_named_by_the_deployment_or_left_to_the_autoscaler_never_both() -> None:
    fixed, scaled = by_kind(workload(replicas=2)), by_kind(workload(replicas=2, max_replicas=5))
    assert (fixed["Deployment"]["spec"]["replicas"], "HorizontalPodAutoscaler" in fixed) == (2, False)
    assert "replicas" not in scaled["Deployment"]["spec"]
    spec = scaled["HorizontalPodAutoscaler"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    told = [o["Deployment"]["metadata"]["annotations"][REPLICAS_ANNOTATION] for o in (fixed, scaled)]
    assert [read_range(t) for t in told] == [(2, 2), (2, 5)]
