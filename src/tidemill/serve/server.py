"""The inference server: routes, limits, metrics; one model, answering as its signature says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any
from urllib.parse import parse_qs

from tidemill.serve.access import BAD, AccessLog
from tidemill.serve.arrow import import_arrow, needs_import
from tidemill.serve.batching import Batcher, aside
from tidemill.serve.bodies import ARROW, check_feedback, is_heavy, read_rows
from tidemill.serve.capture import Capture, is_prediction
from tidemill.serve.decode import Batch
from tidemill.serve.drawing import describe_drawing
from tidemill.serve.engine import Engine
from tidemill.serve.hang import Calls
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
    read_request,
    request_ids,
    text_response,
    unpack,
)
from tidemill.serve.metrics import Metrics
from tidemill.serve.open_inference import (
    BYTES_A_ROW,
    CLIENT_ERROR,
    describe_model,
    describe_server,
    inference_answer,
    read_inference_request,
)
from tidemill.serve.openapi import make_openapi
from tidemill.serve.pages import PAGES, ask_for_token, cookie_for, read_page
from tidemill.serve.problems import RequestProblem
from tidemill.serve.said import REQUEST
from tidemill.serve.samples import sample_request
from tidemill.serve.scoring import ScoringScript, as_answered_there
from tidemill.serve.settings import LOOPBACK_NAMES, ServerSettings
from tidemill.serve.stages import TracedBatcher, TracedTurn, timed, untimed
from tidemill.serve.swagger import swagger_answer

LOG = logging.getLogger("tidemill.serve")
INLINE_S = 0.002  # a faster model answers sooner on the event loop than through a thread
OPEN_PATHS = {"/healthz", "/readyz"}
FULL, UNREADY, SLOW = 429, 503, 504
RETRY = (b"retry-after", b"1")
Handler = Callable[[Request], Awaitable[Response]]


class InferenceServer:
    """An ASGI application over an `Engine` or a scoring script."""

    def __init__(
        self,
        engine: Engine | None,
        script: ScoringScript | None,
        settings: ServerSettings,
        capture: Capture | None = None,
    ) -> None:
        self._engine = engine
        self._script = script
        self._settings = settings
        self._tokens = Tokens(settings.tokens)
        served = engine.info if engine else script
        about = {
            "model": served.name if served else "",
            "version": served.version if served else "",
            "deployment": settings.deployment,
        }
        self.metrics = Metrics(**about)
        self._access = AccessLog(every=settings.access_log, about={k: v for k, v in about.items() if v})
        self._waiting = 0
        self._capture = self.metrics.capture = capture
        self.metrics.inside = lambda: self._waiting
        self._calls = Calls(settings.timeout_s)
        note = timed if settings.traced else untimed
        self._read, self._encode = note("decode", read_rows), note("encode", json_response)
        self._predict_now = note("predict", Engine.predict)
        # Scripts are written for one request at a time.
        self._turn = TracedTurn(1) if settings.traced else asyncio.Semaphore(1)
        self._run = note("predict", self._calls.watched(script.run)) if script else None
        self._features = self.metrics.watch(engine.signature.columns) if engine else None
        self._columns = {c.name: c for c in engine.signature.columns} if engine else {}
        self._batcher = self._make_batcher(engine) if engine else None
        self._routes = self._make_routes()
        self.paths = frozenset(p for _, p in self._routes) | PAGES.keys()  # what is served under a name of its own

    def _make_batcher(self, engine: Engine) -> Batcher:
        predict = self._calls.watched(engine.predictor.predict)
        make = TracedBatcher if self._settings.traced else Batcher
        return make(predict, self.metrics.batch.observe, gather=engine.batches)

    def _make_routes(self) -> dict[tuple[str, str], Handler]:
        routes: dict[tuple[str, str], Handler] = {
            ("POST", "/predict"): self._predict,
            ("POST", "/invocations"): self._predict,
            ("POST", "/score"): self._score,
            ("POST", "/feedback"): self._feedback,
            ("GET", "/v2"): self._describe,
            ("GET", "/version"): self._version,
            ("GET", "/openapi.json"): self._openapi,
            ("GET", "/swagger.json"): self._openapi,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/healthz"): self._healthy,
            ("GET", "/readyz"): self._ready,
            ("GET", "/v2/health/live"): self._healthy,
            ("GET", "/v2/health/ready"): self._ready,
        }
        if self._script is not None:
            routes |= {("GET", "/score"): self._score, ("OPTIONS", "/score"): self._score}
            routes["GET", "/swagger.json"] = self._swagger
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        ids = request_ids(headers)
        if ids is None:
            response = json_response({"detail": f"A request id has at most {ID_LIMIT} characters"}, 431)
            ids = request_ids({}) or ()
        else:
            REQUEST.set(ids[0][1])
            response = await self._answer(scope, headers, receive, ids[0][1].decode("latin-1"))
        if self._script is not None:
            response = as_answered_there(response)
        seconds = time.perf_counter() - began
        self._log(scope, response, seconds, ids[0][1])
        await send({"type": "http.response.start", "status": response.status, "headers": answer_headers(response, ids)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    def _log(self, scope: Scope, response: Response, seconds: float, request_id: bytes) -> None:
        """One line a request, and one count; paths nobody serves are one path, so that nobody can fill the memory."""
        path = scope["path"]
        self.metrics.request(path if path in self.paths else "other", response.status)
        self._access.note(scope, response.status, len(response.body), seconds, request_id)

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str) -> Response:
        """A response in every case: what a client did wrong is a 4xx, what the model did is a 500 without details."""
        request: Request | None = None
        try:
            request = await read_request(scope, headers, receive, self._settings.max_body)
            refused = self._refuse(request)
            if not refused and self._script is None:  # a script gets the body as it came, as from Microsoft's server
                unpack(request)
            return refused or await self._recorded(request, request_id)
        except RequestProblem as exc:
            return json_response(exc.as_json(), exc.status, [RETRY] if exc.status in {FULL, UNREADY} else [])
        except TimeoutError:
            return json_response({"detail": f"No answer within {self._settings.timeout_s:g} s"}, SLOW)
        except Exception:
            LOG.exception("the model failed on a request", extra={"body": request.body if request else b""})
            return json_response({"detail": "The model failed on this request; the server's log says why"}, 500)

    async def _recorded(self, request: Request, request_id: str) -> Response:
        """The answer; in the sample, request and answer are put aside for the writer."""
        began = time.perf_counter()
        response = await self._route(request)
        capture = self._capture
        if capture and response.status < BAD and is_prediction(request) and capture.wants():
            capture.record(request_id, request.body, response.body, time.perf_counter() - began, request.headers)
        return response

    def _refuse(self, request: Request) -> Response | None:
        host = request.header("host").rpartition(":")[0] or request.header("host")
        if self._settings.guard_host and host and host not in LOOPBACK_NAMES:
            return json_response({"detail": "This server answers on loopback only"}, 421)
        if request.path in OPEN_PATHS or self._tokens.allow(request):
            return None
        return ask_for_token(request)

    async def _route(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._routes.get((method, request.path))
        if handler is not None:
            return await handler(request)
        if method == "GET" and request.path in PAGES and (self._engine or request.path != "/"):
            return self._page(request)
        if method == "GET" and request.path == "/":
            return text_response("Healthy")
        if self._engine and request.path.startswith("/v2/models/"):
            return await self._open_inference(request)
        allowed = [m for m, p in self._routes if p == request.path] or ["GET"] * (request.path in PAGES)
        if allowed:
            allowed += ["HEAD"] * ("GET" in allowed)
            return json_response(
                {"detail": f"Use {' or '.join(allowed)}"}, 405, [(b"allow", ", ".join(allowed).encode())]
            )
        return json_response({"detail": f"Nothing is at {request.path}"}, 404)

    def _page(self, request: Request) -> Response:
        response = read_page(request.path)
        return Response(response.status, response.body, (*response.headers, *cookie_for(request, self._tokens)))

    async def _predict(self, request: Request) -> Response:
        if self._engine is None:
            return await self._score(request)
        batch = await self._rows(self._engine, request)
        return await aside(len(batch.rows), self._encode, await self._ask(self._engine, batch))

    async def _rows(self, engine: Engine, request: Request) -> Batch:
        """What the body holds; what takes its time is read beside the event loop, which answers others meanwhile."""
        if request.content_type == ARROW and self._batcher and needs_import():
            async with asyncio.timeout(self._settings.timeout_s), self._batcher.alone:
                import_arrow()
        if not is_heavy(request, pictures=engine.signature.image is not None):
            return self._read(engine.signature, request)
        self._enter()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await asyncio.to_thread(self._read, engine.signature, request)
        finally:
            self._waiting -= 1

    async def _ask(self, engine: Engine, batch: Batch) -> Any:  # noqa: ANN401
        """Predict, on the event loop when that is faster; beyond the queue's bound a 429 tells the client to come back."""
        self._enter()
        began = time.perf_counter()
        try:
            if self._batcher is None or engine.row_s * len(batch.rows) < INLINE_S:
                answer = self._calls.on_loop(self._predict_now, engine, batch)
            else:
                async with asyncio.timeout(self._settings.timeout_s):
                    answer = await aside(len(batch.rows), engine.present, await self._batcher.ask(batch.rows), batch)
        finally:
            self._waiting -= 1
        self._count(answer, time.perf_counter() - began, batch)
        return answer

    def _enter(self) -> None:
        """One more request inside; `RequestProblem` (429) when there are as many as may wait."""
        if self._waiting >= self._settings.max_queue:
            raise RequestProblem(f"{self._waiting} requests are waiting already; come back in a moment", status=FULL)
        self._waiting += 1

    def _count(self, answer: Any, seconds: float, batch: Batch) -> None:  # noqa: ANN401
        self.metrics.latency.observe(seconds)
        self.metrics.rows(len(batch.rows))
        if self._features:
            self._features.see(batch.rows)
        for warning in chain.from_iterable(batch.warnings):
            column = self._columns.get(warning.split("`", 2)[1])
            if column is not None:
                self.metrics.outside(column)
        named = (str, int) if self._engine and self._engine.predictor.classes else str
        if batch.single:
            if isinstance(answer["prediction"], named):
                self.metrics.prediction(str(answer["prediction"]))
            return
        found = [row["prediction"] for row in answer["predictions"]]
        for name, count in Counter(found).items() if found and isinstance(found[0], named) else ():
            self.metrics.prediction(str(name), count)

    async def _score(self, request: Request) -> Response:
        """Azure's contract: what the scoring script returns; without one, a list of predictions."""
        if self._run is not None:
            self._enter()
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._settings.timeout_s), self._turn:
                    return await asyncio.to_thread(self._run, request)
            finally:
                self._waiting -= 1
                self.metrics.latency.observe(time.perf_counter() - began)
        engine = self._engine
        if engine is None:
            return json_response({"detail": "No model"}, UNREADY, [RETRY])
        batch = await self._rows(engine, request)
        answer = await self._ask(engine, Batch(batch.rows, single=False, warnings=batch.warnings))
        return await aside(len(batch.rows), self._encode, [row["prediction"] for row in answer["predictions"]])

    async def _feedback(self, request: Request) -> Response:
        """What turned out to be true of an earlier request, kept beside what was recorded of it."""
        if self._capture is None:
            return json_response({"detail": "Nothing is recorded here: start the server with --capture-dir"}, 404)
        body = request.json()
        items = body if isinstance(body, list) else [body]
        for i, item in enumerate(items):
            loc: tuple[str | int, ...] = ("body", i) if isinstance(body, list) else ("body",)
            check_feedback(item, loc)
        if self._capture.feedback(items, len(request.body)):
            return json_response({"kept": len(items)}, 202)
        raise RequestProblem("There is no room for it now; come back in a moment", status=UNREADY)

    async def _describe(self, request: Request) -> Response:
        del request
        return json_response(describe_server())

    async def _open_inference(self, request: Request) -> Response:
        """Metadata, readiness and infer of the one model; mistakes in the protocol's own form."""
        engine = self._engine
        name, _, action = request.path.removeprefix("/v2/models/").strip("/").partition("/")
        if engine is None or name != engine.info.name:
            return json_response({"error": f"model `{name}` is not here"}, 404)
        action = action.removeprefix(f"versions/{engine.info.version}").strip("/")
        reading = request.method in {"GET", "HEAD"}
        if reading and action == "ready":
            return await self._ready(request)
        if reading and not action:
            return json_response(describe_model(engine))
        if action not in {"", "ready", "infer"}:
            return json_response({"error": f"nothing is at {request.path}"}, 404)
        if request.method != "POST" or action != "infer":
            allowed = "POST" if action == "infer" else "GET"
            return json_response({"error": f"Use {allowed}"}, 405, [(b"allow", allowed.encode())])
        try:
            rows = len(request.body) // BYTES_A_ROW
            batch, name, wanted = await aside(rows, read_inference_request, engine.signature, request)
            answer = await self._ask(engine, batch)
            found = await aside(len(batch.rows), inference_answer, engine, answer["predictions"], name, wanted)
        except RequestProblem as exc:
            status = exc.status if exc.status == FULL else CLIENT_ERROR
            where = ".".join(map(str, exc.loc[1:]))
            return json_response({"error": f"{where}: {exc.message}" if where else exc.message}, status)
        return await aside(len(batch.rows), json_response, found)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Recording starts with the server and writes what is left when it stops."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if self._capture:
                    self._capture.start()
                self._calls.watch(end_when_hung=self._settings.end_when_hung)
            if self._capture and message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._capture.close)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _version(self, request: Request) -> Response:
        del request
        if self._engine is None:
            script = self._script
            about = {"name": script.name, "version": script.version} if script else {"name": "", "version": ""}
            return json_response({**about, "deployment": self._settings.deployment})
        info, signature = self._engine.info, self._engine.signature
        example = None if signature.image else sample_request(signature)
        return json_response(
            {
                "name": info.name, "version": info.version, "deployment": info.deployment, "digest": info.digest,
                "path": self._engine.predictor.path, "slow_reason": self._engine.slow_reason,
                "differences": self._engine.differences,
                "signature": signature.as_json() | {"example": example, "drawing": describe_drawing(signature)},
            }
        )  # fmt: skip

    async def _openapi(self, request: Request) -> Response:
        del request
        return json_response(make_openapi(self._engine))

    async def _swagger(self, request: Request) -> Response:
        asked = parse_qs(request.query).get("version", ["2"])[0]
        return swagger_answer(self._script, asked) if self._script else await self._openapi(request)

    async def _metrics(self, request: Request) -> Response:
        del request
        return text_response(self.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")

    async def _healthy(self, request: Request) -> Response:
        """Alive unless one call of the model has hung for several time-outs: then only a new process helps."""
        del request
        if self._calls.hang():
            return json_response({"status": "the model hangs"}, UNREADY)
        return json_response({"status": "alive"})

    async def _ready(self, request: Request) -> Response:
        """The port opens only after a real prediction; golden rows that came out otherwise keep the server unready."""
        del request
        differences = self._engine.differences if self._engine else []
        if differences:
            return json_response({"status": "differs from training", "differences": differences}, 503)
        return json_response({"status": "ready"})
