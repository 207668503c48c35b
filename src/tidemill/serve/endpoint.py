"""`python -m tidemill.serve.endpoint DIR`: one daemon per local endpoint; reads desired.json, writes observed.json."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tidemill.base.errors import ConflictError
from tidemill.base.files import locked, write_atomic
from tidemill.base.proc import started_at
from tidemill.serve.probing import read_probing
from tidemill.serve.router import Router
from tidemill.serve.router_access import LOOPBACK
from tidemill.serve.router_http import HEAD_LIMIT
from tidemill.serve.router_tracing import make_tracing
from tidemill.serve.sockets import allow_many
from tidemill.serve.supervisor import STOP_SIGNALS, Supervisor, Wish, stop_leftovers

LOG = logging.getLogger("tidemill.endpoint")
TICK_S = 0.05
QUIET_S = 0.2  # between looks when all is well; SIGHUP says that there is something to read
BACKLOG = 1024


class EndpointDaemon:
    """Makes what desired.json asks for true, and says in observed.json how far it got."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._router = Router()
        self._router.describe = self._describe
        self._supervisor = Supervisor(folder, self._router)
        self._stamp = 0
        self._error = ""
        self._said = ""
        self._url = ""
        self._state: dict[str, Any] = {}
        self._desired: dict[str, Any] = {}
        self._stopping = False
        self._wake = asyncio.Event()

    async def run(self) -> int:
        """Serve until told to stop."""
        stop_leftovers(_read_json(self._folder / "observed.json"))
        self._read()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._wake.set)
        host, port = self._desired.get("host", "127.0.0.1"), self._desired.get("port", 0)
        try:
            front = await asyncio.start_server(
                self._router.serve, host, port, limit=HEAD_LIMIT, backlog=BACKLOG, reuse_address=True
            )
        except OSError as exc:
            await self._supervisor.stop()
            self._say({"state": "Failed", "error": f"port {port} on {host}: {exc.strerror}"})
            return 4
        bound = front.sockets[0].getsockname()[1]
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        self._trace()
        while not self._stopping:
            self._wake.clear()
            self._read()
            self._supervisor.tick()
            self._observe()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), QUIET_S if self._is_quiet() else TICK_S)
        await self._router.clients.let_go(front.sockets)
        front.close()
        await self._supervisor.stop()
        await self._router.clients.hang_up()
        if self._router.tracing:
            await self._router.tracing.close()
        self._say({"state": "Stopped"})
        return 0

    def _trace(self) -> None:
        """An endpoint whose collector cannot be asked answers all the same."""
        try:
            self._router.tracing = make_tracing(os.environ, self._folder.name)
        except (OSError, ValueError) as exc:
            LOG.warning("no traces are sent: the collector's certificate cannot be used: %s", exc)

    def _stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def _is_quiet(self) -> bool:
        return all(d["state"] == "Healthy" for d in self._state.get("deployments", {}).values())

    def _read(self) -> None:
        """Take in desired.json when it changed; what cannot be read changes nothing and is reported."""
        path = self._folder / "desired.json"
        try:
            stamp = path.stat().st_mtime_ns
            if stamp == self._stamp:
                return
            desired = json.loads(path.read_text(encoding="utf-8"))
            wishes = [_wish(name, item) for name, item in desired["deployments"].items()]
        except FileNotFoundError:
            self._stop()
            return
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._stamp, self._error = stamp, f"desired.json cannot be read: {exc!r}"
            LOG.exception("desired.json cannot be read")
            return
        self._stamp, self._error, self._desired = stamp, "", desired
        self._router.keys.path = Path(desired["tokens"]) if desired.get("tokens") else None
        self._router.guard_host = desired.get("host", "127.0.0.1").encode() in LOOPBACK
        self._router.sticky = str(desired.get("sticky_header") or "").lower().encode()
        self._supervisor.want(wishes, desired.get("traffic", {}), desired.get("mirror_traffic", {}))

    def _observe(self) -> None:
        deployments = self._supervisor.observed()
        serving = [d.get("replaces", d) for d in deployments.values() if d["traffic"]]
        healthy = [d for d in serving if d["state"] == "Healthy"]
        state = "Healthy" if serving and len(healthy) == len(serving) else "Degraded" if healthy else "Starting"
        if not serving:
            state = "NoTraffic" if deployments else "NoDeployment"
        self._say({"state": state, "deployments": deployments})

    def _describe(self) -> Mapping[str, Any]:
        """What `/_tidemill/state` answers: observed.json and the router's numbers."""
        numbers = {name: backend.numbers() for name, backend in self._router.backends.items()}
        traces = {"spans": self._router.tracing.numbers()} if self._router.tracing else {}
        return {**self._state, "numbers": numbers, **traces}

    def _say(self, what: Mapping[str, Any]) -> None:
        self._state = {
            "pid": os.getpid(),
            "started": started_at(os.getpid()),
            "url": self._url,
            "seen": self._stamp,
            **({"error": self._error} if self._error else {}),
            **what,
        }
        text = json.dumps(self._state, indent=1)
        if text != self._said:
            self._said = text
            write_atomic(self._folder / "observed.json", text)


def _wish(name: str, item: Mapping[str, Any]) -> Wish:
    about = {k: item.get(k, "") for k in ("model", "version", "model_digest")}
    return Wish(
        name,
        tuple(item["argv"]),
        {"TIDEMILL_DEPLOYMENT": name, **item.get("env", {})},
        item.get("cwd", "."),
        about,
        read_probing(item),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _runner() -> Callable[..., Any]:
    """Uvloop where it is installed: half the time per request."""
    return import_module("uvloop").run if find_spec("uvloop") else asyncio.run


def main() -> int:
    """One daemon per folder; a second one ends at once."""
    folder = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        allow_many()
        with locked(folder / "daemon.lock", wait=False, what=f"endpoint `{folder.name}`"):
            code: int = _runner()(EndpointDaemon(folder).run())
            return code
    except ConflictError as exc:
        LOG.info("%s", exc)
        return 0


if __name__ == "__main__":
    sys.exit(main())
