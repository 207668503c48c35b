"""The front of a local endpoint: one address, traffic by weight, no request lost when versions change.

A small HTTP/1.1 proxy over asyncio streams instead of a general one, since it must pick a version per request, retry one whose
server just went away, copy requests to a mirror, and know how many requests are still inside a version that is to stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

LOG = logging.getLogger("tidemill.endpoint")
HEAD_LIMIT = 64 << 10
BODY_LIMIT = 64 << 20
POOL = 64
TRIES = 3
PIN = b"azureml-model-deployment"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Head:
    """The first line and headers of a message, names in lower case."""

    raw: bytes
    first: bytes
    headers: Mapping[bytes, bytes]

    @property
    def keeps_alive(self) -> bool:
        """Whether another message may follow on the connection."""
        return self.headers.get(b"connection", b"").lower() != b"close" and b"HTTP/1.0" not in self.first


@dataclass(slots=True)
class Backend:
    """One version's server: its port, its share, and how many requests are inside."""

    name: str
    port: int = 0
    ready: bool = False
    weight: int = 0
    mirror: int = 0
    inside: int = 0
    answered: int = 0
    failed: int = 0
    current: int = 0
    mirrored: int = 0
    pool: list[Streams] = field(default_factory=list)


class BadMessage(Exception):
    """Bytes that are not the HTTP this proxy speaks; carries the status to answer with."""

    def __init__(self, status: bytes, words: str) -> None:
        super().__init__(words)
        self.status = status


class Router:
    """Holds the backends; the supervisor changes them between requests."""

    def __init__(self) -> None:
        self.backends: dict[str, Backend] = {}
        self._mirrors: set[asyncio.Task[None]] = set()

    def choose(self, pinned: bytes, tried: set[str]) -> Backend | None:
        """The named version, else smooth weighted round robin over those that are ready and were not tried yet."""
        if pinned:
            found = self.backends.get(pinned.decode("latin-1"))
            return found if found is not None and found.ready and found.name not in tried else None
        fit = [b for b in self.backends.values() if b.ready and b.weight > 0 and b.name not in tried]
        if not fit:
            return None
        for backend in fit:
            backend.current += backend.weight
        best = max(fit, key=lambda b: b.current)
        best.current -= sum(b.weight for b in fit)
        return best

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection, request after request."""
        try:
            while True:
                head = await read_head(reader)
                if head is None:
                    break
                body = await read_body(reader, head, writer)
                await self._answer(head, body, writer)
                if not head.keeps_alive:
                    break
        except BadMessage as exc:
            writer.write(plain(exc.status, str(exc)))
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            LOG.debug("a client went away")
        finally:
            await close(writer)

    async def _answer(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        pinned = head.headers.get(PIN, b"")
        tried: set[str] = set()
        for _ in range(TRIES):
            backend = self.choose(pinned, tried)
            if backend is None:
                break
            self._mirror(backend, head, body)
            answer = await self._forward(backend, head, body)
            if answer is not None:
                backend.answered += 1
                writer.write(answer)
                await writer.drain()
                return
            tried.add(backend.name)
        known = pinned.decode("latin-1")
        words = f"The deployment `{known}` is not ready" if known else "No version is ready; come back in a moment"
        writer.write(plain(b"503 Service Unavailable", words, retry=True))
        await writer.drain()

    async def _forward(self, backend: Backend, head: Head, body: bytes) -> bytes | None:
        """The whole answer of a version; None when its server went away before it answered, so that another may."""
        backend.inside += 1
        try:
            while True:
                pooled = bool(backend.pool)
                try:
                    return await self._exchange(backend, head, body)
                except (ConnectionError, asyncio.IncompleteReadError, OSError):
                    if not pooled:  # a pooled connection may have been closed while idle; a fresh one tells the truth
                        backend.failed += 1
                        return None
        finally:
            backend.inside -= 1

    async def _exchange(self, backend: Backend, head: Head, body: bytes) -> bytes:
        streams = (
            backend.pool.pop()
            if backend.pool
            else await asyncio.open_connection("127.0.0.1", backend.port, limit=HEAD_LIMIT)
        )
        reader, writer = streams
        try:
            writer.write(head.raw + body)
            await writer.drain()
            answer = await read_head(reader)
            if answer is None:
                raise ConnectionError("closed before the answer")
            content = await read_answer_body(reader, answer, is_head=head.first.startswith(b"HEAD "))
        except BaseException:
            await close(writer)
            raise
        if answer.keeps_alive and len(backend.pool) < POOL:
            backend.pool.append(streams)
        else:
            await close(writer)
        return answer.raw[:-2] + PIN + b": " + backend.name.encode() + b"\r\n\r\n" + content

    def _mirror(self, chosen: Backend, head: Head, body: bytes) -> None:
        """Send a copy to mirrored versions in the background; their answers go nowhere."""
        for backend in self.backends.values():
            if backend.mirror <= 0 or not backend.ready or backend is chosen:
                continue
            backend.mirrored += backend.mirror
            if backend.mirrored >= 100:  # noqa: PLR2004 - per cent
                backend.mirrored -= 100
                task = asyncio.create_task(self._copy(backend, head, body))
                self._mirrors.add(task)
                task.add_done_callback(self._mirrors.discard)

    async def _copy(self, backend: Backend, head: Head, body: bytes) -> None:
        await self._forward(backend, head, body)

    async def forget(self, backend: Backend) -> None:
        """Drop a version and its idle connections; a newer one of the same name stays."""
        if self.backends.get(backend.name) is backend:
            del self.backends[backend.name]
        for _, writer in backend.pool:
            await close(writer)
        backend.pool.clear()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of the next message; None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if not exc.partial:
            return None
        raise
    except asyncio.LimitOverrunError as exc:
        raise BadMessage(b"431 Request Header Fields Too Large", "The headers are too large") from exc
    first, *lines = raw[:-4].split(b"\r\n")
    headers: dict[bytes, bytes] = defaultdict(bytes)
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise BadMessage(b"400 Bad Request", "Not an HTTP header")
        headers[name.lower()] = value.strip()
    return Head(raw, first, headers)


async def read_body(reader: asyncio.StreamReader, head: Head, writer: asyncio.StreamWriter) -> bytes:
    """A request's body, as it came."""
    if head.headers.get(b"expect", b"").lower() == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if head.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        if b"content-length" in head.headers:
            raise BadMessage(b"400 Bad Request", "Content-Length and Transfer-Encoding exclude each other")
        return await read_chunks(reader)
    length = _length(head)
    return await reader.readexactly(length) if length else b""


