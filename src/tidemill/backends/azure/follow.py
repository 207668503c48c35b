"""A job of the workspace while it runs: its state, its words as they grow, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from tidemill.backends.azure.workspace import GONE, AzureWorkspace, Services

FINAL = frozenset({"Completed", "Failed", "Canceled", GONE})
SPEAKING = frozenset({"Running", "Finalizing", "CancelRequested", "NotResponding"})
SILENT = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    HTTPStatus.FORBIDDEN,
)  # asked anew next time
_LOG = re.compile(r"user_logs/std_log(?:_process_(\d+))?\.txt$")
_CODE = re.compile(r"(?:status|exit|with) code:? (-?\d+)")
_OURS = frozenset({"UserError", ""})


class FollowedJob:
    """One job. `say` gets each of its lines, whole; of several processes with the number of the one that wrote it."""

    def __init__(self, workspace: AzureWorkspace, name: str, services: Services, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._details = f"{services.history}/runs/{name}/details"
        self._say = say
        self._read: dict[str, bytes] = {}
        self._told: dict[str, int] = {}

    def listen(self) -> None:
        """Tell what was written since the last time."""
        self._listen(to_the_end=False)

    def listen_to_the_end(self) -> dict[str, Any]:
        """Tell what is left; the run's details."""
        details, whole = self._listen(to_the_end=True)
        if not whole:  # the signatures of the addresses had expired
            details, _ = self._listen(to_the_end=True)
        return details

    def _listen(self, *, to_the_end: bool) -> tuple[dict[str, Any], bool]:
        answer = self._workspace.rest.call("GET", self._details, accept=(HTTPStatus.NOT_FOUND,))
        details: dict[str, Any] = (answer.json() or {}) if answer.status == HTTPStatus.OK else {}
        logs = {n: u for n, u in (details.get("logFiles") or {}).items() if _LOG.search(n)}
        told = [self._tell(name, logs[name], to_the_end=to_the_end) for name in sorted(logs)]
        return details, all(told)

    def _tell(self, name: str, url: str, *, to_the_end: bool) -> bool:
        """Whether it could be read."""
        seen = self._read.get(name, b"")
        start = self._told.get(name, 0)
        # the address carries its own signature, so the login stays here; an append blob is read from where we stopped
        headers = {"authorization": "", "x-ms-range": f"bytes={start}-"}
        answer = self._workspace.rest.call("GET", url, headers=headers, accept=SILENT)
        fresh = b"" if answer.status in SILENT else answer.body
        if answer.status == HTTPStatus.OK:
            fresh = fresh[start:]  # it does not know ranges, and sent everything
        self._told[name] = start + len(fresh)
        *lines, rest = (seen + fresh).split(b"\n")
        if to_the_end and rest:
            lines, rest = [*lines, rest], b""
        self._read[name] = rest
        number = _LOG.search(name)
        prefix = f"[{number[1]}] " if number and number[1] is not None else ""
        for line in lines:
            self._say(prefix + line.decode(errors="replace").rstrip("\r"))
        return answer.status != HTTPStatus.FORBIDDEN


def read_run_s(details: Mapping[str, Any]) -> float | None:
    """How long machines worked on it, as the service says; None when it never ran."""
    try:
        begin, end = (datetime.fromisoformat(str(details[k])) for k in ("startTimeUtc", "endTimeUtc"))
    except (KeyError, ValueError):
        return None
    return max(0.0, (end - begin).total_seconds())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. `lost` when Azure ML blames itself or a machine, so that trying again makes sense."""

    exit_code: int | None
    words: str
    lost: bool


def read_error(details: dict[str, Any]) -> Failure:
    """What the run's details say of its failure."""
    error = (details.get("error") or {}).get("error") or {}
    words = ": ".join(str(error[part]) for part in ("code", "message") if error.get(part))
    code = _CODE.search(words)
    blamed = str(error.get("code") or "")
    return Failure(int(code[1]) if code else None, words, lost=code is None and blamed not in _OURS)
