"""A frontend of the project's own before an endpoint: its pods by the endpoint's standard, its Service, and the walls between the two."""

from __future__ import annotations

from typing import Any

from tidemill.release.labels import ENDPOINT_LABEL, FRONTEND_LABEL, MANAGED, PRIMARY_KEY, app_labels
from tidemill.release.pods import NO_RIGHTS, keep_spread
from tidemill.release.workload import Workload

Object = dict[str, Any]
FRONTEND_MEMORY = "256Mi"


def make_frontend(workload: Workload) -> tuple[Object, ...]:
    """Deployment, Service, NetworkPolicy and disruption budget; the frontend finds the endpoint by `API_URL`, and the key it sends by `API_KEY`."""
    mine = {FRONTEND_LABEL: workload.endpoint}
    labels = {**MANAGED, **app_labels(workload.endpoint, "frontend"), **mine}
    meta = {"name": workload.frontend_name, "namespace": workload.namespace, "labels": labels}
    address: Object = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    if workload.node_port:
        address["nodePort"] = workload.node_port
    service = {"type": "NodePort" if workload.node_port else "ClusterIP", "selector": mine, "ports": [address]}
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": mine}}
    return (
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": _walls(workload)},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": workload.frontend_pods,
                "revisionHistoryLimit": 5,
                "progressDeadlineSeconds": workload.start_timeout_s + 30,
                "selector": {"matchLabels": mine},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {"metadata": {"labels": labels}, "spec": _pod(workload, mine)},
            },
        },
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": budget},
    )


def _pod(workload: Workload, mine: dict[str, str]) -> Object:
    secrets = {"imagePullSecrets": [{"name": workload.pull_secret}]} if workload.pull_secret else {}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        **secrets,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": keep_spread(mine),
        "containers": [_container(workload)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _container(workload: Workload) -> Object:
    env: list[Object] = [
        {"name": "API_URL", "value": f"http://{workload.endpoint}"},
        {"name": "PORT", "value": str(workload.frontend_port)},
    ]
    if workload.token_secret:
        key = {"name": workload.token_secret, "key": PRIMARY_KEY}
        env.append({"name": "API_KEY", "valueFrom": {"secretKeyRef": key}})
    opens = {"tcpSocket": {"port": "http"}, "timeoutSeconds": 5}  # its paths are its own affair
    return {
        "name": "frontend",
        "image": workload.frontend_image,
        "env": env,
        "ports": [{"name": "http", "containerPort": workload.frontend_port, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": FRONTEND_MEMORY}},
        "securityContext": dict(NO_RIGHTS),
        "startupProbe": {**opens, "periodSeconds": 1, "failureThreshold": workload.start_timeout_s},
        "readinessProbe": {**opens, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**opens, "periodSeconds": 10, "failureThreshold": 3},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the container
    }


def _walls(workload: Workload) -> Object:
    """Anybody may ask the frontend; it asks the endpoint's pods and the name server, nobody else."""
    dns = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
    behind = {"to": [{"podSelector": {"matchLabels": {ENDPOINT_LABEL: workload.endpoint}}}]}
    return {
        "podSelector": {"matchLabels": {FRONTEND_LABEL: workload.endpoint}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": workload.frontend_port}]}],
        "egress": [dns, behind],
    }
