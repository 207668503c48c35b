"""A job of the workspace while it runs: its state, its words as they grow, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tidemill.backends.azure.workspace import AzureWorkspace

GONE = "Gone"
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

    def __init__(self, workspace: AzureWorkspace, name: str, service: str, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._name = name
        self._details = f"{service}/history/v1.0{workspace.identity}/runs/{name}/details"
        self._say = say
        self._read: dict[str, bytes] = {}
        self._told: dict[str, int] = {}

    def status(self) -> str:
        """The state the workspace tells; `Gone` when it knows no such job (any more)."""
        found = self._workspace.get(f"jobs/{self._name}")
        return GONE if found is None else str(found.get("properties", {}).get("status") or "")

    def cancel(self) -> None:
        """Ask it to end; one that has ended is left."""
        self._workspace.cancel_job(self._name)

    def listen(self, *, to_the_end: bool = False) -> dict[str, Any]:
        """Tell what was written since the last time; the run's details. At the end nothing may stay unread."""
        details, whole = self._listen_once(to_the_end=to_the_end)
        if to_the_end and not whole:  # the signatures of the addresses had expired
            details, _ = self._listen_once(to_the_end=True)
        return details

    def _listen_once(self, *, to_the_end: bool) -> tuple[dict[str, Any], bool]:
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


def find_service(workspace: AzureWorkspace) -> str:
    """The address of the region's services, which know the histories of runs."""
    found = workspace.get("") or {}
    where = found.get("properties", {}).get("discoveryUrl", "")
    services = workspace.rest.call("GET", where).json() if where else {}
    return str((services or {}).get("api") or "").rstrip("/")
