"""The way from outside to an endpoint, and how it divides requests between two versions: Ingress annotations or Gateway API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.release.labels import ENDPOINT_LABEL, MANAGED, app_labels

Object = dict[str, Any]

GATEWAY_API = "gateway.networking.k8s.io"
NGINX = "nginx.ingress.kubernetes.io"
NGINX_CONTROLLER = "k8s.io/ingress-nginx"
KINDS = ("service", "ingress", "gateway")
PORT = 80
ALL = 100
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests from outside come in: `service` is what they reach, the endpoint's own or that of its frontend."""

    endpoint: str
    namespace: str
    service: str
    host: str = ""
    ingress_class: str = ""
    gateway: str = ""
    tls: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def canary(self) -> str:
        """Name of the Ingress that takes a share away from the main one."""
        return f"{self.endpoint}-canary"

    @property
    def gateway_place(self) -> tuple[str, str]:
        """Namespace and name of the Gateway; `infra/public` is another namespace's."""
        namespace, _, name = self.gateway.rpartition("/")
        return namespace or self.namespace, name


@dataclass(frozen=True, slots=True)
class Split:
    """What of the requests goes to another version: a share of them, or a copy of each."""

    service: str
    percent: int = 0
    mirror: bool = False


def ingress(door: Door, split: Split | None = None) -> Object:
    """The main Ingress; a mirror is an annotation of it, a share is another Ingress beside it."""
    item = _ingress(door, door.endpoint, door.service)
    if door.tls:
        item["spec"]["tls"] = [{"hosts": [door.host], "secretName": door.tls}]
    if door.annotations:
        item["metadata"]["annotations"] = dict(door.annotations)
    if split is not None and split.mirror:
        address = f"{split.service}.{door.namespace}.svc.cluster.local"
        item["metadata"]["annotations"] = {
            **door.annotations,
            f"{NGINX}/mirror-target": f"http://{address}$request_uri",
            f"{NGINX}/mirror-host": address,
        }
    return item


def canary_ingress(door: Door, split: Split) -> Object:
    """The Ingress that takes `percent` of the main one's requests, for a controller that reads ingress-nginx's annotations."""
    item = _ingress(door, door.canary, split.service)
    item["metadata"]["annotations"] = {f"{NGINX}/canary": "true", f"{NGINX}/canary-weight": str(split.percent)}
    return item


def _ingress(door: Door, name: str, service: str) -> Object:
    backend = {"service": {"name": service, "port": {"name": "http"}}}
    rule = {"host": door.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    chosen = {"ingressClassName": door.ingress_class} if door.ingress_class else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _meta(door, name),
        "spec": {**chosen, "rules": [rule]},
    }


def http_route(door: Door, split: Split | None = None) -> Object:
    """The HTTPRoute of the endpoint: all to its Service, or divided, or with a copy to another version."""
    namespace, name = door.gateway_place
    parent = {"group": GATEWAY_API, "kind": "Gateway", "name": name, "namespace": namespace}
    percent = 0 if split is None or split.mirror else split.percent
    rule: Object = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [_backend(door.service) | {"weight": ALL - percent}],
    }
    if split is not None and split.mirror:
        rule["filters"] = [{"type": "RequestMirror", "requestMirror": {"backendRef": _backend(split.service)}}]
    elif split is not None:
        rule["backendRefs"].append(_backend(split.service) | {"weight": percent})
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "HTTPRoute",
        "metadata": _meta(door, door.endpoint) | ({"annotations": dict(door.annotations)} if door.annotations else {}),
        "spec": {"parentRefs": [parent], "hostnames": [door.host], "rules": [rule]},
    }


def _backend(service: str) -> Object:
    return {"kind": "Service", "name": service, "port": PORT}


def _meta(door: Door, name: str) -> Object:
    labels = {**MANAGED, **app_labels(door.endpoint, "route"), ENDPOINT_LABEL: door.endpoint}
    return {"name": name, "namespace": door.namespace, "labels": labels}


def route_objects(kind: str, door: Door, split: Split | None = None) -> tuple[Object, ...]:
    """What `kind` of route takes; a plain one without `split`."""
    if kind == "gateway":
        return (http_route(door, split),)
    if not door.host:
        return ()
    if split is not None and not split.mirror:
        return (ingress(door), canary_ingress(door, split))
    return (ingress(door, split),)


def find_route_problems(kind: str, door: Door, *, frontend: bool) -> list[str]:
    """What about a route no cluster would do, in words."""
    problems = []
    if door.host and not _HOST.match(door.host) and "${" not in door.host:
        problems.append(f"`{door.host}` is no host name (lower-case, without a scheme, port or path)")
    if door.tls and not door.host:
        problems.append("`tls` needs the `host` the certificate is for")
    if door.tls and kind == "gateway":
        problems.append("the Gateway's listener has the certificate: `tls` is for an Ingress")
    if kind == "service":
        return problems
    if not door.host:
        problems.append(f"a route by {kind} needs a `host`")
    if kind == "gateway" and not door.gateway_place[1]:
        problems.append("a route by gateway needs the name of the `gateway`, or NAMESPACE/NAME")
    if frontend:
        problems.append(
            f"a route by {kind} divides requests between versions, but they would reach the frontend: use `ingress_host`"
        )
    return problems


def is_settled(items: list[Object]) -> bool:
    """Whether the routes found, as the cluster has them, lead to one Service and copy nothing."""
    for item in items:
        about = item["metadata"].get("annotations") or {}
        rules = item["spec"].get("rules") or [] if item["kind"] == "HTTPRoute" else []
        if f"{NGINX}/canary" in about or f"{NGINX}/mirror-target" in about:
            return False
        if any(len(r.get("backendRefs") or []) > 1 or r.get("filters") for r in rules):
            return False
    return True


def judge_route(item: Object) -> tuple[bool, str]:
    """Whether a controller has spoken of the HTTPRoute as it now is, and what it finds wrong with it."""
    present = item["metadata"].get("generation", 0)
    parents = (item.get("status") or {}).get("parents") or []
    said = [c for p in parents for c in p.get("conditions") or [] if c.get("observedGeneration", present) >= present]
    wrong = [c for c in said if c.get("type") in {"Accepted", "ResolvedRefs"} and c.get("status") == "False"]
    words = "; ".join(f"{c.get('reason', 'no reason')}: {c.get('message', '')}".rstrip(": ") for c in wrong)
    return any(c.get("type") == "Accepted" for c in said), words
