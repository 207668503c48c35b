"""A workload as Kubernetes objects, in the order they are applied: built as values, never pasted from text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tidemill.release.frontend import make_frontend
from tidemill.release.labels import (
    DEPLOYMENT_LABEL,
    ENDPOINT_LABEL,
    MANAGED,
    REPLICAS_ANNOTATION,
    RESTRICTED_PODS,
    SERVING_ANNOTATION,
    SETTINGS_ANNOTATION,
    app_labels,
)
from tidemill.release.pods import make_pod
from tidemill.release.routes import Split, canary_ingress, http_route, route_objects
from tidemill.release.walls import network_policy
from tidemill.release.workload import Workload, check_workload, write_range

Object = dict[str, Any]
COMPONENT = "model-server"

# Applied first to last, deleted last to first: a namespace must be there before what lives in it.
APPLY_ORDER = (
    "Namespace", "ServiceAccount", "Secret", "ConfigMap", "NetworkPolicy", "Service", "Deployment",
    "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress", "HTTPRoute",
)  # fmt: skip


def make_objects(workload: Workload, *, serving: str = "", split: Split | None = None) -> tuple[Object, ...]:
    """Every object of a workload in the order to apply them; the Service selects `serving` (else this version).

    With `split` the route is as in the middle of a release.
    """
    check_workload(workload)
    objects = [
        _namespace(workload),
        _service_account(workload),
        network_policy(workload, _meta(workload, workload.endpoint)),
        service(workload, serving or workload.deployment),
        _deployment(workload),
        _disruption_budget(workload),
    ]
    if workload.is_autoscaled:
        objects.append(_autoscaler(workload))
    if workload.frontend_image:
        objects += make_frontend(workload)
    if workload.route != "service":
        objects.append(version_service(workload))
    objects += route_objects(workload.route, workload.door, split)
    return tuple(sorted(objects, key=lambda o: APPLY_ORDER.index(o["kind"])))


def everything_around(workload: Workload) -> tuple[Object, ...]:
    """All that may stand around an endpoint beside its own version and Service, wished or not; last applied first."""
    most = replace(workload, route="service", host="host", max_replicas=workload.replicas + 1)
    most = replace(most, frontend_image=workload.frontend_image or workload.image)
    door = replace(workload.door, host="host", gateway="any")
    routes = (http_route(door), canary_ingress(door, Split(workload.name)))
    return (*routes, version_service(workload), *reversed(make_objects(most)))


def _meta(workload: Workload, name: str, **more: str) -> Object:
    labels = {**MANAGED, **app_labels(workload.endpoint, COMPONENT), ENDPOINT_LABEL: workload.endpoint, **more}
    return {"name": name, "namespace": workload.namespace, "labels": labels}


def _namespace(workload: Workload) -> Object:
    labels = {**MANAGED, **RESTRICTED_PODS}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": workload.namespace, "labels": labels}}


def _service_account(workload: Workload) -> Object:
    secrets = [{"name": workload.pull_secret}] if workload.pull_secret else []
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta(workload, workload.endpoint),
        "automountServiceAccountToken": False,  # a model server never talks to the API
        "imagePullSecrets": secrets,
    }


def service(workload: Workload, serving: str) -> Object:
    """The stable address; moving its selector is the switch from one version to another."""
    port: Object = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    open_port = 0 if workload.frontend_image else workload.node_port
    if open_port:
        port["nodePort"] = open_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(workload, workload.endpoint),
        "spec": {
            "type": "NodePort" if open_port else "ClusterIP",
            "selector": {ENDPOINT_LABEL: workload.endpoint, DEPLOYMENT_LABEL: serving},
            "ports": [port],
        },
    }


def shared_service(workload: Workload, serving: str) -> Object:
    """The stable address over every version's pods for as long as traffic moves; remembers which one is the proven one."""
    item = service(workload, serving)
    item["metadata"]["annotations"] = {SERVING_ANNOTATION: serving}
    item["spec"]["selector"] = {ENDPOINT_LABEL: workload.endpoint}
    return item


def version_service(workload: Workload) -> Object:
    """An address of this version alone, for a route that gives it a share."""
    item = service(replace(workload, node_port=0), workload.deployment)
    item["metadata"] = _meta(workload, workload.name, **{DEPLOYMENT_LABEL: workload.deployment})
    return item


def _deployment(workload: Workload) -> Object:
    labels = app_labels(workload.endpoint, COMPONENT, workload.version)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(workload, workload.name, **labels, **{DEPLOYMENT_LABEL: workload.deployment})
        | {"annotations": {**workload.annotations, REPLICAS_ANNOTATION: write_range(workload)}},
        "spec": {
            **({} if workload.is_autoscaled else {"replicas": workload.replicas}),  # one of the two owns the number
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": workload.start_timeout_s + 30,
            "selector": {"matchLabels": workload.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {**MANAGED, **labels, **workload.selector, **workload.labels},
                    # the pods stay where only what is around them changes
                    "annotations": {k: v for k, v in workload.annotations.items() if k != SETTINGS_ANNOTATION},
                },
                "spec": make_pod(workload),
            },
        },
    }


def _disruption_budget(workload: Workload) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(workload, workload.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": workload.selector}},
    }


def _autoscaler(workload: Workload) -> Object:
    return {
        "apiVersion": "autoscaling/v1",  # the only version every Kubernetes since 1.20 has
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(workload, workload.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name},
            "minReplicas": workload.replicas,
            "maxReplicas": workload.max_replicas,
            "targetCPUUtilizationPercentage": workload.busy_percent,
        },
    }
