"""What a job logs to the workspace's MLflow, into the file from which a step's metrics are read here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tidemill.backends.azure.workspace import Services
from tidemill.backends.rest import Rest

FILE = "metrics.jsonl"


class JobMetrics:
    """The metrics of one job, each value once. A workspace that does not tell them has none."""

    def __init__(self, rest: Rest, services: Services, run: str, folder: Path) -> None:
        self._rest = rest
        self._root = f"{services.mlflow}/api/2.0/mlflow"
        self._run = run
        self._file = folder / FILE
        self._last: dict[str, Any] = {}
        self._kept: dict[str, int] = {}

    def fetch(self) -> None:
        """Append what is new; histories are asked for only of what changed."""
        found = self._ask("runs/get", run_id=self._run) or {}
        rows: list[dict[str, Any]] = []
        for latest in ((found.get("run") or {}).get("data") or {}).get("metrics") or ():
            key = str(latest["key"])
            if self._last.get(key) != latest:
                self._last[key] = latest
                history = list(self._history(key))
                rows += history[self._kept.get(key, 0) :]
                self._kept[key] = len(history)
        rows.sort(key=lambda row: row["at"])
        if rows:
            with self._file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)

    def tags(self) -> dict[str, str]:
        """The tags of the run."""
        found = self._ask("runs/get", run_id=self._run) or {}
        tags = ((found.get("run") or {}).get("data") or {}).get("tags") or ()
        return {str(tag["key"]): str(tag["value"]) for tag in tags}

    def _history(self, key: str) -> Iterator[dict[str, Any]]:
        page: dict[str, str] = {}
        while True:
            found = self._ask("metrics/get-history", run_id=self._run, metric_key=key, **page) or {}
            for row in found.get("metrics") or ():
                at = int(row.get("timestamp") or 0) / 1000
                yield {"name": key, "value": float(row["value"]), "step": int(row.get("step") or 0), "at": at}
            if not found.get("next_page_token"):
                return
            page = {"page_token": str(found["next_page_token"])}

    def _ask(self, what: str, **query: str) -> Any:  # noqa: ANN401 - the service's JSON
        unknown = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        answer = self._rest.call("GET", f"{self._root}/{what}?{urlencode(query)}", accept=unknown)
        return answer.json() if answer.status == HTTPStatus.OK else None
