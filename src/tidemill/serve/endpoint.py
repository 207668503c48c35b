"""`python -m tidemill.serve.endpoint DIR`: one daemon per local endpoint; reads desired.json, writes observed.json."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tidemill.base.errors import ConflictError
from tidemill.base.files import locked, write_atomic
from tidemill.base.proc import started_at
from tidemill.serve.router import HEAD_LIMIT, Router
from tidemill.serve.supervisor import STOP_SIGNALS, Supervisor, Wish

LOG = logging.getLogger("tidemill.endpoint")
TICK_S = 0.05


class EndpointDaemon:
    """Makes what desired.json asks for true, and says in observed.json how far it got."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._router = Router()
        self._supervisor = Supervisor(folder, self._router)
        self._stamp = 0
        self._said = ""
        self._desired: dict[str, Any] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Serve until told to stop."""
        self._read()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._read)
        host, port = self._desired["host"], self._desired["port"]
        try:
            front = await asyncio.start_server(
                self._router.serve, host, port, limit=HEAD_LIMIT, backlog=1024, reuse_address=True
            )
        except OSError as exc:
            self._say({"state": "Failed", "error": f"port {port} on {host}: {exc.strerror}"})
            return 4
        self._url = f"http://{host}:{front.sockets[0].getsockname()[1]}"
        async with front:
            while not self._stopping.is_set():
                self._read()
                self._supervisor.tick()
                self._observe()
                try:
                    await asyncio.wait_for(self._stopping.wait(), TICK_S)
                except TimeoutError:
                    continue
        await self._supervisor.stop()
        self._say({"state": "Stopped"})
        return 0

    def _read(self) -> None:
        """Take in desired.json when it changed."""
        path = self._folder / "desired.json"
        try:
            stamp = path.stat().st_mtime_ns
        except FileNotFoundError:
            self._stopping.set()
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._desired = json.loads(path.read_text(encoding="utf-8"))
        wishes = [_wish(name, item) for name, item in self._desired["deployments"].items()]
        self._supervisor.want(wishes, self._desired.get("traffic", {}), self._desired.get("mirror_traffic", {}))

    def _observe(self) -> None:
        deployments = self._supervisor.observed()
        serving = [d for d in deployments.values() if d["traffic"]]
        healthy = [d for d in serving if d["state"] == "Healthy"]
        state = "Healthy" if serving and len(healthy) == len(serving) else "Degraded" if healthy else "Starting"
        self._say({"state": state, "deployments": deployments})

    def _say(self, what: dict[str, Any]) -> None:
        content = {
            "pid": os.getpid(),
            "started": started_at(os.getpid()),
            "url": getattr(self, "_url", ""),
            "seen": self._stamp,
            **what,
        }
        text = json.dumps(content, indent=1)
        if text != self._said:
            self._said = text
            write_atomic(self._folder / "observed.json", text)


def _wish(name: str, item: dict[str, Any]) -> Wish:
    about = {k: item.get(k, "") for k in ("model", "version", "model_digest")}
    return Wish(name, tuple(item["argv"]), item.get("env", {}), item.get("cwd", "."), about)


def main() -> int:
    """One daemon per folder; a second one ends at once."""
    folder = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        with locked(folder / "daemon.lock", wait=False, what=f"endpoint `{folder.name}`"):
            return asyncio.run(EndpointDaemon(folder).run())
    except ConflictError as exc:
        LOG.info("%s", exc)
        return 0


if __name__ == "__main__":
    sys.exit(main())
