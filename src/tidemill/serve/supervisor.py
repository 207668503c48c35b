"""Keeps the servers of an endpoint's versions running: started, watched, restarted with patience, drained before they stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import shutil
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.base import proc
from tidemill.serve.probing import GRACE_S, Probing
from tidemill.serve.router import ANSWER_S, Backend, Router

LOG = logging.getLogger("tidemill.endpoint")
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
DRAIN_S = 30.0
END_S = 20.0  # an idle server has ten seconds for its last records, and tidies up after itself
LEFTOVER_S = 2.0
START_S, AGAIN_S = 0.05, 0.1
ROTATE_EVERY_S = 5.0
LOG_BYTES = 10 << 20
OK = 200
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Wish:
    """One version as desired.json asks for it; `{port}` in `argv` and in the environment is filled in."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    about: Mapping[str, Any]
    probing: Probing = Probing()


@dataclass(slots=True)
class Server:
    """One version's process. `before` is the one of the same name that serves until this one is ready."""

    wish: Wish
    backend: Backend
    process: proc.Popen[bytes] | None = None
    started: str = ""
    state: str = "Starting"
    restarts: int = 0
    last_error: str = ""
    began: float = 0.0
    wait_s: float = FIRST_WAIT_S
    next_ready: float = 0.0
    next_life: float = 0.0
    silent_from: float = 0.0
    missed: int = 0
    unready: int = 0
    readied: int = 0
    before: Server | None = None
    task: asyncio.Task[None] | None = field(default=None)


