"""The labels that say what belongs together in a cluster."""

from __future__ import annotations

import re

ENDPOINT_LABEL = "tidemill.dev/endpoint"
DEPLOYMENT_LABEL = "tidemill.dev/deployment"
FRONTEND_LABEL = "tidemill.dev/frontend-of"
SERVING_ANNOTATION = "tidemill.dev/serving"
MANAGED = {"app.kubernetes.io/managed-by": "tidemill"}
SETTINGS_ANNOTATION = "tidemill.dev/settings"
POD_ANNOTATION = "tidemill.dev/pod-settings"
PRIMARY_KEY, SECONDARY_KEY = "primaryKey", "secondaryKey"  # of the Secret with an endpoint's keys
REPLICAS_ANNOTATION = "tidemill.dev/replicas"
RENEWED_ANNOTATION = "tidemill.dev/renewed-key"
MODEL_ANNOTATION = "tidemill.dev/model"
RESTRICTED_PODS = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}  # of a namespace of ours: the cluster itself refuses pods with more rights
_VALUE = re.compile(r"(?=.{1,63}\Z)[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?\Z")


def keys_name(endpoint: str) -> str:
    """Of the Secret with an endpoint's keys."""
    return f"{endpoint}-keys"


def frontend_name(endpoint: str) -> str:
    """Of all objects of a frontend."""
    return f"{endpoint}-frontend"


def app_labels(endpoint: str, component: str, version: str = "") -> dict[str, str]:
    """The labels that dashboards and other tools group by."""
    known = {"app.kubernetes.io/version": version} if version and _VALUE.match(version) else {}
    named = {"app.kubernetes.io/name": endpoint, "app.kubernetes.io/instance": endpoint}
    return {**named, "app.kubernetes.io/component": component, **known}
