"""What an account may do that deploys: inside one namespace, what deploying takes, and nothing about the cluster or secrets but the endpoint's own keys."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.release.labels import MANAGED, RESTRICTED_PODS
from tidemill.release.objects import Object

API = "rbac.authorization.k8s.io"
OWN = ("get", "list", "create", "patch", "delete")
OWN_KEYS = ("get", "patch", "delete")
RULES: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
    ("", ("services", "serviceaccounts"), OWN),
    ("", ("pods", "events"), ("list",)),
    ("", ("endpoints",), ("get",)),
    ("", ("pods/log",), ("get",)),
    ("", ("pods/proxy", "services/proxy"), ("get", "create")),
    ("apps", ("deployments",), OWN),
    ("policy", ("poddisruptionbudgets",), OWN),
    ("autoscaling", ("horizontalpodautoscalers",), OWN),
    ("networking.k8s.io", ("networkpolicies", "ingresses"), OWN),
    ("gateway.networking.k8s.io", ("httproutes",), OWN),
    ("gateway.networking.k8s.io", ("gateways",), ("get",)),
)


def make_rbac(namespace: str, account: str = "tidemill-deployer", *, keys: str = "") -> tuple[Object, ...]:
    """The namespace, an account, its role and what binds them; an administrator applies them once.

    The Secret named `keys` is the only one it may read; Kubernetes cannot say by name which one may be created.
    """

    def meta(name: str) -> Object:
        return {"name": name, "namespace": namespace, "labels": dict(MANAGED)}

    rules: list[Object] = [
        {"apiGroups": [group], "resources": list(things), "verbs": list(verbs)} for group, things, verbs in RULES
    ]
    if keys:
        rules.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]})
        rules.append({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [keys], "verbs": list(OWN_KEYS)})
    return (
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {**MANAGED, **RESTRICTED_PODS}},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account)},
        {"apiVersion": f"{API}/v1", "kind": "Role", "metadata": meta(account), "rules": rules},
        {
            "apiVersion": f"{API}/v1",
            "kind": "RoleBinding",
            "metadata": meta(account),
            "roleRef": {"apiGroup": API, "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    )