async def read_answer_body(reader: asyncio.StreamReader, head: Head, *, is_head: bool) -> bytes:
    """An answer's body, as it came."""
    status = head.first.split(b" ", 2)[1]
    if is_head or status in {b"204", b"304"}:
        return b""
    if head.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return await read_chunks(reader)
    if b"content-length" in head.headers:
        return await reader.readexactly(_length(head))
    return await reader.read(BODY_LIMIT)


def _length(head: Head) -> int:
    text = head.headers.get(b"content-length", b"0") or b"0"
    if not text.isdigit():
        raise BadMessage(b"400 Bad Request", "Content-Length is not a number")
    if int(text) > BODY_LIMIT:
        raise BadMessage(b"413 Content Too Large", "The body is too large")
    return int(text)


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body, kept as it is on the wire."""
    parts: list[bytes] = []
    size = 0
    while True:
        line = await reader.readline()
        try:
            length = int(line.partition(b";")[0], 16)
        except ValueError as exc:
            raise BadMessage(b"400 Bad Request", "Not a chunked body") from exc
        size += length
        if size > BODY_LIMIT:
            raise BadMessage(b"413 Content Too Large", "The body is too large")
        parts += [line, await reader.readexactly(length + 2)]
        if length == 0:
            return b"".join(parts)


def plain(status: bytes, words: str, *, retry: bool = False) -> bytes:
    """An answer of the router itself."""
    body = f'{{"detail": "{words}"}}'.encode()
    again = b"retry-after: 1\r\n" if retry else b""
    return (
        b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%sconnection: keep-alive\r\n\r\n%s"
        % (status, len(body), again, body)
    )


async def close(writer: asyncio.StreamWriter) -> None:
    """Close without minding how the other side left."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        LOG.debug("the other side was gone")