class Supervisor:
    """All versions of one endpoint. `tick` looks at each and does what is due; nothing blocks."""

    def __init__(self, folder: Path, router: Router) -> None:
        self._folder = folder
        self._router = router
        self.servers: dict[str, Server] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._rotate_at = 0.0

    def want(self, wishes: Sequence[Wish], traffic: Mapping[str, int], mirror: Mapping[str, int]) -> None:
        """Start what is new, start what changed beside what it replaces, drain what is not wanted, share the traffic."""
        named = {w.name: w for w in wishes}
        for name in [n for n in self.servers if n not in named]:
            self._retire(self.servers.pop(name))
        for name, wish in named.items():
            present = self.servers.get(name)
            if present is None or present.wish != wish:
                self._replace(present, wish)
        for name, backend in self._router.backends.items():
            backend.weight = traffic.get(name, 0) if name in named else 0
            backend.mirror = mirror.get(name, 0) if name in named else 0

    def _replace(self, present: Server | None, wish: Wish) -> None:
        """A changed version takes over the name when it is ready, not before; asking for the old one again takes it back."""
        before = present
        if present is not None and present.before is not None:
            before, present.before = present.before, None
            self._retire(present)
            if before.wish == wish:
                self.servers[wish.name] = before
                return
        request_s = wish.probing.request_s
        answer_s = ANSWER_S if request_s is None else request_s + GRACE_S
        server = Server(wish, Backend(wish.name, answer_s=answer_s), before=before)
        if before is None:
            self._router.backends[wish.name] = server.backend
        self.servers[wish.name] = server
        self._start(server)

    def tick(self) -> None:
        """Notice deaths, start again what is due, ask whether they live."""
        now = time.monotonic()
        for server in self._all():
            if server.process is None:
                if now >= server.backend.back_at:
                    self._start(server)
            elif server.process.poll() is not None:
                self._died(server)
            elif server.task is None or server.task.done():
                self._ask(server, now)
        if now >= self._rotate_at:
            self._rotate_at = now + ROTATE_EVERY_S
            for log in self._folder.glob("*.log"):
                rotate(log)

    def _ask(self, server: Server, now: float) -> None:
        """Start the questions that are due; one that hung up on the router is asked at once."""
        if server.state == "Healthy" and now - server.began > STEADY_S:
            server.wait_s = FIRST_WAIT_S
        if server.backend.doubted:
            server.backend.doubted, server.next_ready = False, now
        if now >= (server.next_ready if server.state != "Healthy" else min(server.next_ready, server.next_life)):
            server.task = asyncio.create_task(self._probe(server))

    def _all(self) -> list[Server]:
        servers = list(self.servers.values())
        return servers + [s.before for s in servers if s.before is not None]

    def _start(self, server: Server) -> None:
        port = free_port()
        argv = [a.replace("{port}", str(port)) for a in server.wish.argv]
        env = {k: v.replace("{port}", str(port)) for k, v in server.wish.env.items()}
        server.backend.port = port
        server.began = time.monotonic()
        server.state, server.missed, server.unready, server.readied = "Starting", 0, 0, 0
        server.next_ready = server.began + server.wish.probing.ready.delay_s
        log = self._folder / f"{server.wish.name}.log"
        try:
            server.process = proc.start_child(argv, cwd=Path(server.wish.cwd), env={**os.environ, **env}, log=log)
            server.started = proc.started_at(server.process.pid)
        except OSError as exc:
            self._plan_restart(server, f"{exc.filename or argv[0]}: {exc.strerror}")

    def _died(self, server: Server) -> None:
        if server.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # workers the dead leader left behind
            os.killpg(server.process.pid, signal.SIGKILL)
        code = server.process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        words = _last_line(self._folder / f"{server.wish.name}.log")
        self._plan_restart(server, how if code < 0 or not words else f"{words} ({how})")

    def _plan_restart(self, server: Server, error: str) -> None:
        LOG.warning("%s ended: %s; starting again in %.1f s", server.wish.name, error, server.wait_s)
        server.backend.doubt()
        server.process, server.state = None, "Unhealthy"
        server.last_error = error
        server.restarts += 1
        server.backend.back_at = time.monotonic() + server.wait_s
        server.wait_s = min(server.wait_s * 2, LONGEST_WAIT_S)

    async def _probe(self, server: Server) -> None:
        """Ask what is due: whether it is ready, and whether it lives."""
        if time.monotonic() >= server.next_ready:
            await self._ask_ready(server)
        if server.state == "Healthy" and time.monotonic() >= server.next_life:
            await self._ask_life(server)

    async def _ask_ready(self, server: Server) -> None:
        """Traffic comes with readiness, and goes when it was not ready too often."""
        process, probing = server.process, server.wish.probing.ready
        status, body = await ask(server.backend.port, "/readyz", probing.timeout_s)
        now = time.monotonic()
        if server.process is not process or process is None or process.poll() is not None:
            return  # the answer is about a process that is not there any more
        if status == OK:
            server.unready, server.readied = 0, server.readied + 1
            server.next_ready = now + (probing.every_s or math.inf)
            if server.backend.ready:
                return
            if server.readied < probing.wanted:
                server.next_ready = now + START_S
                return
            server.missed, server.next_life = 0, now + server.wish.probing.every_s
            self._became_ready(server)
            return
        server.readied, server.unready = 0, server.unready + 1
        if status:
            server.last_error = body[:500]
        if server.backend.ready and server.unready < probing.tolerated:
            server.next_ready = now + probing.every_s
            return
        server.backend.ready = False
        server.next_ready = now + (AGAIN_S if server.state == "Healthy" else START_S)
        start_s = server.wish.probing.start_s
        if server.state != "Healthy" and not status and start_s is not None and now - server.began > start_s:
            await self._end(server, f"it said nothing within {start_s:g} s of its start")

    async def _ask_life(self, server: Server) -> None:
        """Killed when it lives no more; one that is busy has as long as its requests have."""
        process, probing = server.process, server.wish.probing
        status, _ = await ask(server.backend.port, "/healthz", probing.timeout_s)
        now = time.monotonic()
        if server.process is not process or process is None or process.poll() is not None:
            return
        if status == OK:
            server.missed, server.next_life = 0, now + probing.every_s
            return
        if not server.missed:
            server.silent_from = now
        server.missed += 1
        server.next_life = now + (min(1.0, probing.every_s) if server.backend.ready else AGAIN_S)
        inside = server.backend.inside > 0 or status != 0
        if inside or not server.backend.ready:
            if now - server.silent_from > probing.silence_s(inside=inside):
                await self._end(server, "it did not answer")
        elif server.missed >= probing.tolerated:
            await self._end(server, "it did not answer")

    async def _end(self, server: Server, why: str) -> None:
        LOG.warning("%s: %s; stopping it", server.wish.name, why)
        server.last_error = why
        if server.process is not None:
            await asyncio.to_thread(proc.stop_group, server.process.pid, grace_s=1)

    def _became_ready(self, server: Server) -> None:
        if self.servers.get(server.wish.name) is server and server.before is not None:
            old, server.before = server.before, None
            server.backend.weight, server.backend.mirror = old.backend.weight, old.backend.mirror
            self._router.backends[server.wish.name] = server.backend
            server.backend.ready = server.backend.was_ready = True
            self._retire(old)
        server.backend.ready = server.backend.was_ready = True
        server.state, server.last_error = "Healthy", ""

    def _retire(self, server: Server) -> None:
        """No new requests; stop when the last one inside has been answered."""
        for one in (server, server.before):
            if one is not None:
                one.backend.ready = one.backend.was_ready = False
                task = asyncio.create_task(self._drain(one))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _drain(self, server: Server) -> None:
        request_s = server.wish.probing.request_s or 0.0
        deadline = time.monotonic() + max(DRAIN_S, request_s)
        while server.backend.inside and time.monotonic() < deadline:  # noqa: ASYNC110 - the router only counts
            await asyncio.sleep(0.02)
        await self._router.forget(server.backend)
        if server.process is not None:
            await asyncio.to_thread(proc.stop_group, server.process.pid, grace_s=END_S)
            server.process.wait()

    async def stop(self) -> None:
        """Drain and stop everything."""
        for name in list(self.servers):
            self._retire(self.servers.pop(name))
        while self._leaving:
            await asyncio.gather(*list(self._leaving))

    def observed(self) -> dict[str, Any]:
        """How every version stands; while a changed one is starting, `replaces` tells of the one that serves."""
        return {name: _row(server) for name, server in self.servers.items()}


