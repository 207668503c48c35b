"""`--app main:app`: the user's own ASGI or WSGI application, with health, metrics and the model's description beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.serve.access import AccessLog
from tidemill.serve.http import (
    ID_LIMIT,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    Tokens,
    answer_headers,
    json_response,
    request_ids,
    text_response,
)
from tidemill.serve.metrics import Metrics
from tidemill.serve.pages import ask_for_token, cookie_for
from tidemill.serve.problems import RequestProblem
from tidemill.serve.said import REQUEST
from tidemill.serve.server import FULL, OPEN_PATHS, RETRY
from tidemill.serve.settings import LOOPBACK_NAMES, ServerSettings

LOG = logging.getLogger("tidemill.serve")
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Message = Mapping[str, Any]
COOKIE = b"set-cookie"  # there may be several
PREFIX = "/tidemill"
NOT_FOUND = 404


def _request(scope: Scope) -> Request:
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(scope.get("method", ""), scope["path"], dict(scope["headers"]), query)


@dataclass(slots=True)
class Passing:
    """One request on its way to the application and back; what is counted and logged of it."""

    send: Send
    ids: tuple[tuple[bytes, bytes], ...]
    status: int = 0
    size: int = 0
    is_whole: bool = False
    hidden_404: bool = False
    refused: RequestProblem | None = None

    async def __call__(self, message: Message) -> None:
        """Hand the application's words on, with the request's id added to the first; none once the request was refused."""
        if self.refused is not None and not self.status:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.hidden_404 and self.status == NOT_FOUND:
                return
            headers = list(message.get("headers", ()))
            given = {bytes(name).lower() for name, _ in headers}
            message = {**message, "headers": [*headers, *(i for i in self.ids if i[0] not in given or i[0] == COOKIE)]}
        elif message["type"] == "http.response.body":
            if self.hidden_404 and self.status == NOT_FOUND:
                return
            self.size += len(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)
        await self.send(message)


@dataclass(slots=True)
class HostedApplication:
    """An ASGI application around the user's. `about` is what `/tidemill/version` tells of the mounted model."""

    application: Application
    about: Mapping[str, Any]
    settings: ServerSettings
    prefix: str = PREFIX
    _tokens: Tokens = field(init=False)
    metrics: Metrics = field(init=False)
    _access: AccessLog = field(init=False)
    _inside: int = 0

    def __post_init__(self) -> None:
        self._tokens = Tokens(self.settings.tokens)
        names = {"model": "name", "version": "version", "deployment": "deployment"}
        about = {label: str(self.about.get(name, "")) for label, name in names.items()}
        self.metrics = Metrics(**about)
        self.metrics.inside = lambda: self._inside
        self._access = AccessLog(every=self.settings.access_log, about={k: v for k, v in about.items() if v})

    @property
    def paths(self) -> frozenset[str]:
        """What is served under a name of its own; the application's paths may be anything."""
        return frozenset(f"{self.prefix}{inner}" for inner in ("/metrics", "/version", *OPEN_PATHS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "websocket":
            refused = self._refuse(scope)
            await (
                send({"type": "websocket.close", "code": 1008}) if refused else self.application(scope, receive, send)
            )
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        ids = request_ids(dict(scope["headers"]))
        cookie = cookie_for(_request(scope), self._tokens)
        passing = Passing(send, (*(ids or request_ids({}) or ()), *cookie))
        REQUEST.set(passing.ids[0][1])
        response = self._refuse(scope)
        if ids is None:
            response = json_response({"detail": f"A request id has at most {ID_LIMIT} characters"}, 431)
        if response is None:
            response = self._own(scope["path"])
        try:
            if response is None:
                response = await self._pass_on(scope, receive, passing)
            await self._put_in_place(scope, response, passing)
        finally:
            self._log(scope, passing, time.perf_counter() - began)

    async def _put_in_place(self, scope: Scope, response: Response | None, passing: Passing) -> None:
        """Our own answer, where the application gave none."""
        if response is not None:
            passing.status, passing.size = response.status, len(response.body)
            head = {"type": "http.response.start", "status": response.status}
            await passing.send({**head, "headers": answer_headers(response, passing.ids)})
            body = b"" if scope["method"] == "HEAD" else response.body
            await passing.send({"type": "http.response.body", "body": body})

    def _own(self, path: str) -> Response | None:
        """What lies under the prefix is ours."""
        if not path.startswith(f"{self.prefix}/"):
            return None
        inner = path.removeprefix(self.prefix)
        if inner == "/metrics":
            return text_response(self.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
        if inner == "/version":
            return json_response(self.about)
        if inner in OPEN_PATHS:
            return json_response({"status": "alive" if inner == "/healthz" else "ready"})
        return json_response({"detail": f"Nothing is at {path}"}, NOT_FOUND)

    async def _pass_on(self, scope: Scope, receive: Receive, passing: Passing) -> Response | None:
        """The application's answer goes out as it comes; `None` then, else the answer in its place."""
        if self._inside >= self.settings.max_queue:
            return json_response({"detail": f"{self._inside} requests are inside already"}, FULL, [RETRY])
        passing.hidden_404 = scope["path"] in OPEN_PATHS
        passing.refused = self._too_large(scope)
        self._inside += 1
        try:
            if passing.refused is None:
                await self.application(scope, self._bounded(receive, passing), passing)
        except Exception:
            if passing.status and not passing.is_whole:
                raise
            if passing.is_whole:  # to raise would end the connection, under the requests that follow
                LOG.exception("the application failed after its answer")
            elif passing.refused is None:
                LOG.exception("the application failed on a request")
                words = "The application failed on this request; the server's log says why"
                return json_response({"detail": words}, 500)
        finally:
            self._inside -= 1
        if passing.refused is not None and not passing.status:
            return json_response(passing.refused.as_json(), passing.refused.status)
        if passing.hidden_404 and passing.status == NOT_FOUND:
            return self._own(f"{self.prefix}{scope['path']}")
        return None

    def _too_large(self, scope: Scope) -> RequestProblem | None:
        """A body that says itself that it is beyond the limit; the application does not hear of it."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        limit = self.settings.max_body
        return _beyond(limit) if length.isdigit() and int(length) > limit else None

    def _bounded(self, receive: Receive, passing: Passing) -> Receive:
        """The request's body; beyond the limit the request is refused, whatever the application makes of that."""
        limit, size = self.settings.max_body, 0

        async def take() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                passing.refused = _beyond(limit)
                raise passing.refused
            return message

        return take

    def _refuse(self, scope: Scope) -> Response | None:
        request = _request(scope)
        host = request.header("host").rpartition(":")[0] or request.header("host")
        if self.settings.guard_host and host and host not in LOOPBACK_NAMES:
            return json_response({"detail": "This server answers on loopback only"}, 421)
        if request.path.removeprefix(self.prefix) in OPEN_PATHS or self._tokens.allow(request):
            return None
        return ask_for_token(request)

    def _log(self, scope: Scope, passing: Passing, seconds: float) -> None:
        """Counted without the path, which is the application's own and may be anything."""
        self.metrics.request("app", passing.status)
        self.metrics.latency.observe(seconds)
        self._access.note(scope, passing.status, passing.size, seconds, passing.ids[0][1])

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's own start and stop; one that knows none is started all the same."""
        listened, said = False, False

        async def listen() -> Message:
            nonlocal listened
            listened = True
            return await receive()

        async def say(message: Message) -> None:
            nonlocal said
            said = True
            await send(message)

        try:
            await self.application(scope, listen, say)
        except Exception as exc:
            if said:
                raise
            if listened:
                LOG.exception("the application could not start")
                await send({"type": "lifespan.startup.failed", "message": f"{type(exc).__name__}: {exc}"})
                return
        if not said:
            await send({"type": "lifespan.startup.complete"})
            while (await receive())["type"] != "lifespan.shutdown":
                pass
            await send({"type": "lifespan.shutdown.complete"})


def _beyond(limit: int) -> RequestProblem:
    return RequestProblem(f"The body is larger than {limit:,} bytes", status=413)
