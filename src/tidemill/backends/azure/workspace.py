"""One Azure Machine Learning workspace over its REST interface. Every call is safe to repeat."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tidemill.backends.azure.login import HINT, find_token
from tidemill.backends.rest import Answer, Rest
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import BackendError, FailedError

MANAGEMENT = "TIDEMILL_AZURE_MANAGEMENT"
POLL_S = 5.0
GONE = "Gone"
ENDED = frozenset({"Succeeded", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True)
class Services:
    """Where the region's services know about the workspace's runs: their histories, and what they track with MLflow."""

    history: str
    mlflow: str


class AzureWorkspace:
    """Reads, writes and waits; what is in the workspace is for others to know. `api` is the version of the interface."""

    def __init__(
        self,
        subscription: str,
        group: str,
        workspace: str,
        *,
        api: str,
        clock: Clock | None = None,
        late_hint: str = "",
    ) -> None:
        host = os.environ.get(MANAGEMENT, "https://management.azure.com").rstrip("/")
        self.identity = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
        )
        self._root = f"{host}{self.identity}"
        self._api = api
        self._late_hint = late_hint
        self.clock = clock or SystemClock()
        self.rest = Rest("Azure ML", lambda _: find_token(), HINT, self.clock)

    def url(self, path: str) -> str:
        """The address of something of the workspace; empty for the workspace itself."""
        return f"{self._root}{'/' if path else ''}{path}?api-version={self._api}"

    def get(self, path: str) -> Any:  # noqa: ANN401 - the service's JSON
        """What is there; None when nothing is."""
        answer = self.rest.call("GET", self.url(path), accept=(HTTPStatus.NOT_FOUND,))
        return None if answer.status == HTTPStatus.NOT_FOUND else answer.json()

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, accept: tuple[int, ...] = ()) -> Answer:
        """Ask for something to be done."""
        return self.rest.call("POST", self.url(path), body, accept=accept)

    def services(self) -> Services:
        """As the workspace's own description says."""
        found = (self.get("") or {}).get("properties", {})
        where = found.get("discoveryUrl", "")
        told = self.rest.call("GET", where).json() if where else {}
        host = str((told or {}).get("api") or "").rstrip("/")
        mlflow = urlsplit(str(found.get("mlFlowTrackingUri") or "")).path
        return Services(f"{host}/history/v1.0{self.identity}", host + (mlflow or f"/mlflow/v1.0{self.identity}"))

    def has_datastore(self, name: str) -> bool:
        """Whether there is a datastore of that name whose blobs can be read."""
        found = self.get(f"datastores/{name}") or {}
        return bool(found.get("properties", {}).get("datastoreType") == "AzureBlob")

    def job_status(self, name: str) -> str:
        """The state of a job; `Gone` when there is none of that name (any more)."""
        found = self.get(f"jobs/{name}")
        return GONE if found is None else str(found.get("properties", {}).get("status") or "")

    def cancel_job(self, name: str) -> None:
        """Ask a job to end; one that has ended is left."""
        refused = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
        self.post(f"jobs/{name}/cancel", accept=refused)

    def put(self, path: str, body: Mapping[str, Any], timeout_s: float) -> None:
        """Write and wait; while another change is under way (409) it is asked again."""
        deadline = self.clock.monotonic() + timeout_s
        while True:
            answer = self.rest.call("PUT", self.url(path), body, accept=(HTTPStatus.CONFLICT,))
            if answer.status != HTTPStatus.CONFLICT:
                break
            if self.clock.monotonic() > deadline:
                raise BackendError(
                    f"Another change of `{path}` was under way for {timeout_s:g} s", hint="Run it again later."
                )
            self.clock.sleep(POLL_S)
        self.follow(answer, f"creating `{path}`", timeout_s)
        found = self.get(path) or {}
        state = found.get("properties", {}).get("provisioningState", "Succeeded")
        if state in {"Failed", "Canceled"}:
            raise FailedError(f"Azure ML could not provision `{path}`: {state}")

    def follow(self, answer: Answer, what: str, timeout_s: float) -> None:
        """Wait for an operation that goes on after its answer."""
        where = answer.headers.get("azure-asyncoperation")
        if where is None:
            return
        deadline = self.clock.monotonic() + timeout_s
        while True:
            told = self.rest.call("GET", where)
            status = told.json()
            if status["status"] in ENDED:
                break
            if self.clock.monotonic() > deadline:
                raise FailedError(f"Azure ML was not done {what} after {timeout_s:g} s", hint=self._late_hint)
            self.clock.sleep(float(told.headers.get("retry-after", POLL_S)))
        if status["status"] != "Succeeded":
            words = (status.get("error") or {}).get("message", status["status"])
            raise FailedError(f"Azure ML failed {what}: {words}", hint="What served before still serves.")