def _row(server: Server) -> dict[str, Any]:
    """One version as observed.json tells it."""
    serving = server.before or server
    row = {
        **server.wish.about,
        "state": "Unhealthy" if server.state == "Healthy" and not server.backend.ready else server.state,
        "pid": server.process.pid if server.process else None,
        "started": server.started,
        "port": server.backend.port,
        "restarts": server.restarts,
        "last_error": server.last_error,
        "traffic": serving.backend.weight,
        "mirror_traffic": serving.backend.mirror,
    }
    return row if server.before is None else {**row, "replaces": _row(server.before)}


def stop_leftovers(observed: Mapping[str, Any]) -> int:
    """Stop servers a daemon that was killed could not take with it; how many there were."""
    rows = list(observed.get("deployments", {}).values())
    rows += [r["replaces"] for r in rows if r.get("replaces")]
    alive = [r["pid"] for r in rows if r.get("pid") and r.get("started") == proc.started_at(r["pid"]) != ""]
    for pid in alive:
        proc.stop_group(pid, grace_s=LEFTOVER_S)
    return len(alive)


async def ask(port: int, path: str, timeout_s: float) -> tuple[int, str]:
    """Status and body of a GET on loopback; 0 when nothing answers."""
    try:
        async with asyncio.timeout(timeout_s):
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
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.strip() and not line.startswith("hint:")]
    return said[-1].removeprefix("error: ")[:500] if said else ""


def rotate(log: Path, limit: int = LOG_BYTES) -> bool:
    """Keep one older part of a log that grew too long. Its writer goes on in the same file, so it is copied and emptied."""
    if log.stat().st_size <= limit:
        return False
    shutil.copyfile(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)
    return True
