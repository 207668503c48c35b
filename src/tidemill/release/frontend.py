"""A frontend of the project's own before an endpoint: its Deployment, its Service, and the walls between the two."""

from __future__ import annotations

from typing import Any

from tidemill.release.labels import ENDPOINT_LABEL, FRONTEND_LABEL, MANAGED, PRIMARY_KEY

Object = dict[str, Any]


def make_frontend(
    endpoint: str, namespace: str, image: str, port: int, node_port: int = 0, *, keys: str = ""
) -> tuple[Object, ...]:
    """Deployment, Service and NetworkPolicy; the frontend finds the endpoint by `API_URL`, and the key it sends by `API_KEY`."""
    name, labels = frontend_name(endpoint), {FRONTEND_LABEL: endpoint}
    meta = {"name": name, "namespace": namespace, "labels": {**MANAGED, **labels}}
    address: Object = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    if node_port:
        address["nodePort"] = node_port
    kind = "NodePort" if node_port else "ClusterIP"
    spec = {"type": kind, "selector": labels, "ports": [address]}
    return (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta,
            "spec": _walls(endpoint, port),
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {"metadata": {"labels": {**MANAGED, **labels}}, "spec": _pod(endpoint, image, port, keys)},
            },
        },
    )


def frontend_name(endpoint: str) -> str:
    """Of all its objects."""
    return f"{endpoint}-frontend"


def _pod(endpoint: str, image: str, port: int, keys: str) -> Object:
    env: list[Object] = [{"name": "API_URL", "value": f"http://{endpoint}"}, {"name": "PORT", "value": str(port)}]
    if keys:
        env.append({"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": keys, "key": PRIMARY_KEY}}})
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "frontend",
                "image": image,
                "env": env,
                "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 5},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - inside the container
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _walls(endpoint: str, port: int) -> Object:
    """Anybody may ask the frontend; it asks the endpoint's pods and the name server, nobody else."""
    dns = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
    behind = {"to": [{"podSelector": {"matchLabels": {ENDPOINT_LABEL: endpoint}}}]}
    return {
        "podSelector": {"matchLabels": {FRONTEND_LABEL: endpoint}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": port}]}],
        "egress": [dns, behind],
    }
