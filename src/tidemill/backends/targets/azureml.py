"""Managed online endpoints of an Azure Machine Learning workspace, over its REST interface."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tidemill.backends.azure.workspace import AzureWorkspace
from tidemill.base.clock import Clock
from tidemill.base.errors import FailedError, UsageError
from tidemill.release.remote import AzureDeployment

API = "2024-10-01"
PORT = 8080


class AzureEndpoints:
    """The online endpoints of one workspace. Every call is safe to repeat."""

    def __init__(self, subscription: str, group: str, workspace: str, clock: Clock | None = None) -> None:
        late = "Raise `start_timeout_s` of the stage."
        self._workspace = AzureWorkspace(subscription, group, workspace, api=API, clock=clock, late_hint=late)
        self._rest = self._workspace.rest

    def traffic(self, endpoint: str) -> dict[str, int]:
        """Shares by deployment; empty when there is no endpoint."""
        found = self._workspace.get(f"onlineEndpoints/{endpoint}")
        return dict(found["properties"].get("traffic") or {}) if found else {}

    def deployments(self, endpoint: str) -> dict[str, dict[str, str]]:
        """Tags of each deployment that is up, by name."""
        found = self._workspace.get(f"onlineEndpoints/{endpoint}/deployments")
        items = (found or {}).get("value", [])
        return {
            d["name"]: dict(d.get("tags") or {})
            for d in items
            if d["properties"].get("provisioningState") == "Succeeded"
        }

    def deploy(self, wish: AzureDeployment, *, timeout_s: float) -> None:
        """Endpoint, environment and deployment; returns when it is up, `FailedError` with its last words when it does not come."""
        location = self._workspace.get("")
        if location is None:
            raise UsageError(
                "There is no such workspace", hint="Correct subscription, resource_group and workspace of the stage."
            )
        where = location["location"]
        if self._workspace.get(f"onlineEndpoints/{wish.endpoint}") is None:
            about = {"location": where, "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
            self._workspace.put(f"onlineEndpoints/{wish.endpoint}", about, timeout_s)
        digest = wish.image.rpartition(":")[2][:16]
        environment = f"environments/tidemill-{wish.model}/versions/{digest}"
        self._workspace.put(environment, {"properties": _environment(wish.image)}, timeout_s)
        path = f"onlineEndpoints/{wish.endpoint}/deployments/{wish.name}"
        properties = {
            "endpointComputeType": "Managed",
            "environmentId": f"{self._workspace.identity}/{environment}",
            "environmentVariables": dict(wish.environment),
            "instanceType": wish.instance_type,
            "scaleSettings": {"scaleType": "Default"},
            **wish.limits,
        }
        sku = {"name": "Default", "capacity": wish.instances}
        try:
            self._workspace.put(
                path, {"location": where, "sku": sku, "tags": dict(wish.tags), "properties": properties}, timeout_s
            )
        except FailedError as exc:
            raise FailedError(f"{exc.message}\n{self.logs(wish.endpoint, wish.name)}", hint=exc.hint) from exc

    def set_traffic(self, endpoint: str, shares: Mapping[str, int], *, timeout_s: float) -> None:
        """Move the traffic."""
        found = self._workspace.get(f"onlineEndpoints/{endpoint}") or {}
        kept = {k: found[k] for k in ("location", "identity", "tags") if k in found}
        properties = {"authMode": found["properties"]["authMode"], "traffic": dict(shares)}
        self._workspace.put(f"onlineEndpoints/{endpoint}", {**kept, "properties": properties}, timeout_s)

    def score(self, endpoint: str, deployment: str, sample: bytes) -> tuple[int, bytes]:
        """A real request to one deployment, with the endpoint's key."""
        found = self._workspace.get(f"onlineEndpoints/{endpoint}") or {}
        keys = self._rest.call("POST", self._workspace.url(f"onlineEndpoints/{endpoint}/listKeys")).json()
        headers = {"authorization": f"Bearer {keys['primaryKey']}"} | (
            {"azureml-model-deployment": deployment} if deployment else {}
        )
        every = tuple(range(400, 600))
        answer = self._rest.call("POST", found["properties"]["scoringUri"], sample, headers=headers, accept=every)
        return answer.status, answer.body

    def url(self, endpoint: str) -> str:
        """Where it is asked."""
        return str(
            (self._workspace.get(f"onlineEndpoints/{endpoint}") or {}).get("properties", {}).get("scoringUri", "")
        )

    def logs(self, endpoint: str, deployment: str) -> str:
        """The last words of a deployment's server; none when the workspace has none."""
        url = self._workspace.url(f"onlineEndpoints/{endpoint}/deployments/{deployment}/getLogs")
        answer = self._rest.call("POST", url, {"containerType": "InferenceServer", "tail": 20}, accept=(400, 404, 409))
        return str((answer.json() or {}).get("content", "")) if answer.status == HTTPStatus.OK else ""

    def delete(self, endpoint: str, deployment: str, *, timeout_s: float) -> None:
        """Take a deployment away; one that is gone already is no error."""
        url = self._workspace.url(f"onlineEndpoints/{endpoint}/deployments/{deployment}")
        answer = self._rest.call("DELETE", url, accept=(HTTPStatus.NOT_FOUND,))
        self._workspace.follow(answer, f"deleting `{deployment}`", timeout_s)


def _environment(image: str) -> dict[str, Any]:
    routes = {"livenessRoute": "/healthz", "readinessRoute": "/readyz", "scoringRoute": "/score"}
    config = {name: {"path": path, "port": PORT} for name, path in routes.items()}
    return {"image": image, "osType": "Linux", "inferenceConfig": config}


def open_target(subscription: str, group: str, workspace: str) -> AzureEndpoints:
    """The endpoints of a workspace."""
    return AzureEndpoints(subscription, group, workspace)
