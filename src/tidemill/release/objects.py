"""A deployment as Kubernetes objects: built as values, never pasted from text, refused before they can fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.release.frontend import frontend_name, make_frontend
from tidemill.release.labels import (
    DEPLOYMENT_LABEL,
    ENDPOINT_LABEL,
    FRONTEND_LABEL,
    MANAGED,
    REPLICAS_ANNOTATION,
    SERVING_ANNOTATION,
    SETTINGS_ANNOTATION,
)
from tidemill.release.package import COPY_MODEL, MODEL, MODEL_VOLUME
from tidemill.release.routes import Door, Split, canary_ingress, find_route_problems, http_route, route_objects

Object = dict[str, Any]

NODE_PORTS = range(30000, 32768)
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\{\{[^}]*\}\}|<[A-Z_]+>")

# Applied first to last, deleted last to first: a namespace must be there before what lives in it.
APPLY_ORDER = (
    "Namespace", "ServiceAccount", "Secret", "ConfigMap", "NetworkPolicy", "Service", "Deployment",
    "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress", "HTTPRoute",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workload:
    """One version behind an endpoint, in the terms of a cluster."""

    endpoint: str
    deployment: str
    namespace: str
    image: str
    port: int = 8080
    replicas: int = 1
    max_replicas: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    cpu: str = "100m"
    memory: str = "256Mi"
    memory_limit: str = "1Gi"
    cpu_limit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secret: str = ""
    host: str = ""
    route: str = "service"
    ingress_class: str = ""
    gateway: str = ""
    proxy_namespace: str = ""
    node_port: int = 0
    start_timeout_s: int = 60
    token_secret: str = ""
    model_image: str = ""
    frontend_image: str = ""
    frontend_port: int = 8080

    @property
    def name(self) -> str:
        """Name of the Deployment: endpoint and version, so that two versions stand side by side."""
        return f"{self.endpoint}-{self.deployment}"

    @property
    def is_autoscaled(self) -> bool:
        """Whether an autoscaler decides how many pods there are."""
        return self.max_replicas > self.replicas

    @property
    def selector(self) -> dict[str, str]:
        """The labels only this version's pods carry."""
        return {ENDPOINT_LABEL: self.endpoint, DEPLOYMENT_LABEL: self.deployment}

    @property
    def door(self) -> Door:
        """Where requests from outside come in."""
        service = frontend_name(self.endpoint) if self.frontend_image else self.endpoint
        return Door(self.endpoint, self.namespace, service, self.host, self.ingress_class, self.gateway)


def check_workload(workload: Workload) -> None:
    """Refuse what a cluster would refuse late, or worse, accept: `UsageError` with every problem at once."""
    problems = find_problems(workload)
    if problems:
        raise UsageError("This cannot be deployed: " + "; ".join(problems), hint="Nothing was sent to the cluster.")


def find_problems(workload: Workload) -> list[str]:
    """Everything about a workload that would not work, in words."""
    problems = [] if workload.namespace else ["there is no namespace"]
    problems += [
        f"`{value}` cannot be a {what} (lower-case letters, digits and `-`, at most 63)"
        for what, value in (
            ("endpoint name", workload.endpoint),
            ("deployment name", workload.name),
            ("namespace", workload.namespace),
        )
        if value and not _DNS.match(value)
    ]
    texts = {"image": workload.image, "namespace": workload.namespace, "host": workload.host, **workload.environment}
    problems += [
        f"`{key}` still holds `{found.group()}`" for key, text in texts.items() if (found := _PLACEHOLDER.search(text))
    ]
    if not _DIGEST.search(workload.image):
        moving = (
            "`:latest`, which means another image tomorrow"
            if workload.image.endswith(":latest")
            else "a tag or nothing"
        )
        problems.append(f"the image `{workload.image}` is not named by digest but by {moving}")
    if workload.model_image and not _DIGEST.search(workload.model_image):
        problems.append(f"the model's image `{workload.model_image}` is not named by digest")
    if workload.frontend_image and not _DIGEST.search(workload.frontend_image):
        problems.append(f"the frontend's image `{workload.frontend_image}` is not named by digest")
    problems += _port_problems(workload)
    problems += find_route_problems(workload.route, workload.door, frontend=bool(workload.frontend_image))
    if workload.max_replicas and workload.max_replicas < workload.replicas:
        problems.append(f"at most {workload.max_replicas} replicas, but {workload.replicas} asked for")
    return problems


def _port_problems(workload: Workload) -> list[str]:
    """Ports that no request would arrive at."""
    problems = []
    if workload.node_port and workload.node_port not in NODE_PORTS:
        problems.append(f"the node port {workload.node_port} is outside {NODE_PORTS.start}-{NODE_PORTS.stop - 1}")
    for name in ("PORT", "AZUREML_HTTP_PORT"):
        told = workload.environment.get(name)
        if told is not None and told != str(workload.port):
            problems.append(f"`{name}={told}`, but the server's port in the image is {workload.port}")
    return problems


