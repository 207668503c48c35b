"""As much of the Gateway API's two documented kinds as a route needs, for a cluster that has none of it."""

from __future__ import annotations

from typing import Any

GROUP = "gateway.networking.k8s.io"
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "format": "int32"}


def fields(**of: Any) -> dict[str, Any]:
    return {"type": "object", "properties": of}


def listed(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of, "x-kubernetes-list-type": "atomic"}


BACKEND = {"group": TEXT, "kind": TEXT, "name": TEXT, "namespace": TEXT, "port": NUMBER}
PARENT = fields(group=TEXT, kind=TEXT, namespace=TEXT, name=TEXT, sectionName=TEXT, port=NUMBER)
CONDITIONS = listed(
    fields(
        type=TEXT, status=TEXT, reason=TEXT, message=TEXT,
        observedGeneration={"type": "integer", "format": "int64"}, lastTransitionTime=TEXT,
    )
)  # fmt: skip
FILTER = fields(type=TEXT, requestMirror=fields(backendRef=fields(**BACKEND)))
RULE = fields(
    matches=listed(fields(path=fields(type=TEXT, value=TEXT))),
    filters=listed(FILTER),
    backendRefs=listed(fields(**BACKEND, weight=NUMBER)),
)
ROUTE = fields(
    spec=fields(parentRefs=listed(PARENT), hostnames=listed(TEXT), rules=listed(RULE)),
    status=fields(parents=listed(fields(parentRef=PARENT, controllerName=TEXT, conditions=CONDITIONS))),
)
GATEWAY = fields(
    spec=fields(gatewayClassName=TEXT, listeners=listed(fields(name=TEXT, port=NUMBER, protocol=TEXT))),
    status=fields(conditions=CONDITIONS),
)


def definition(kind: str, schema: dict[str, Any], version: str = "v1") -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"},
        },
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [served],
        },
    }


DEFINITIONS = (definition("HTTPRoute", ROUTE), definition("Gateway", GATEWAY))
