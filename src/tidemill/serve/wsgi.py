"""WSGI applications (Flask, Django) as ASGI ones: each request in a thread, its answer whole or as it comes."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from tidemill.serve.http import Receive, Scope, Send

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
THREADS = 40  # requests at once; each that streams holds one
LARGE = 1 << 20  # bytes of an answer that are kept until it is whole
FROM_HEADERS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def as_asgi(application: Wsgi) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The same application, for a server that speaks ASGI."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wsgi")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise ValueError(f"a WSGI application knows no {scope['type']}")  # what ASGI asks of one without
        body = await _read(receive)
        loop = asyncio.get_running_loop()
        out = _Answer(loop, send)
        watch = loop.create_task(_watch(receive, out))
        try:
            call = partial(_call, application, _environ(scope, body), out)
            await loop.run_in_executor(threads, copy_context().run, call)
            await out.end()
        finally:
            watch.cancel()

    return answer


class _Gone(Exception):
    """Nobody listens to the answer any more."""


@dataclass(slots=True)
class _Answer:
    """What the application says in its thread. An answer that says how long it is goes out at once when it is whole, any other as it comes."""

    loop: asyncio.AbstractEventLoop
    send: Send
    head: dict[str, Any] | None = None
    sent: bool = False
    gone: bool = False
    whole: bool = False
    kept: list[bytes] = field(default_factory=list)
    size: int = 0

    def start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401
        """WSGI's `start_response`: a second one, with an error, takes the place of a first that was not sent yet."""
        if error is not None and self.sent:
            raise error[1].with_traceback(error[2])
        pairs = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        self.head = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": pairs}
        self.whole = any(name == b"content-length" for name, _ in pairs)
        return self.write

    def write(self, chunk: bytes) -> None:
        """One more part of the body."""
        self.kept.append(chunk)
        self.size += len(chunk)
        if chunk and (not self.whole or self.size > LARGE):
            for message in self._messages(more=True):
                if self.gone:
                    raise _Gone
                asyncio.run_coroutine_threadsafe(_say(self.send, message), self.loop).result()

    async def end(self) -> None:
        """What is left."""
        if not self.gone:
            for message in self._messages(more=False):
                await self.send(message)

    def _messages(self, *, more: bool) -> list[dict[str, Any]]:
        if self.head is None:
            raise RuntimeError("the application answered without calling start_response")
        head = [] if self.sent else [self.head]
        body = {"type": "http.response.body", "body": b"".join(self.kept), "more_body": more}
        self.sent, self.kept, self.size = True, [], 0
        return [*head, body]


async def _say(send: Send, message: Mapping[str, Any]) -> None:
    await send(message)


async def _watch(receive: Receive, out: _Answer) -> None:
    """Note when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    out.gone = True


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message: Mapping[str, Any] = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """PEP 3333's environment: text in it is bytes read as latin-1."""
    host, port = (scope.get("server") or ("127.0.0.1", 80))[:2]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "RAW_URI": quote(scope["path"]),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        key = FROM_HEADERS.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is in one piece by now
    return environ


def _call(application: Wsgi, environ: dict[str, Any], out: _Answer) -> None:
    """In a thread; the application's own clean-up happens whatever became of the answer."""
    result = application(environ, out.start)
    try:
        for chunk in result:
            out.write(chunk)
    except _Gone:
        return
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
