"""HTTP/1.1 as the router speaks it: messages read strictly, written in one normal form, so that nothing can be smuggled past it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

HEAD_LIMIT = 64 << 10
BODY_LIMIT = 64 << 20
PIECE = 64 << 10
IDLE_S = 75.0
BODY_S = 60.0
JSON = b"application/json"
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIRST = re.compile(rb"[A-Z]+ [\x21-\xff]+ HTTP/1\.[01]|HTTP/1\.[01] [0-9]{3}(?: .*)?")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_SINGLE = {b"content-length", b"transfer-encoding", b"host"}
# Headers about one connection, not about the message; `host` and the length are written anew.
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect", b"host"}
_FRAMING = {b"content-length", b"transfer-encoding"}


@dataclass(slots=True)
class Head:
    """The first line and headers of a message; `headers` by name in lower case, `lines` as they came.

    Of a request, `asked` are the versions it went to and `answered` is the status its client got.
    """

    first: bytes
    lines: list[tuple[bytes, bytes]]
    headers: dict[bytes, bytes]
    answered: int = 0
    asked: tuple[str, ...] = ()

    @property
    def keeps_alive(self) -> bool:
        """Whether another message may follow on the connection."""
        return self.headers.get(b"connection", b"").lower() != b"close" and not self.is_old

    def end_connection(self) -> None:
        """No other message follows, whatever the client asked for."""
        self.headers[b"connection"] = b"close"

    @property
    def is_old(self) -> bool:
        """HTTP/1.0, which knows neither chunks nor connections that stay."""
        return b"HTTP/1.0" in self.first

    @property
    def method(self) -> bytes:
        """Of a request."""
        return self.first.partition(b" ")[0]

    @property
    def target(self) -> bytes:
        """Path and query of a request."""
        return self.first.split(b" ", 2)[1]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split(b" ", 2)[1])

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return b"transfer-encoding" in self.headers


class BadMessage(Exception):
    """Bytes that are not the HTTP this proxy speaks; carries the status to answer with."""

    def __init__(self, status: bytes, words: str) -> None:
        super().__init__(words)
        self.status = status


def parse_head(raw: bytes) -> Head:
    """A head with its closing empty line; `BadMessage` for anything two readers could understand differently."""
    first, *lines = raw[:-4].split(b"\r\n")
    if raw.count(b"\n") != len(lines) + 2 or raw.count(b"\r") != len(lines) + 2 or b"\0" in raw:
        raise BadMessage(b"400 Bad Request", "Not an HTTP header")
    if _FIRST.fullmatch(first) is None:
        raise BadMessage(b"400 Bad Request", "Not an HTTP request")
    headers: dict[bytes, bytes] = {}
    kept: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.lower()
        if not colon or _NAME.fullmatch(name) is None or (key in headers and key in _SINGLE):
            raise BadMessage(b"400 Bad Request", "Not an HTTP header")
        headers[key] = value.strip()
        kept.append((key, line))
    if b"transfer-encoding" in headers and (
        b"content-length" in headers or headers[b"transfer-encoding"].lower() != b"chunked"
    ):
        raise BadMessage(b"400 Bad Request", "Content-Length or chunks, not both, and no other coding")
    return Head(first, kept, headers)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of the next message; None at the end of the connection."""
    try:
        return parse_head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as exc:
        if not exc.partial.strip():
            return None
        raise
    except asyncio.LimitOverrunError as exc:
        raise BadMessage(b"431 Request Header Fields Too Large", "The headers are too large") from exc


async def read_body(reader: asyncio.StreamReader, head: Head, writer: asyncio.StreamWriter) -> bytes:
    """A request's body, without its framing; `BadMessage` when it is too large or too slow."""
    if not head.is_chunked and not head.headers.get(b"content-length", b"0").strip(b"0"):
        return b""
    length = None if head.is_chunked else body_length(head)
    if head.headers.get(b"expect", b"").lower() == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_S):
            return await (read_chunks(reader) if length is None else reader.readexactly(length))
    except TimeoutError as exc:
        raise BadMessage(b"408 Request Timeout", f"The body did not arrive within {BODY_S:g} s") from exc


def body_length(head: Head) -> int:
    """The announced length, within bounds."""
    text = head.headers.get(b"content-length", b"0")
    if not text.isdigit():
        raise BadMessage(b"400 Bad Request", "Content-Length is not a number")
    if int(text) > BODY_LIMIT:
        raise BadMessage(b"413 Content Too Large", f"The body is larger than {BODY_LIMIT:,} bytes")
    return int(text)


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk's content; empty at the end of the body, its trailers dropped."""
    line = await reader.readline()
    size = line.partition(b";")[0].strip()
    if _SIZE.fullmatch(size) is None or not line.endswith(b"\r\n"):
        raise BadMessage(b"400 Bad Request", "Not a chunked body")
    length = int(size, 16)
    if length > BODY_LIMIT:
        raise BadMessage(b"413 Content Too Large", f"The body is larger than {BODY_LIMIT:,} bytes")
    if length == 0:
        while (await reader.readline()).strip():
            continue
        return b""
    content = await reader.readexactly(length + 2)
    return content[:-2]


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A whole chunked body."""
    parts: list[bytes] = []
    size = 0
    while part := await read_chunk(reader):
        size += len(part)
        if size > BODY_LIMIT:
            raise BadMessage(b"413 Content Too Large", f"The body is larger than {BODY_LIMIT:,} bytes")
        parts.append(part)
    return b"".join(parts)


def request_bytes(head: Head, body: bytes, port: int) -> bytes:
    """The request as a version's server gets it: its own address as host, one clear length."""
    lines = [line for key, line in head.lines if key not in _HOP and key not in _FRAMING]
    if body or head.is_chunked or b"content-length" in head.headers:
        lines.append(b"content-length: %d" % len(body))
    version_less = head.first.rpartition(b" ")[0]
    return b"\r\n".join([version_less + b" HTTP/1.1", b"host: 127.0.0.1:%d" % port, *lines, b"", body])


def answer_head(head: Head, extra: Iterable[bytes], *, length: int | None) -> bytes:
    """The head of an answer as the client gets it; chunked when `length` is None, without framing when it is negative."""
    lines = [line for key, line in head.lines if key not in _HOP and key not in _FRAMING]
    lines += extra
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length >= 0:
        lines.append(b"content-length: %d" % length)
    return b"\r\n".join([head.first.replace(b"HTTP/1.0", b"HTTP/1.1", 1), *lines, b"\r\n"])


def plain(status: bytes, body: bytes, *, headers: Iterable[bytes] = (), kind: bytes = JSON) -> bytes:
    """An answer of the router itself, in JSON unless said otherwise."""
    lines = [b"HTTP/1.1 " + status, b"content-type: " + kind, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])
