"""A frontend of the project's own stands before the endpoint, and alone reaches it."""

from __future__ import annotations

import pytest
from tests.unit.release.test_objects import workload

from tidemill.base.errors import UsageError
from tidemill.release.objects import make_objects

IMAGE = "ghcr.io/me/web@sha256:" + "f" * 64


def test_only_the_frontend_reaches_the_endpoint_and_only_it_is_seen_from_outside() -> None:
    objects = {
        (o["kind"], o["metadata"]["name"]): o
        for o in make_objects(workload(frontend_image=IMAGE, host="digits.example.org", node_port=30080))
    }
    (rule,) = objects["NetworkPolicy", "digits"]["spec"]["ingress"]
    (sender,) = rule["from"]
    pod = objects["Deployment", "digits-frontend"]["spec"]["template"]
    assert sender["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert objects["Service", "digits"]["spec"]["type"] == "ClusterIP"
    assert objects["Service", "digits-frontend"]["spec"]["ports"][0]["nodePort"] == 30080
    (path,) = objects["Ingress", "digits"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == "digits-frontend"


def test_the_frontend_is_no_version_of_the_endpoint() -> None:
    selector = next(
        o["spec"]["selector"]
        for o in make_objects(workload(frontend_image=IMAGE))
        if o["kind"] == "Service" and o["metadata"]["name"] == "digits"
    )
    pods = [
        o["spec"]["template"]["metadata"]["labels"]
        for o in make_objects(workload(frontend_image=IMAGE))
        if o["kind"] == "Deployment"
    ]
    assert sum(selector.items() <= labels.items() for labels in pods) == 1


def test_its_image_is_named_by_digest_too() -> None:
    with pytest.raises(UsageError, match="frontend's image"):
        make_objects(workload(frontend_image="ghcr.io/me/web:latest"))


def test_it_is_held_to_the_standard_of_the_endpoint() -> None:
    made = make_objects(workload(frontend_image=IMAGE, replicas=3, pull_secret="ghcr"))
    objects = {(o["kind"], o["metadata"]["name"]): o for o in made}
    api, page = (objects["Deployment", n]["spec"] for n in ("digits-v3", "digits-frontend"))
    assert (page["replicas"], page["progressDeadlineSeconds"]) == (3, api["progressDeadlineSeconds"])
    pod = page["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "ghcr"}]
    (spread,) = pod["topologySpreadConstraints"]
    labels = page["template"]["metadata"]["labels"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    budget = objects["PodDisruptionBudget", "digits-frontend"]["spec"]
    assert budget["selector"] == page["selector"]
    (container,) = pod["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    alone = make_objects(workload(frontend_image=IMAGE, replicas=3, frontend_replicas=1))
    assert [o["spec"]["replicas"] for o in alone if o["kind"] == "Deployment"] == [3, 1]
