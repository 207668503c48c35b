"""The machine itself as a target: a daemon per endpoint, told by a file, asked by a file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tidemill.base import proc
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import BackendError, FailedError
from tidemill.base.files import locked, write_atomic
from tidemill.serve.supervisor import stop_leftovers

DAEMON_S = 15.0
STOP_S = 45.0
LINES = 20
POLL_S = 0.05
DIFFERS = '{"status":"differs from training"'
FIRST_DIFFERENCE = re.compile(r'"differences":\["((?:[^"\\]|\\.)*)')


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
            observed = self.observe(endpoint)
            pid = observed.get("pid") or 0
            if pid and not _listens_at(observed["url"], desired):
                self._stop(pid)
                pid = 0
            if not pid or observed["state"] in {"Stopped", "Failed"}:
                argv = [sys.executable, "-m", "tidemill.serve.endpoint", str(folder)]
                pid = proc.start_daemon(argv, cwd=folder, env=dict(os.environ), log=folder / "router.log")
            elif observed.get("seen") != stamp:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)
            self._wait_seen(endpoint, stamp, pid)

    def _wait_seen(self, endpoint: str, stamp: int, pid: int) -> None:
        """Until the daemon `pid` listens and has read what was written at `stamp`."""
        deadline = self._clock.monotonic() + DAEMON_S
        while True:
            is_alive = proc.is_alive(pid)  # asked first: a daemon's last words are there before it ends
            observed = _read(self._folder / endpoint / "observed.json")
            if observed.get("pid") == pid and observed.get("state") == "Failed":
                raise BackendError(
                    f"The endpoint `{endpoint}` cannot listen: {observed['error']}",
                    hint="Stop what uses the port, or set `port:` of the stage in tidemill.yaml.",
                )
            if observed.get("pid") == pid and observed.get("seen") == stamp and observed.get("url"):
                if observed.get("error"):
                    raise BackendError(f"The daemon of endpoint `{endpoint}` refused: {observed['error']}")
                return
            if self._clock.monotonic() > deadline or not is_alive:
                words = "\n".join(f"  | {line}" for line in self.logs(endpoint, "router"))
                raise BackendError(
                    f"The daemon of endpoint `{endpoint}` did not start\n{words}",
                    hint=f"See {self._folder / endpoint / 'router.log'}.",
                )
            self._clock.sleep(POLL_S)

    def wait_healthy(self, endpoint: str, deployment: str, *, timeout_s: float) -> dict[str, Any]:
        """The version's state once it is healthy; `FailedError` with its last words when it is not in time, keeps dying or will never be."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            state = self.observe(endpoint).get("deployments", {}).get(deployment, {})
            if state.get("state") == "Healthy":
                return dict(state)
            refusal = _refusal(state.get("last_error") or "")
            if refusal or state.get("restarts", 0) > 1 or self._clock.monotonic() > deadline:
                why = refusal or state.get("last_error") or "it did not become ready"
                words = "\n".join(f"  | {line}" for line in self.logs(endpoint, deployment))
                raise FailedError(
                    f"The deployment `{deployment}` of `{endpoint}` did not start: {why}\n{words}",
                    hint=self._what_serves(endpoint, deployment),
                )
            self._clock.sleep(POLL_S)

    def _what_serves(self, endpoint: str, deployment: str) -> str:
        """What a start that failed leaves: the version before it or another one, or nothing but its log."""
        found = self.observe(endpoint).get("deployments", {})
        others = [d for n, d in found.items() if n != deployment] + [found.get(deployment, {}).get("replaces") or {}]
        if any(d.get("traffic") and d.get("state") == "Healthy" for d in others):
            return "The previous version is still serving."
        return f"All it said is in {self._folder / endpoint / f'{deployment}.log'}."

    def logs(self, endpoint: str, deployment: str, *, lines: int = LINES) -> list[str]:
        """The last lines a version's server wrote, those before its log was turned over included."""
        found: list[str] = []
        for suffix in (".log", ".log.1"):
            path = self._folder / endpoint / f"{deployment}{suffix}"
            if len(found) < lines and path.exists():
                found = path.read_text(encoding="utf-8", errors="replace").splitlines() + found
        return found[-lines:]

    def numbers(self, endpoint: str) -> dict[str, Any]:
        """What the router counted per version: answered, errors, died, latency_ms; empty when the endpoint is down."""
        url = self.observe(endpoint).get("url", "")
        keys = self.desired(endpoint).get("tokens")
        headers = {"authorization": f"Bearer {Path(keys).read_text(encoding='utf-8').split()[0]}"} if keys else {}
        try:
            with urlopen(Request(f"{url}/_tidemill/state", headers=headers), timeout=5) as answer:  # noqa: S310 - ours
                found: dict[str, Any] = json.load(answer)["numbers"]
        except (OSError, ValueError):
            return {}
        return found

    def delete(self, endpoint: str) -> bool:
        """Stop the endpoint and everything of it; whether there was one."""
        folder = self._folder / endpoint
        observed = self.observe(endpoint)
        existed = (folder / "desired.json").exists()
        (folder / "desired.json").unlink(missing_ok=True)
        if observed.get("pid"):
            self._stop(observed["pid"])
        stop_leftovers(_read(folder / "observed.json"))
        return existed

    def _stop(self, pid: int) -> None:
        """End a daemon, which drains and stops its versions; insist when it takes too long."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = self._clock.monotonic() + STOP_S
        while proc.is_alive(pid) and self._clock.monotonic() < deadline:
            self._clock.sleep(POLL_S)
        if proc.is_alive(pid):
            proc.stop_group(pid)


def _listens_at(url: str, desired: Mapping[str, Any]) -> bool:
    """Whether a daemon's address is the one asked for; port 0 asks for none in particular."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host.strip("[]") == desired["host"] and desired["port"] in {0, int(port or 0)}


def _refusal(said: str) -> str:
    """Why a server that runs will never be ready: its golden rows came out otherwise than at training time. Empty while it may."""
    if not said.startswith(DIFFERS):
        return ""
    found = FIRST_DIFFERENCE.search(said)
    return f"it answers otherwise than at training time: {found[1] if found else said}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def open_target(home: Path) -> LocalTarget:
    """The local endpoints of a workspace."""
    return LocalTarget(home / "endpoints")
