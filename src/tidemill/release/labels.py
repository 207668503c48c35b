"""The labels that say what belongs together in a cluster."""

from __future__ import annotations

ENDPOINT_LABEL = "tidemill.dev/endpoint"
DEPLOYMENT_LABEL = "tidemill.dev/deployment"
FRONTEND_LABEL = "tidemill.dev/frontend-of"
SERVING_ANNOTATION = "tidemill.dev/serving"
MANAGED = {"app.kubernetes.io/managed-by": "tidemill"}
SETTINGS_ANNOTATION = "tidemill.dev/settings"
POD_ANNOTATION = "tidemill.dev/pod-settings"
PRIMARY_KEY, SECONDARY_KEY = "primaryKey", "secondaryKey"  # of the Secret with an endpoint's keys
REPLICAS_ANNOTATION = "tidemill.dev/replicas"


def keys_name(endpoint: str) -> str:
    """Of the Secret with an endpoint's keys."""
    return f"{endpoint}-keys"
