"""The front of a local endpoint: one address, traffic by weight, no request lost when versions change or die.

A small HTTP/1.1 proxy over asyncio streams instead of a general one, since it must pick a version per request, send one again whose
server just went away, copy requests to a mirror, and know how many requests are still inside a version that is to stop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.serve.router_access import Keys, ask_for_key, is_ours
from tidemill.serve.router_clients import Clients, close
from tidemill.serve.router_http import (
    BODY_LIMIT,
    HEAD_LIMIT,
    IDLE_S,
    PIECE,
    BadMessage,
    Head,
    answer_head,
    body_length,
    plain,
    read_body,
    read_chunk,
    read_head,
    request_bytes,
)
from tidemill.serve.router_metrics import PLAIN, fetch_metrics, merge_metrics, router_metrics
from tidemill.serve.router_tracing import RouterTracing

LOG = logging.getLogger("tidemill.endpoint")
POOL = 64
DEATHS = 2
HOLD_S = 15.0
HOLD_MANY = 2048
MIRRORS = 64
ANSWER_S = 300.0
OK, SERVER_ERROR, PER_CENT = 200, 500, 100
WHOLE = 1 << 20  # answers up to this size are sent when they are complete, so that a death in their middle harms nobody
NOT_FOUND = b"404 Not Found"
PIN = b"azureml-model-deployment"
METRICS_PATH = b"/metrics"
STATE_PATH = b"/_tidemill/state"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Backend:
    """One version's server: its port, its share, and how many requests are inside."""

    name: str
    port: int = 0
    answer_s: float = ANSWER_S
    ready: bool = False
    weight: int = 0
    mirror: int = 0
    inside: int = 0
    answered: int = 0
    errors: int = 0
    died: int = 0
    current: int = 0
    mirrored: int = 0
    was_ready: bool = False
    doubted: bool = False
    back_at: float = 0.0
    took: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    pool: list[Streams] = field(default_factory=list)

    def doubt(self) -> None:
        """It hung up on us: no more requests until the supervisor has asked it again."""
        self.ready, self.doubted = False, True
        for _, writer in self.pool:
            writer.close()
        self.pool.clear()

    def numbers(self) -> dict[str, Any]:
        """What it did so far; latencies are of the last thousand answers."""
        times = sorted(self.took)
        at = {f"p{p}": round(times[min(len(times) - 1, len(times) * p // 100)] * 1e3, 3) for p in (50, 99) if times}
        counts = {"answered": self.answered, "errors": self.errors, "died": self.died, "inside": self.inside}
        return {**counts, "latency_ms": at}


class ClientGone(Exception):
    """The client left before it had its whole answer."""


class Router:
    """Holds the backends; the supervisor changes them between requests."""

    def __init__(self) -> None:
        self.backends: dict[str, Backend] = {}
        self.keys = Keys()
        self.guard_host = True
        self.sticky = b""
        self.describe: Callable[[], Mapping[str, Any]] = dict
        self.tracing: RouterTracing | None = None
        self._mirrors: set[asyncio.Task[Any]] = set()
        self.clients = Clients()
        self._held = 0

    def choose(self, pinned: bytes, key: bytes = b"") -> Backend | None:
        """The named version, else the one the sticky key falls to, else smooth weighted round robin over those that are ready."""
        if pinned:
            found = self.backends.get(pinned.decode("latin-1"))
            return found if found is not None and found.ready else None
        fit = [b for b in self.backends.values() if b.ready and b.weight > 0]
        if not fit:
            return None
        total = sum(b.weight for b in fit)
        if key:
            return _by_key(sorted(fit, key=lambda b: b.name), zlib.crc32(key) % total)
        for backend in fit:
            backend.current += backend.weight
        best = max(fit, key=lambda b: b.current)
        best.current -= total
        return best

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection, request after request."""
        try:
            while True:
                self.clients.waits(writer)
                async with asyncio.timeout(IDLE_S):
                    head = await read_head(reader)
                if head is None:
                    break
                self.clients.asks(writer, head)
                body = await read_body(reader, head, writer)
                if self.tracing is None:
                    await self._answer(head, body, writer)
                else:
                    with self.tracing.request(head):
                        await self._answer(head, body, writer)
                await writer.drain()
                if not head.keeps_alive:
                    break
        except BadMessage as exc:
            writer.write(plain(exc.status, _detail(str(exc)), headers=[b"connection: close"]))
        except (ClientGone, OSError, asyncio.IncompleteReadError, TimeoutError):
            LOG.debug("a client went away")
        finally:
            self.clients.left(writer)
            await close(writer)

    async def _answer(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        if self.guard_host and not is_ours(head):
            _refuse(head, writer, b"421 Misdirected Request", "This endpoint answers on loopback only")
        elif not self.keys.allow(head):
            head.answered = 401
            writer.write(ask_for_key(head))
        elif head.target.partition(b"?")[0] == STATE_PATH:
            head.answered = OK
            writer.write(plain(b"200 OK", json.dumps(self.describe()).encode()))
        elif head.target.partition(b"?")[0] == METRICS_PATH and PIN not in head.headers and head.method == b"GET":
            head.answered = OK
            writer.write(plain(b"200 OK", (await self._metrics(head)).encode(), kind=PLAIN))
        else:
            await self._pass_on(head, body, writer)

    async def _metrics(self, head: Head) -> str:
        """Of every version that runs, told apart."""
        running = {name: backend for name, backend in sorted(self.backends.items()) if backend.port}
        texts = await asyncio.gather(*(fetch_metrics(head, backend.port) for backend in running.values()))
        own = router_metrics((name, backend.numbers()) for name, backend in running.items())
        return merge_metrics(dict(zip(running, texts, strict=True))) + own

    async def _pass_on(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        """To a version and back; a version that dies on the way is replaced by the next that is ready, but not for ever."""
        pinned, key = head.headers.get(PIN, b""), head.headers.get(self.sticky, b"") if self.sticky else b""
        mirrored = bool(pinned)
        for _ in range(DEATHS):
            backend = await self._find(pinned, key)
            if backend is None:
                self._turn_away(head, pinned, writer)
                return
            head.asked += (backend.name,)
            if not mirrored:
                mirrored = True
                self._mirror(backend, head, body)
            if await self._forward(backend, head, body, writer):
                return
        _refuse(head, writer, b"502 Bad Gateway", "The version's server ended while it answered this request")

    def _turn_away(self, head: Head, pinned: bytes, writer: asyncio.StreamWriter) -> None:
        """There is nobody to ask: not yet (503), or not until somebody changes the endpoint (404)."""
        name = pinned.decode("latin-1")
        if name and name not in self.backends:
            _refuse(head, writer, NOT_FOUND, f"There is no deployment `{name}` behind this endpoint")
        elif not name and not any(b.weight > 0 for b in self.backends.values()):
            words = "No deployment gets traffic; ask for one by the header azureml-model-deployment, or give it some"
            _refuse(head, writer, NOT_FOUND, words)
        else:
            words = f"The deployment `{name}` is not ready" if name else "No version is ready; come back in a moment"
            _refuse(head, writer, b"503 Service Unavailable", words, b"retry-after: 1")

    async def _find(self, pinned: bytes, key: bytes) -> Backend | None:
        """A version that is ready. While one that served before is being started again, the request waits for it."""
        backend = self.choose(pinned, key)
        if backend is not None:
            return backend
        deadline = time.monotonic() + HOLD_S
        self._held += 1
        try:
            while backend is None and self._held <= HOLD_MANY and self._is_coming(pinned, deadline):
                await asyncio.sleep(0.02)
                backend = self.choose(pinned, key)
        finally:
            self._held -= 1
        return backend

    def _is_coming(self, pinned: bytes, deadline: float) -> bool:
        named = self.backends.get(pinned.decode("latin-1")) if pinned else None
        fit = ([named] if named else []) if pinned else [b for b in self.backends.values() if b.weight > 0]
        return time.monotonic() < deadline and any(b.was_ready and b.back_at < deadline for b in fit)

    async def _forward(self, backend: Backend, head: Head, body: bytes, writer: asyncio.StreamWriter | None) -> bool:
        """Ask a version and hand its answer to the client; False when its server went away before it answered."""
        backend.inside += 1
        began = time.perf_counter()
        try:
            while True:
                pooled = bool(backend.pool)
                try:
                    status = await self._exchange(backend, head, body, writer)
                except TimeoutError:
                    status = 504
                    _write(writer, plain(b"504 Gateway Timeout", _detail(f"No answer within {backend.answer_s:g} s")))
                except (OSError, asyncio.IncompleteReadError, BadMessage) as exc:
                    if pooled:  # it may have been closed while idle; a fresh connection tells the truth
                        continue
                    LOG.warning("%s hung up: %r", backend.name, exc)
                    backend.died += 1
                    backend.doubt()
                    return False
                if writer is not None:
                    head.answered = status
                    backend.answered += 1
                    backend.errors += status >= SERVER_ERROR
                    backend.took.append(time.perf_counter() - began)
                return True
        finally:
            backend.inside -= 1

    async def _exchange(self, backend: Backend, head: Head, body: bytes, client: asyncio.StreamWriter | None) -> int:
        """One request on one connection; the answer's status."""
        streams = (
            backend.pool.pop()
            if backend.pool
            else await asyncio.open_connection("127.0.0.1", backend.port, limit=HEAD_LIMIT)
        )
        reader, writer = streams
        try:
            writer.write(request_bytes(head, body, backend.port))
            async with asyncio.timeout(backend.answer_s):
                answer = await read_head(reader)
                while answer is not None and answer.status < OK:
                    answer = await read_head(reader)
            if answer is None:
                raise ConnectionResetError("closed before the answer")
            ended = await _relay(reader, answer, head, client, backend.name.encode())
        except BaseException:
            writer.close()
            raise
        if answer.keeps_alive and not ended and len(backend.pool) < POOL and backend.ready:
            backend.pool.append(streams)
        else:
            writer.close()
        return answer.status

    def _mirror(self, chosen: Backend, head: Head, body: bytes) -> None:
        """Send a copy to mirrored versions in the background; their answers go nowhere, and too many are dropped."""
        for backend in self.backends.values():
            if backend.mirror <= 0 or not backend.ready or backend is chosen:
                continue
            backend.mirrored += backend.mirror
            if backend.mirrored >= PER_CENT:
                backend.mirrored -= PER_CENT
                if len(self._mirrors) < MIRRORS:
                    task = asyncio.create_task(self._copy(backend, head, body))
                    self._mirrors.add(task)
                    task.add_done_callback(self._mirrors.discard)

    async def _copy(self, backend: Backend, head: Head, body: bytes) -> None:
        try:
            await self._forward(backend, head, body, None)
        except ClientGone:
            LOG.info("%s ended its answer to a mirrored request early", backend.name)

    async def forget(self, backend: Backend) -> None:
        """Drop a version and its idle connections; a newer one of the same name stays."""
        if self.backends.get(backend.name) is backend:
            del self.backends[backend.name]
        for _, writer in backend.pool:
            await close(writer)
        backend.pool.clear()


async def _relay(
    reader: asyncio.StreamReader, answer: Head, asked: Head, client: asyncio.StreamWriter | None, name: bytes
) -> bool:
    """An answer from a version to the client: whole when it is short, piece by piece when it is not.

    Whether the version's connection ended with it. `ClientGone` when the client does not take it, or cannot be told that the rest is missing.
    """
    extra = [PIN + b": " + name, *([] if asked.keeps_alive else [b"connection: close"])]
    if asked.method == b"HEAD" or answer.status in {204, 304}:
        announced = body_length(answer) if b"content-length" in answer.headers else -1
        _write(client, answer_head(answer, extra, length=announced))
        return False
    if not answer.is_chunked:
        ended = b"content-length" not in answer.headers
        length = BODY_LIMIT if ended else int(answer.headers[b"content-length"])
        if ended or length <= WHOLE:
            content = await (_read_all(reader) if ended else reader.readexactly(length))
            _write(client, answer_head(answer, extra, length=len(content)) + content)
            return ended
    else:
        length = -1
    _write(client, answer_head(answer, extra, length=None if length < 0 else length))
    try:
        await _relay_pieces(reader, length, client)
    except (OSError, asyncio.IncompleteReadError, BadMessage) as exc:
        if client is not None:
            client.transport.abort()
        raise ClientGone from exc
    return False


async def _relay_pieces(reader: asyncio.StreamReader, length: int, client: asyncio.StreamWriter | None) -> None:
    """`length` bytes, or chunks when it is negative, no faster than the client takes them."""
    left = length
    while left:
        piece = await (read_chunk(reader) if left < 0 else reader.read(min(PIECE, left)))
        if not piece and left > 0:
            raise ConnectionResetError("closed in the middle of an answer")
        _write(client, piece if left > 0 else b"%x\r\n%s\r\n" % (len(piece), piece))
        if client is not None:
            await client.drain()
        left = left - len(piece) if left > 0 else (-1 if piece else 0)


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while part := await reader.read(PIECE):
        parts.append(part)
        if len(parts) * PIECE > 2 * BODY_LIMIT:
            raise BadMessage(b"502 Bad Gateway", "The answer is too large")
    return b"".join(parts)


def _write(client: asyncio.StreamWriter | None, data: bytes) -> None:
    if client is None:
        return
    if client.is_closing():
        raise ClientGone
    client.write(data)


def _by_key(fit: list[Backend], place: int) -> Backend:
    """The version in whose share of the circle `place` lies."""
    for backend in fit:
        place -= backend.weight
        if place < 0:
            return backend
    return fit[-1]


def _refuse(head: Head, writer: asyncio.StreamWriter, status: bytes, words: str, *headers: bytes) -> None:
    """An answer of the router itself."""
    head.answered = int(status[:3])
    writer.write(plain(status, _detail(words), headers=headers))


def _detail(words: str) -> bytes:
    return json.dumps({"detail": words}, ensure_ascii=False).encode()
