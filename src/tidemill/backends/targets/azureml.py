"""Managed online endpoints of an Azure Machine Learning workspace, over its REST interface."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tidemill.backends.targets.rest import Answer, Rest
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.release.remote import AzureDeployment

API = "2024-10-01"
SCOPE = "https://management.azure.com/.default"
TOKEN = "TIDEMILL_AZURE_TOKEN"  # noqa: S105 - the name of the variable
MANAGEMENT = "TIDEMILL_AZURE_MANAGEMENT"
POLL_S = 5.0
PORT = 8080
ENDED = {"Succeeded", "Failed", "Canceled"}


class AzureEndpoints:
    """The online endpoints of one workspace. Every call is safe to repeat."""

    def __init__(self, subscription: str, group: str, workspace: str, clock: Clock | None = None) -> None:
        host = os.environ.get(MANAGEMENT, "https://management.azure.com").rstrip("/")
        self._root = (
            f"{host}/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
        )
        self._clock = clock or SystemClock()
        hint = f"Log in with `az login`, or set {TOKEN}; the account needs `AzureML Data Scientist` on the workspace."
        self._rest = Rest("Azure ML", _token, hint, self._clock)

    def traffic(self, endpoint: str) -> dict[str, int]:
        """Shares by deployment; empty when there is no endpoint."""
        found = self._get(f"onlineEndpoints/{endpoint}")
        return dict(found["properties"].get("traffic") or {}) if found else {}

    def deployments(self, endpoint: str) -> dict[str, dict[str, str]]:
        """Tags of each deployment that is up, by name."""
        found = self._get(f"onlineEndpoints/{endpoint}/deployments")
        items = (found or {}).get("value", [])
        return {
            d["name"]: dict(d.get("tags") or {})
            for d in items
            if d["properties"].get("provisioningState") == "Succeeded"
        }

    def deploy(self, wish: AzureDeployment, *, timeout_s: float) -> None:
        """Endpoint, environment and deployment; returns when it is up, `FailedError` with its last words when it does not come."""
        location = self._get("")
        if location is None:
            raise UsageError(
                "There is no such workspace", hint="Correct subscription, resource_group and workspace of the stage."
            )
        where = location["location"]
        if self._get(f"onlineEndpoints/{wish.endpoint}") is None:
            about = {"location": where, "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key"}}
            self._put(f"onlineEndpoints/{wish.endpoint}", about, timeout_s)
        digest = wish.image.rpartition(":")[2][:16]
        environment = f"environments/tidemill-{wish.model}/versions/{digest}"
        self._put(environment, {"properties": _environment(wish.image)}, timeout_s)
        path = f"onlineEndpoints/{wish.endpoint}/deployments/{wish.name}"
        properties = {
            "endpointComputeType": "Managed",
            "environmentId": f"{self._identity()}/{environment}",
            "environmentVariables": dict(wish.environment),
            "instanceType": wish.instance_type,
            "scaleSettings": {"scaleType": "Default"},
        }
        sku = {"name": "Default", "capacity": wish.instances}
        try:
            self._put(
                path, {"location": where, "sku": sku, "tags": dict(wish.tags), "properties": properties}, timeout_s
            )
        except FailedError as exc:
            raise FailedError(f"{exc.message}\n{self.logs(wish.endpoint, wish.name)}", hint=exc.hint) from exc

    def set_traffic(self, endpoint: str, shares: Mapping[str, int], *, timeout_s: float) -> None:
        """Move the traffic."""
        found = self._get(f"onlineEndpoints/{endpoint}") or {}
        kept = {k: found[k] for k in ("location", "identity", "tags") if k in found}
        properties = {"authMode": found["properties"]["authMode"], "traffic": dict(shares)}
        self._put(f"onlineEndpoints/{endpoint}", {**kept, "properties": properties}, timeout_s)

    def score(self, endpoint: str, deployment: str, sample: bytes) -> tuple[int, bytes]:
        """A real request to one deployment, with the endpoint's key."""
        found = self._get(f"onlineEndpoints/{endpoint}") or {}
        keys = self._rest.call("POST", self._url(f"onlineEndpoints/{endpoint}/listKeys")).json()
        headers = {"authorization": f"Bearer {keys['primaryKey']}"} | (
            {"azureml-model-deployment": deployment} if deployment else {}
        )
        every = tuple(range(400, 600))
        answer = self._rest.call("POST", found["properties"]["scoringUri"], sample, headers=headers, accept=every)
        return answer.status, answer.body

    def url(self, endpoint: str) -> str:
        """Where it is asked."""
        return str((self._get(f"onlineEndpoints/{endpoint}") or {}).get("properties", {}).get("scoringUri", ""))

    def logs(self, endpoint: str, deployment: str) -> str:
        """The last words of a deployment's server; none when the workspace has none."""
        url = self._url(f"onlineEndpoints/{endpoint}/deployments/{deployment}/getLogs")
        answer = self._rest.call("POST", url, {"containerType": "InferenceServer", "tail": 20}, accept=(400, 404, 409))
        return str((answer.json() or {}).get("content", "")) if answer.status == HTTPStatus.OK else ""

    def delete(self, endpoint: str, deployment: str, *, timeout_s: float) -> None:
        """Take a deployment away; one that is gone already is no error."""
        url = self._url(f"onlineEndpoints/{endpoint}/deployments/{deployment}")
        answer = self._rest.call("DELETE", url, accept=(HTTPStatus.NOT_FOUND,))
        self._follow(answer, f"deleting `{deployment}`", timeout_s)

    def _identity(self) -> str:
        return self._root[self._root.index("/subscriptions/") :]

    def _url(self, path: str) -> str:
        return f"{self._root}{'/' if path else ''}{path}?api-version={API}"

    def _get(self, path: str) -> Any:  # noqa: ANN401 - the service's JSON
        answer = self._rest.call("GET", self._url(path), accept=(HTTPStatus.NOT_FOUND,))
        return None if answer.status == HTTPStatus.NOT_FOUND else answer.json()

    def _put(self, path: str, body: Mapping[str, Any], timeout_s: float) -> None:
        """Write and wait; while another change is under way (409) it is asked again."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            answer = self._rest.call("PUT", self._url(path), body, accept=(HTTPStatus.CONFLICT,))
            if answer.status != HTTPStatus.CONFLICT:
                break
            if self._clock.monotonic() > deadline:
                raise BackendError(
                    f"Another change of `{path}` was under way for {timeout_s:g} s", hint="Run it again later."
                )
            self._clock.sleep(POLL_S)
        self._follow(answer, f"creating `{path}`", timeout_s)
        found = self._get(path) or {}
        state = found.get("properties", {}).get("provisioningState", "Succeeded")
        if state in {"Failed", "Canceled"}:
            raise FailedError(f"Azure ML could not provision `{path}`: {state}")

    def _follow(self, answer: Answer, what: str, timeout_s: float) -> None:
        """Wait for an operation that goes on after its answer."""
        where = answer.headers.get("azure-asyncoperation")
        if where is None:
            return
        deadline = self._clock.monotonic() + timeout_s
        while True:
            told = self._rest.call("GET", where)
            status = told.json()
            if status["status"] in ENDED:
                break
            if self._clock.monotonic() > deadline:
                raise FailedError(
                    f"Azure ML was not done {what} after {timeout_s:g} s", hint="Raise `start_timeout_s` of the stage."
                )
            self._clock.sleep(float(told.headers.get("retry-after", POLL_S)))
        if status["status"] != "Succeeded":
            words = (status.get("error") or {}).get("message", status["status"])
            raise FailedError(f"Azure ML failed {what}: {words}", hint="What served before still serves.")


def _environment(image: str) -> dict[str, Any]:
    routes = {"livenessRoute": "/healthz", "readinessRoute": "/readyz", "scoringRoute": "/score"}
    config = {name: {"path": path, "port": PORT} for name, path in routes.items()}
    return {"image": image, "osType": "Linux", "inferenceConfig": config}


def _token(renew: bool) -> str:  # noqa: FBT001 - a callback with one meaning
    given = os.environ.get(TOKEN)
    if given:
        return given
    del renew  # the credential keeps its own cache and renews what has expired
    try:
        from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - an extra
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise UsageError(
            f"Azure ML needs a login: {TOKEN} is not set", hint="pip install 'tidemill[azure]' and `az login`"
        ) from exc
    try:
        return str(DefaultAzureCredential().get_token(SCOPE).token)
    except ClientAuthenticationError as exc:
        raise BackendError("Nobody is logged in to Azure", hint=f"Run `az login`, or set {TOKEN}.") from exc


def open_target(subscription: str, group: str, workspace: str) -> AzureEndpoints:
    """The endpoints of a workspace."""
    return AzureEndpoints(subscription, group, workspace)
