"""The walls around an endpoint's pods: who may reach them, and what they may reach."""

from __future__ import annotations

from typing import Any

from tidemill.release.labels import ENDPOINT_LABEL, FRONTEND_LABEL
from tidemill.release.workload import Workload

Object = dict[str, Any]


def network_policy(workload: Workload, metadata: Object) -> Object:
    """The endpoint's pods are reached from their frontend alone if there is one, else from their namespace and ingress controllers; they reach only DNS, and the store their records go to."""
    ingress_from: list[Object] = [{"podSelector": {}}]
    if workload.frontend_image:
        ingress_from = [{"podSelector": {"matchLabels": {FRONTEND_LABEL: workload.endpoint}}}]
    elif workload.host or workload.node_port:
        ingress_from.append({"namespaceSelector": {"matchLabels": _proxy_labels(workload)}})
    dns = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    recording = workload.recording
    stores = [{"protocol": "TCP", "port": p} for p in (recording.ports(workload.environment) if recording else ())]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": {ENDPOINT_LABEL: workload.endpoint}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": ingress_from, "ports": [{"protocol": "TCP", "port": workload.port}]}],
            "egress": [{"ports": dns}, *([{"ports": stores}] if stores else [])],
        },
    }


def _proxy_labels(workload: Workload) -> dict[str, str]:
    """Of the namespace whose pods bring requests from outside."""
    beside = workload.door.gateway_place[0] if workload.route == "gateway" else ""
    name = workload.proxy_namespace or beside
    return {"kubernetes.io/metadata.name": name} if name else {"app.kubernetes.io/name": "ingress-nginx"}
