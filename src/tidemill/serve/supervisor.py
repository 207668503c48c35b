"""Keeps the servers of an endpoint's versions running: started, watched, restarted with patience, drained before they stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.base import proc
from tidemill.serve.router import Backend, Router

LOG = logging.getLogger("tidemill.endpoint")
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
DRAIN_S = 30.0
PROBE_EVERY_S = 5.0
PROBES_TOLERATED = 3
LOG_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """One version as desired.json asks for it; `{port}` in `argv` is filled in."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    about: Mapping[str, Any]


@dataclass(slots=True)
class Server:
    """One version's process."""

    wish: Wish
    backend: Backend
    process: proc.Popen[bytes] | None = None
    state: str = "Starting"
    restarts: int = 0
    last_error: str = ""
    began: float = 0.0
    wait_s: float = FIRST_WAIT_S
    next_try: float = 0.0
    next_probe: float = 0.0
    missed: int = 0
    task: asyncio.Task[None] | None = field(default=None)


class Supervisor:
    """All versions of one endpoint. `tick` looks at each and does what is due; nothing blocks."""

    def __init__(self, folder: Path, router: Router) -> None:
        self._folder = folder
        self._router = router
        self.servers: dict[str, Server] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def want(self, wishes: Sequence[Wish], traffic: Mapping[str, int], mirror: Mapping[str, int]) -> None:
        """Start what is new or changed, drain what is not wanted any more, share the traffic."""
        named = {w.name: w for w in wishes}
        for name in [n for n, s in self.servers.items() if named.get(n) != s.wish]:
            self._retire(name)
        for name, wish in named.items():
            if name not in self.servers:
                backend = Backend(name)
                self._router.backends[name] = backend
                self.servers[name] = Server(wish, backend)
                self._start(self.servers[name])
        for name, server in self.servers.items():
            server.backend.weight = traffic.get(name, 0)
            server.backend.mirror = mirror.get(name, 0)

    def tick(self) -> None:
        """Notice deaths, start again what is due, ask whether they live."""
        now = time.monotonic()
        for server in self.servers.values():
            if server.process is None:
                if now >= server.next_try:
                    self._start(server)
            elif server.process.poll() is not None:
                self._died(server)
            elif server.task is None or server.task.done():
                if server.state == "Healthy" and now - server.began > STEADY_S:
                    server.wait_s = FIRST_WAIT_S
                if now >= server.next_probe:
                    server.task = asyncio.create_task(self._probe(server))

    def _start(self, server: Server) -> None:
        port = free_port()
        log = self._folder / f"{server.wish.name}.log"
        _rotate(log)
        argv = [a.replace("{port}", str(port)) for a in server.wish.argv]
        server.backend.port = port
        server.began = time.monotonic()
        server.state, server.missed, server.next_probe = "Starting", 0, 0.0
        try:
            server.process = proc.start_child(
                argv, cwd=Path(server.wish.cwd), env={**os.environ, **server.wish.env}, log=log
            )
        except OSError as exc:
            self._plan_restart(server, f"{argv[0]}: {exc.strerror}")

    def _died(self, server: Server) -> None:
        code = server.process.returncode if server.process else 0
        self._plan_restart(server, _last_line(self._folder / f"{server.wish.name}.log") or f"exit code {code}")

    def _plan_restart(self, server: Server, error: str) -> None:
        LOG.warning("%s ended: %s; starting again in %.1f s", server.wish.name, error, server.wait_s)
        server.process, server.backend.ready, server.state = None, False, "Unhealthy"
        server.last_error = error
        server.restarts += 1
        server.next_try = time.monotonic() + server.wait_s
        server.wait_s = min(server.wait_s * 2, LONGEST_WAIT_S)

    async def _probe(self, server: Server) -> None:
        """Ready when /readyz says so; killed when it lives no more."""
        path = "/healthz" if server.backend.ready else "/readyz"
        status, body = await ask(server.backend.port, path)
        now = time.monotonic()
        if status == 200:  # noqa: PLR2004 - OK
            server.backend.ready, server.state, server.missed = True, "Healthy", 0
            server.next_probe = now + PROBE_EVERY_S
            return
        if not server.backend.ready:
            server.next_probe = now + 0.05
            if status:
                server.last_error = body[:500]
            return
        server.missed += 1
        server.next_probe = now + 1
        if server.missed >= PROBES_TOLERATED and server.process is not None:
            LOG.warning("%s does not answer; stopping it", server.wish.name)
            server.last_error = "it did not answer"
            await asyncio.to_thread(proc.stop_group, server.process.pid, grace_s=1)

    def _retire(self, name: str) -> None:
        """No new requests; stop when the last one inside has been answered."""
        server = self.servers.pop(name)
        server.backend.ready = False
        task = asyncio.create_task(self._drain(server))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _drain(self, server: Server) -> None:
        deadline = time.monotonic() + DRAIN_S
        while server.backend.inside and time.monotonic() < deadline:  # noqa: ASYNC110 - the router only counts
            await asyncio.sleep(0.02)
        await self._router.forget(server.backend)
        if server.process is not None:
            await asyncio.to_thread(proc.stop_group, server.process.pid, grace_s=10)
            server.process.wait()

    async def stop(self) -> None:
        """Drain and stop everything."""
        for name in list(self.servers):
            self._retire(name)
        while self._leaving:
            await asyncio.gather(*list(self._leaving))

    def observed(self) -> dict[str, Any]:
        """How every version stands."""
        return {
            name: {
                **server.wish.about,
                "state": server.state,
                "pid": server.process.pid if server.process else None,
                "port": server.backend.port,
                "restarts": server.restarts,
                "last_error": server.last_error,
                "traffic": server.backend.weight,
                "mirror_traffic": server.backend.mirror,
            }
            for name, server in self.servers.items()
        }


async def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET on loopback; 0 when nothing answers."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
            raw = await reader.read(1 << 16)
            writer.close()
    except (OSError, TimeoutError):
        return 0, ""
    head, _, body = raw.partition(b"\r\n\r\n")
    parts = head.split(b" ", 2)
    return (int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0), body.decode(errors="replace")


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_line(log: Path) -> str:
    try:
        lines = log.read_bytes()[-4096:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
