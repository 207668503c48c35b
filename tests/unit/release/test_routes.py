"""Routes from outside: what divides requests between two versions, in the words of Ingress and of Gateway API."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.unit.release.helm import fill, without_empty

from tidemill.base.errors import UsageError
from tidemill.release.objects import make_objects
from tidemill.release.render import render
from tidemill.release.routes import Split, is_settled, judge_route, route_objects
from tidemill.release.workload import Workload

IMAGE = "127.0.0.1:5000/me/digits@sha256:" + "a" * 64
HOST = "digits.example.org"


def workload(**changes: Any) -> Workload:
    about = {"endpoint": "digits", "deployment": "v3", "namespace": "mlops-ns", "image": IMAGE, "host": HOST}
    return Workload(**(about | changes))


def named(item: Workload) -> dict[tuple[str, str], dict[str, Any]]:
    return {(o["kind"], o["metadata"]["name"]): o for o in make_objects(item)}


BY_GATEWAY = {"route": "gateway", "gateway": "infra/public"}


def test_without_a_route_the_objects_are_those_of_before() -> None:
    objects = named(workload())
    assert ("Ingress", "digits") in objects
    assert ("Service", "digits-v3") not in objects
    assert "ingressClassName" not in objects["Ingress", "digits"]["spec"]


def test_a_version_that_gets_a_share_has_an_address_of_its_own() -> None:
    objects = named(workload(route="ingress", ingress_class="nginx", node_port=30080))
    own = objects["Service", "digits-v3"]["spec"]
    assert own["selector"]["tidemill.dev/deployment"] == "v3"
    assert own["type"] == "ClusterIP", "a node port can be had once"
    assert objects["Ingress", "digits"]["spec"]["ingressClassName"] == "nginx"


def test_a_canary_is_a_second_ingress_with_the_same_host_path_and_class() -> None:
    door = workload(route="ingress", ingress_class="nginx").door
    main, canary = route_objects("ingress", door, Split("digits-v4", 10))
    assert canary["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/canary-weight": "10",
    }
    (rule,) = canary["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == "digits-v4"
    backends = [i["spec"]["rules"][0]["http"]["paths"][0].pop("backend") for i in (main, canary)]
    assert backends[0] != backends[1]
    assert main["spec"] == canary["spec"]


def test_a_mirror_by_ingress_is_an_annotation_of_the_main_one() -> None:
    (main,) = route_objects("ingress", workload(route="ingress").door, Split("digits-v4", mirror=True))
    about = main["metadata"]["annotations"]
    assert about["nginx.ingress.kubernetes.io/mirror-target"] == (
        "http://digits-v4.mlops-ns.svc.cluster.local$request_uri"
    )
    assert about["nginx.ingress.kubernetes.io/mirror-host"] == "digits-v4.mlops-ns.svc.cluster.local"


def test_a_gateway_route_leads_to_the_service_and_a_split_gives_weights_that_sum_to_100() -> None:
    plain = named(workload(**BY_GATEWAY))["HTTPRoute", "digits"]
    assert plain["apiVersion"] == "gateway.networking.k8s.io/v1"
    (parent,) = plain["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"]) == ("infra", "public")
    assert [(b["name"], b["weight"]) for b in plain["spec"]["rules"][0]["backendRefs"]] == [("digits", 100)]
    (split,) = route_objects("gateway", workload(**BY_GATEWAY).door, Split("digits-v4", 25))
    backends = split["spec"]["rules"][0]["backendRefs"]
    assert [(b["name"], b["weight"]) for b in backends] == [("digits", 75), ("digits-v4", 25)]


def test_a_mirror_by_gateway_keeps_all_answers_from_what_serves() -> None:
    (item,) = route_objects("gateway", workload(**BY_GATEWAY).door, Split("digits-v4", mirror=True))
    (rule,) = item["spec"]["rules"]
    assert [(b["name"], b["weight"]) for b in rule["backendRefs"]] == [("digits", 100)]
    (copy,) = rule["filters"]
    assert copy["type"] == "RequestMirror"
    assert copy["requestMirror"]["backendRef"]["name"] == "digits-v4"


def test_only_a_plain_route_is_settled() -> None:
    door = workload().door
    for kind in ("ingress", "gateway"):
        assert is_settled(list(route_objects(kind, door)))
        for split in (Split("digits-v4", 10), Split("digits-v4", mirror=True)):
            assert not is_settled(list(route_objects(kind, door, split)))


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"route": "ingress"}, {"app.kubernetes.io/name": "ingress-nginx"}),
        (BY_GATEWAY, {"kubernetes.io/metadata.name": "infra"}),
        ({**BY_GATEWAY, "proxy_namespace": "envoy"}, {"kubernetes.io/metadata.name": "envoy"}),
    ],
)
def test_the_walls_let_in_the_proxy_that_brings_the_requests(changes: dict[str, str], label: dict[str, str]) -> None:
    walls = named(workload(**changes))["NetworkPolicy", "digits"]["spec"]
    assert {"namespaceSelector": {"matchLabels": label}} in walls["ingress"][0]["from"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"route": "ingress", "host": ""}, "needs a `host`"),
        ({"route": "gateway"}, "needs the name of the `gateway`"),
        ({"route": "gateway", "gateway": "infra/"}, "needs the name of the `gateway`"),
        ({"host": "http://digits.example.org"}, "is no host name"),
        ({"route": "ingress", "frontend_image": IMAGE}, "would reach the frontend"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused_before_anything_is_sent(changes: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_objects(workload(**changes))


@pytest.mark.parametrize("changes", [{"route": "ingress"}, BY_GATEWAY])
def test_kustomize_and_a_chart_hold_the_route_of_the_plain_yaml(changes: dict[str, str]) -> None:
    objects = make_objects(workload(**changes))
    kind = "httproute" if changes["route"] == "gateway" else "ingress"
    base = render(objects, style="kustomize", name="digits", version="3")
    chart = render(objects, style="helm", name="digits", version="3")
    values = yaml.safe_load(chart["values.yaml"])
    for name in (f"{kind}-digits.yaml", "service-digits-v3.yaml"):
        made = yaml.safe_load(fill(chart[f"templates/{name}"], values))
        assert without_empty(made) == without_empty(yaml.safe_load(base[name]))


@pytest.mark.parametrize(
    ("conditions", "heard", "wrong"),
    [
        ([], False, ""),
        ([{"type": "Accepted", "status": "True", "observedGeneration": 2}], True, ""),
        ([{"type": "Accepted", "status": "False", "observedGeneration": 1, "reason": "Old"}], False, ""),
        (
            [
                {"type": "Accepted", "status": "True", "observedGeneration": 2},
                {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "no digits-v4"},
            ],
            True,
            "BackendNotFound: no digits-v4",
        ),
    ],
)
def test_what_a_controller_says_counts_when_it_is_about_the_route_as_it_now_is(
    conditions: list[dict[str, Any]], heard: bool, wrong: str
) -> None:
    (item,) = route_objects("gateway", workload(**BY_GATEWAY).door)
    item["metadata"]["generation"] = 2
    item["status"] = {"parents": [{"conditions": conditions}]} if conditions else {}
    assert judge_route(item) == (heard, wrong)
