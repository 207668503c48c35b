"""Ends runs on an MLflow server, over its REST API: importing MLflow takes seconds, and most servers ask for no more than a password."""

# ruff: noqa: ANN401 - JSON, and types of MLflow, which is imported late

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from tidemill.base.errors import BackendError
from tidemill.base.imports import import_late

TIMEOUT_S = 5.0
RUNNING, KILLED = "RUNNING", "KILLED"
AT_ONCE = 1000
# for MLflow's own client, which would try for minutes
SHORT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


class Runs(Protocol):
    """What it takes to end runs somewhere."""

    def status(self, run: str) -> str:
        """How a run stands; empty when there is none."""
        ...

    def search(self, experiment: str, condition: str) -> Sequence[str]:
        """Ids of runs."""
        ...

    def end(self, run: str, ended_ms: int) -> None:
        """A run was killed."""
        ...


def end_runs(uri: str, run: str, experiment: str, ended_ms: int) -> None:
    """End a run that still runs, and the runs inside it; `BackendError` where that cannot be done soon."""
    if urlsplit(uri).scheme in {"http", "https"}:
        try:
            _end_with_children(ServerRuns(uri), run, experiment, ended_ms)
        except NotSoSimpleError:
            pass
        else:
            return
    with _hurried():
        _end_with_children(ClientRuns(uri), run, experiment, ended_ms)


def _end_with_children(runs: Runs, run: str, experiment: str, ended_ms: int) -> None:
    inside = runs.search(experiment, f"attributes.status = '{RUNNING}' and tags.`mlflow.parentRunId` = '{run}'")
    for child in inside:
        _end_with_children(runs, child, experiment, ended_ms)
    if runs.status(run) == RUNNING:
        runs.end(run, ended_ms)


class NotSoSimpleError(Exception):
    """A server that wants another login than we send, or another certificate: MLflow's own client knows all of them."""


class ServerRuns:
    """Runs of a server, by requests of our own."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri.rstrip("/"))
        self._host = parts.hostname or ""
        self._base = without_login(uri).rstrip("/")
        self._headers = {"content-type": "application/json", **_login(parts.username, parts.password)}

    def status(self, run: str) -> str:
        """How a run stands."""
        found = self._call(f"runs/get?{urlencode({'run_id': run})}", None)
        return str(found["run"]["info"].get("status", "")) if found else ""

    def search(self, experiment: str, condition: str) -> Sequence[str]:
        """Ids of runs."""
        asked = {"experiment_ids": [experiment], "filter": condition, "max_results": AT_ONCE}
        found = self._call("runs/search", asked) or {}
        return [str(run["info"]["run_id"]) for run in found.get("runs", ())]

    def end(self, run: str, ended_ms: int) -> None:
        """A run was killed."""
        self._call("runs/update", {"run_id": run, "status": KILLED, "end_time": ended_ms})

    def _call(self, path: str, body: Mapping[str, Any] | None) -> Any:
        """The answer; None of what is not there."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._base}/api/2.0/mlflow/{path}", data, self._headers)  # noqa: S310 - the user's own server
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return json.loads(answer.read())
        except HTTPError as exc:
            with exc:
                if exc.code == HTTPStatus.NOT_FOUND:
                    return None
                if exc.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise NotSoSimpleError from exc
            raise BackendError(f"the MLflow server {self._host} says {exc}") from exc
        except (OSError, ValueError) as exc:
            reason = exc.reason if isinstance(exc, URLError) else exc
            if isinstance(reason, ssl.SSLError):
                raise NotSoSimpleError from exc
            raise BackendError(f"the MLflow server {self._host} does not answer ({reason})") from exc


def without_login(uri: str) -> str:
    """An address without the name and password it may hold."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def _login(username: str | None, password: str | None) -> dict[str, str]:
    """As MLflow reads it: of the address, or of the environment."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = unquote(username) if username else os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        word = unquote(password or "") if username else os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        return {"authorization": f"Basic {base64.b64encode(f'{user}:{word}'.encode()).decode()}"}
    return {"authorization": f"Bearer {token}"} if token else {}


class ClientRuns:
    """Runs wherever MLflow itself can reach them."""

    def __init__(self, uri: str) -> None:
        self._refused: Any = import_late("mlflow.exceptions").MlflowException
        self._client: Any = import_late("mlflow.tracking").MlflowClient(uri)

    def status(self, run: str) -> str:
        """How a run stands."""
        try:
            return str(self._client.get_run(run).info.status)
        except self._refused as exc:
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise BackendError(f"MLflow says {exc}") from exc

    def search(self, experiment: str, condition: str) -> Sequence[str]:
        """Ids of runs."""
        with self._speaking():
            return [str(r.info.run_id) for r in self._client.search_runs([experiment], condition)]

    def end(self, run: str, ended_ms: int) -> None:
        """A run was killed."""
        with self._speaking():
            self._client.set_terminated(run, KILLED, ended_ms)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except self._refused as exc:
            raise BackendError(f"MLflow says {exc}") from exc


@contextmanager
def _hurried() -> Iterator[None]:
    """MLflow's client reads how patient it is from the environment; what the user says there goes first."""
    ours = {name: value for name, value in SHORT.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
