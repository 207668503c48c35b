"""An ASGI application with a span around every request; nobody has it around theirs unless traces are asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from tidemill.serve.http import Receive, Scope, Send
from tidemill.serve.otlp import Exporter
from tidemill.serve.spans import (
    CURRENT,
    SERVER_ERROR,
    TRACE_KEY,
    TRACEPARENT,
    Span,
    TraceContext,
    new_context,
    read_context,
)
from tidemill.serve.trace_settings import TraceSettings

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Tracer:
    """Begins a request's span and hands it on when it is finished."""

    def __init__(self, settings: TraceSettings, registry: CollectorRegistry) -> None:
        self._decide = settings.decide
        self.exporter = Exporter(settings, registry)

    def begin(self, parent: TraceContext | None, method: str, path: str, route: str) -> Span:
        """The query is left out: a token may be in it."""
        known = method if method in METHODS else "_OTHER"
        attributes: dict[str, str | int | float | bool] = {"http.request.method": known, "url.path": path}
        if known != method:
            attributes["http.request.method_original"] = method
        if route:
            attributes["http.route"] = route
        name = "HTTP" if known != method else method
        return Span(new_context(parent, self._decide), parent, f"{name} {route}".strip(), attributes)

    def finish(self, span: Span, status: int, error: str = "") -> None:
        """Never waits. A 4xx is the client's mistake and no error of the server."""
        span.ended = time.perf_counter_ns()
        if status:
            span.attributes["http.response.status_code"] = status
        span.error = error or (str(status) if status >= SERVER_ERROR else "")
        if span.error:
            span.attributes["error.type"] = span.error
        if span.context.sampled:
            self.exporter.offer(span)


class TracedApplication:
    """Around `application`; `about` stands in every span, and `routes` are the paths spans are named by."""

    def __init__(
        self, application: Application, tracer: Tracer, about: Mapping[str, str], routes: frozenset[str]
    ) -> None:
        self._application = application
        self._tracer = tracer
        self._about = {k: v for k, v in about.items() if v}
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        span = self._tracer.begin(
            read_context(scope["headers"]), scope["method"], path, path if path in self._routes else ""
        )
        # What the application asks of others, and what the user's own tracing sees, is a child of this span.
        headers = [h for h in scope["headers"] if h[0] != TRACEPARENT]
        headers.append((TRACEPARENT, span.context.header()))
        scope = {**scope, "headers": headers, TRACE_KEY: span}
        if span.context.sampled:
            span.attributes.update(self._about)
            _describe(span, scope)
            await self._watched(span, scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _watched(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        """A request whose span will be sent."""
        status, error = 0, ""

        async def watch(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message.get("headers", ()):
                    if name == b"x-request-id":
                        span.attributes["tidemill.request_id"] = value.decode("latin-1")
            await send(message)

        mark = CURRENT.set(span)
        try:
            await self._application(scope, receive, watch)
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            CURRENT.reset(mark)
            self._tracer.finish(span, status, error)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sending begins with the server; the last spans go out after the last answer."""
        exporter = self._tracer.exporter

        async def watch(message: Mapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                exporter.start()
            elif message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(exporter.close)
            await send(message)

        await self._application(scope, receive, watch)


def _describe(span: Span, scope: Scope) -> None:
    """What a connection tells of itself."""
    server, client = scope.get("server"), scope.get("client")
    span.attributes["url.scheme"] = scope.get("scheme", "http")
    span.attributes["network.protocol.version"] = scope.get("http_version", "1.1")
    if server and server[0]:
        span.attributes["server.address"] = server[0]
        if server[1]:
            span.attributes["server.port"] = server[1]
    if client:
        span.attributes["client.address"] = client[0]
