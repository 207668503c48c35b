"""The machine itself as a target: a daemon per endpoint, told by a file, asked by a file."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.base import proc
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import BackendError, FailedError
from tidemill.base.files import locked, write_atomic

DAEMON_S = 15.0
LINES = 20
POLL_S = 0.05


class LocalTarget:
    """Endpoints below `folder`. Every call is safe to repeat."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()

    def endpoints(self) -> list[str]:
        """Names of all endpoints that were ever asked for and not deleted."""
        return sorted(p.parent.name for p in self._folder.glob("*/desired.json"))

    def desired(self, endpoint: str) -> dict[str, Any]:
        """What was asked for; empty when nothing was."""
        return _read(self._folder / endpoint / "desired.json")

    def observe(self, endpoint: str) -> dict[str, Any]:
        """What is there. An endpoint whose daemon is gone is Stopped, whatever its last words were."""
        observed = _read(self._folder / endpoint / "observed.json")
        if not observed:
            return {"state": "Stopped", "deployments": {}}
        pid = observed.get("pid", 0)
        if not proc.is_alive(pid) or proc.started_at(pid) != observed.get("started"):
            stopped = {n: {**d, "state": "Stopped", "pid": None} for n, d in observed.get("deployments", {}).items()}
            state = observed["state"] if observed["state"] == "Failed" else "Stopped"
            return {**observed, "state": state, "pid": None, "deployments": stopped}
        return observed

    def put(self, endpoint: str, desired: Mapping[str, Any]) -> None:
        """Ask for this, start the daemon if there is none, and wait until it has read it; `BackendError` for a taken port."""
        folder = self._folder / endpoint
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "put.lock"):
            text = json.dumps(desired, indent=1, sort_keys=True)
            path = folder / "desired.json"
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                write_atomic(path, text, mode=0o600)  # environment variables may be secrets
            stamp = path.stat().st_mtime_ns
            if self.observe(endpoint)["state"] in {"Stopped", "Failed"}:
                (folder / "observed.json").unlink(missing_ok=True)
                argv = [sys.executable, "-m", "tidemill.serve.endpoint", str(folder)]
                proc.start_daemon(argv, cwd=folder, env=dict(os.environ), log=folder / "router.log")
            self._wait_seen(endpoint, stamp)

    def _wait_seen(self, endpoint: str, stamp: int) -> None:
        deadline = self._clock.monotonic() + DAEMON_S
        while True:
            observed = _read(self._folder / endpoint / "observed.json")
            if observed.get("state") == "Failed":
                raise BackendError(
                    f"The endpoint `{endpoint}` cannot listen: {observed['error']}",
                    hint="Stop what uses the port, or set `port:` of the stage in tidemill.yaml.",
                )
            if observed.get("seen") == stamp:
                return
            if self._clock.monotonic() > deadline:
                raise BackendError(
                    f"The daemon of endpoint `{endpoint}` did not start",
                    hint=f"See {self._folder / endpoint / 'router.log'}.",
                )
            self._clock.sleep(POLL_S)

    def wait_healthy(self, endpoint: str, deployment: str, *, timeout_s: float) -> dict[str, Any]:
        """The version's state once it is healthy; `FailedError` with its last words when it is not in time or keeps dying."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            state = self.observe(endpoint).get("deployments", {}).get(deployment, {})
            if state.get("state") == "Healthy":
                return dict(state)
            if state.get("restarts", 0) > 1 or self._clock.monotonic() > deadline:
                why = state.get("last_error") or "it did not become ready"
                words = "\n".join(f"  | {line}" for line in self.logs(endpoint, deployment))
                raise FailedError(
                    f"The deployment `{deployment}` of `{endpoint}` did not start: {why}\n{words}",
                    hint="The previous version is still serving.",
                )
            self._clock.sleep(POLL_S)

    def logs(self, endpoint: str, deployment: str, *, lines: int = LINES) -> list[str]:
        """The last lines a version's server wrote."""
        path = self._folder / endpoint / f"{deployment}.log"
        if not path.exists():
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]

    def delete(self, endpoint: str) -> bool:
        """Stop the endpoint and everything of it; whether there was one."""
        folder = self._folder / endpoint
        observed = self.observe(endpoint)
        existed = (folder / "desired.json").exists()
        (folder / "desired.json").unlink(missing_ok=True)
        pid = observed.get("pid")
        if pid:
            os.kill(pid, signal.SIGTERM)
            deadline = self._clock.monotonic() + 45
            while proc.is_alive(pid) and self._clock.monotonic() < deadline:
                self._clock.sleep(POLL_S)
            if proc.is_alive(pid):
                proc.stop_group(pid)
        return existed


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def open_target(home: Path) -> LocalTarget:
    """The local endpoints of a workspace."""
    return LocalTarget(home / "endpoints")