def make_objects(workload: Workload, *, serving: str = "", split: Split | None = None) -> tuple[Object, ...]:
    """Every object of a workload in the order to apply them; the Service selects `serving` (else this version).

    With `split` the route is as in the middle of a release.
    """
    check_workload(workload)
    objects = [
        _namespace(workload),
        _service_account(workload),
        _network_policy(workload),
        service(workload, serving or workload.deployment),
        _deployment(workload),
        _disruption_budget(workload),
    ]
    if workload.is_autoscaled:
        objects.append(_autoscaler(workload))
    if workload.frontend_image:
        place = (workload.endpoint, workload.namespace)
        objects += make_frontend(*place, workload.frontend_image, workload.frontend_port, workload.node_port)
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
    labels = {**MANAGED, ENDPOINT_LABEL: workload.endpoint, **more}
    return {"name": name, "namespace": workload.namespace, "labels": labels}


def _namespace(workload: Workload) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": workload.namespace, "labels": dict(MANAGED)}}


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


def _range(workload: Workload) -> str:
    return f"{workload.replicas}-{workload.max_replicas}" if workload.is_autoscaled else str(workload.replicas)


def read_range(text: str) -> tuple[int, int]:
    """Least and most of a Deployment's annotation: `2-5`, or `2` for both."""
    least, _, most = text.partition("-")
    return int(least), int(most or least)


def _deployment(workload: Workload) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(workload, workload.name, **{DEPLOYMENT_LABEL: workload.deployment})
        | {"annotations": {**workload.annotations, REPLICAS_ANNOTATION: _range(workload)}},
        "spec": {
            **({} if workload.is_autoscaled else {"replicas": workload.replicas}),  # one of the two owns the number
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": workload.start_timeout_s + 30,
            "selector": {"matchLabels": workload.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {**MANAGED, **workload.selector, **workload.labels},
                    # the pods stay where only what is around them changes
                    "annotations": {k: v for k, v in workload.annotations.items() if k != SETTINGS_ANNOTATION},
                },
                "spec": _pod(workload),
            },
        },
    }


def _pod(workload: Workload) -> Object:
    return {
        "serviceAccountName": workload.endpoint,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": workload.selector},
            }
        ],
        **({"initContainers": [_model_container(workload)]} if workload.model_image else {}),
        "containers": [_container(workload)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            *([{"name": "model", "emptyDir": {}}] if workload.model_image else []),
        ],
    }


def _model_container(workload: Workload) -> Object:
    """Copies the model out of its image, which the node fetched and checked by digest: no network, no login in the pod."""
    return {
        "name": "model",
        "image": workload.model_image,
        "command": list(COPY_MODEL),
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": dict(_RESTRICTED),
        "volumeMounts": [{"name": "model", "mountPath": MODEL_VOLUME}],
    }


def _container(workload: Workload) -> Object:
    limits = {"memory": workload.memory_limit} | ({"cpu": workload.cpu_limit} if workload.cpu_limit else {})
    container: Object = {
        "name": "server",
        "image": workload.image,
        "env": [{"name": k, "value": v} for k, v in sorted(_environment(workload).items())],
        "ports": [{"name": "http", "containerPort": workload.port, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": workload.cpu, "memory": workload.memory}, "limits": limits},
        "securityContext": dict(_RESTRICTED),
        "startupProbe": _probe("/readyz", period_s=1, failures=workload.start_timeout_s),
        "readinessProbe": _probe("/readyz", period_s=5, failures=2),
        "livenessProbe": _probe("/healthz", period_s=10, failures=3),
        # endpoints are taken out of rotation a moment after the signal: keep answering until then
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the container
    }
    if workload.model_image:
        container["volumeMounts"].append({"name": "model", "mountPath": MODEL, "readOnly": True})
    if workload.arguments:
        container["args"] = list(workload.arguments)
    return container


def _environment(workload: Workload) -> dict[str, str]:
    """The pod's variables: which deployment it is, for its log, metrics and traces, then what the user says."""
    return {"TIDEMILL_DEPLOYMENT": workload.deployment, **workload.environment}


def _probe(path: str, *, period_s: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _network_policy(workload: Workload) -> Object:
    """The endpoint's pods are reached from their frontend alone if there is one, else from their namespace and ingress controllers; they reach only DNS."""
    ingress_from: list[Object] = [{"podSelector": {}}]
    if workload.frontend_image:
        ingress_from = [{"podSelector": {"matchLabels": {FRONTEND_LABEL: workload.endpoint}}}]
    elif workload.host or workload.node_port:
        ingress_from.append({"namespaceSelector": {"matchLabels": _proxy_labels(workload)}})
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(workload, workload.endpoint),
        "spec": {
            "podSelector": {"matchLabels": {ENDPOINT_LABEL: workload.endpoint}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": ingress_from, "ports": [{"protocol": "TCP", "port": workload.port}]}],
            "egress": [{"ports": dns}],
        },
    }


def _proxy_labels(workload: Workload) -> dict[str, str]:
    """Of the namespace whose pods bring requests from outside."""
    beside = workload.door.gateway_place[0] if workload.route == "gateway" else ""
    name = workload.proxy_namespace or beside
    return {"kubernetes.io/metadata.name": name} if name else {"app.kubernetes.io/name": "ingress-nginx"}


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
            "targetCPUUtilizationPercentage": 70,
        },
    }
