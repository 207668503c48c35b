"""The inference server: routes, limits, metrics; one model, answering as its signature says."""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tidemill.serve.decode import Batch, decode, decode_image
from tidemill.serve.engine import Engine
from tidemill.serve.http import (
    COOKIE,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    Tokens,
    json_response,
    read_files,
    read_request,
    text_response,
)
from tidemill.serve.openapi import make_openapi
from tidemill.serve.problems import RequestProblem
from tidemill.serve.scoring import ScoringScript

LOG = logging.getLogger("tidemill.serve")
STATIC = Path(__file__).parent / "static"
MIB = 1 << 20
INLINE_S = 0.002  # a faster model answers sooner on the event loop than through a thread
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]", "::1"}
OPEN_PATHS = {"/healthz", "/readyz"}
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
}
REQUEST_IDS = {b"x-ms-client-request-id", b"x-request-id"}
RETRY = (b"retry-after", b"1")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds of a server. `tokens` is a file with one token a line; `guard_host` refuses foreign Host headers."""

    max_body: int = 16 * MIB
    max_queue: int = 256
    timeout_s: float = 60.0
    tokens: Path | None = None
    guard_host: bool = True


class Metrics:
    """What Prometheus reads."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tidemill_requests", "Requests by path and status", ["path", "status"], registry=self.registry
        )
        latency = Histogram(
            "tidemill_latency_seconds", "Seconds to answer a prediction", ["version"], registry=self.registry
        )
        self.latency = latency.labels(version)
        self.rows = Counter("tidemill_rows", "Rows predicted", ["version"], registry=self.registry).labels(version)
        self.waiting = Gauge("tidemill_waiting", "Requests being answered", registry=self.registry)
        self.outside = Counter(
            "tidemill_out_of_range", "Values outside what training saw", ["version"], registry=self.registry
        ).labels(version)
        self.predictions = Counter(
            "tidemill_predictions", "Predictions by class", ["prediction"], registry=self.registry
        )


class InferenceServer:
    """An ASGI application over an `Engine` or a scoring script."""

    def __init__(self, engine: Engine | None, script: ScoringScript | None, settings: ServerSettings) -> None:
        self._engine = engine
        self._script = script
        self._settings = settings
        self._tokens = Tokens(settings.tokens)
        self.metrics = Metrics(engine.info.version if engine else script.version if script else "")
        self._waiting = 0
        self._threads = asyncio.Semaphore(1)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/predict"): self._predict,
            ("POST", "/invocations"): self._predict,
            ("POST", "/score"): self._score,
            ("GET", "/version"): self._version,
            ("GET", "/openapi.json"): self._openapi,
            ("GET", "/swagger.json"): self._openapi,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/healthz"): self._healthy,
            ("GET", "/readyz"): self._ready,
            ("GET", "/v2/health/live"): self._healthy,
            ("GET", "/v2/health/ready"): self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request_id = secrets.token_hex(16)
        response = await self._answer(scope, receive)
        path = scope["path"] if (scope["method"], scope["path"]) in self._routes or scope["path"] in PAGES else "other"
        self.metrics.requests.labels(path, str(response.status)).inc()
        given = next(
            (v for k, v in scope["headers"] if k in REQUEST_IDS),
            request_id.encode(),
        )
        headers = [
            *response.headers,
            (b"content-length", str(len(response.body)).encode()),
            (b"x-ms-request-id", given),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        """A response in every case: what a client did wrong is a 4xx, what the model did is a 500 without details."""
        try:
            request = await read_request(scope, receive, self._settings.max_body)
            refused = self._refuse(request)
            return refused or await self._route(request)
        except RequestProblem as exc:
            return json_response(exc.as_json(), exc.status)
        except TimeoutError:
            return json_response({"detail": f"No answer within {self._settings.timeout_s:g} s"}, 503, [RETRY])
        except Exception:
            LOG.exception("the model failed on a request")
            return json_response({"detail": "The model failed on this request; the server's log says why"}, 500)

    def _refuse(self, request: Request) -> Response | None:
        host = request.header("host").rpartition(":")[0] or request.header("host")
        if self._settings.guard_host and host and host not in LOOPBACK_NAMES:
            return json_response({"detail": "This server answers on loopback only"}, 421)
        if request.path in OPEN_PATHS or self._tokens.allow(request):
            return None
        return json_response(
            {"detail": "A token is needed: Authorization: Bearer …"}, 401, [(b"www-authenticate", b"Bearer")]
        )

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
        allowed = [m for m, p in self._routes if p == request.path]
        if allowed:
            return json_response(
                {"detail": f"Use {' or '.join(allowed)}"}, 405, [(b"allow", ", ".join(allowed).encode())]
            )
        return json_response({"detail": f"Nothing is at {request.path}"}, 404)

    def _page(self, request: Request) -> Response:
        name, kind = PAGES[request.path]
        response = text_response((STATIC / name).read_text(encoding="utf-8"), kind)
        if "token=" in request.query and self._settings.tokens:
            token = Tokens._given(request)  # noqa: SLF001 - the same rule that let it in
            cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/".encode()
            return Response(response.status, response.body, (*response.headers, (b"set-cookie", cookie)))
        return response

    async def _predict(self, request: Request) -> Response:
        if self._engine is None:
            return await self._score(request)
        batch = self._batch(self._engine, request)
        return json_response(await self._ask(self._engine, batch))

    def _batch(self, engine: Engine, request: Request) -> Batch:
        """The request's rows, by content type."""
        kind = request.content_type
        image = engine.signature.image
        if kind in {"", "application/json", "text/plain", "application/x-www-form-urlencoded"}:
            return decode(engine.signature, request.json())
        if image and kind == "multipart/form-data":
            files = read_files(request)
            return Batch(np.stack([decode_image(image, f) for f in files]), single=len(files) == 1)
        if image and (kind.startswith("image/") or kind == "application/octet-stream"):
            return Batch(decode_image(image, request.body)[None], single=True)
        if kind == "application/x-npy":
            return decode(engine.signature, _read_npy(request.body))
        raise RequestProblem(
            f"`{kind}` is not accepted here; send application/json", loc=("header", "content-type"), status=415
        )

    async def _ask(self, engine: Engine, batch: Batch) -> Any:  # noqa: ANN401
        """Predict, on the event loop when that is faster; beyond the queue's bound a 503 tells the client to come back."""
        if self._waiting >= self._settings.max_queue:
            raise RequestProblem("The server is busy", status=503)
        began = time.perf_counter()
        self._waiting += 1
        try:
            if engine.row_s * len(batch.rows) < INLINE_S:
                answer = engine.predict(batch)
            else:
                async with asyncio.timeout(self._settings.timeout_s), self._threads:
                    answer = await asyncio.to_thread(engine.predict, batch)
        finally:
            self._waiting -= 1
        self._count(answer, time.perf_counter() - began, batch)
        return answer

    def _count(self, answer: Any, seconds: float, batch: Batch) -> None:  # noqa: ANN401
        self.metrics.latency.observe(seconds)
        self.metrics.rows.inc(len(batch.rows))
        outside = sum(len(w) for w in batch.warnings)
        if outside:
            self.metrics.outside.inc(outside)
        if batch.single and isinstance(answer.get("prediction"), str):
            self.metrics.predictions.labels(answer["prediction"]).inc()

    async def _score(self, request: Request) -> Response:
        """Azure's contract: what the scoring script returns; without one, a list of predictions."""
        if self._script is not None:
            return await asyncio.to_thread(self._script.run, request)
        engine = self._engine
        if engine is None:
            return json_response({"detail": "No model"}, 503, [RETRY])
        batch = self._batch(engine, request)
        answer = await self._ask(engine, Batch(batch.rows, single=False, warnings=batch.warnings))
        return json_response([row["prediction"] for row in answer["predictions"]])

    async def _open_inference(self, request: Request) -> Response:
        """Open Inference Protocol v2: metadata, readiness and infer of the one model."""
        engine = self._engine
        parts = request.path.strip("/").split("/")
        if engine is None or parts[2] != engine.info.name:
            return json_response({"error": f"model {parts[2]} is not here"}, 404)
        action = parts[-1]
        if request.method == "GET" and action == "ready":
            return json_response({"name": engine.info.name, "ready": True})
        if request.method == "GET":
            return json_response(
                {
                    "name": engine.info.name,
                    "versions": [engine.info.version],
                    "platform": engine.predictor.path,
                    "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}],
                    "outputs": [{"name": "output", "datatype": "BYTES", "shape": [-1]}],
                }
            )
        body = request.json()
        try:
            tensor = body["inputs"][0]
            rows = np.asarray(tensor["data"], dtype=np.float64).reshape(tensor["shape"])
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise RequestProblem(f"Not an inference request: {exc}", loc=("body", "inputs")) from exc
        answer = await self._ask(engine, Batch(rows, single=False))
        names = [str(r["prediction"]) for r in answer["predictions"]]
        output = {"name": "output", "datatype": "BYTES", "shape": [len(names)], "data": names}
        return json_response(
            {
                "model_name": engine.info.name,
                "model_version": engine.info.version,
                "id": body.get("id", ""),
                "outputs": [output],
            }
        )

    async def _version(self, request: Request) -> Response:
        del request
        if self._engine is None:
            script = self._script
            return json_response({"name": script.name if script else "", "version": script.version if script else ""})
        info = self._engine.info
        return json_response(
            {
                "name": info.name, "version": info.version, "deployment": info.deployment, "digest": info.digest,
                "path": self._engine.predictor.path, "differences": self._engine.differences,
                "signature": self._engine.signature.as_json(),
            }
        )  # fmt: skip

    async def _openapi(self, request: Request) -> Response:
        del request
        return json_response(make_openapi(self._engine))

    async def _metrics(self, request: Request) -> Response:
        del request
        self.metrics.waiting.set(self._waiting)
        return text_response(
            generate_latest(self.metrics.registry).decode(), "text/plain; version=0.0.4; charset=utf-8"
        )

    async def _healthy(self, request: Request) -> Response:
        del request
        return json_response({"status": "alive"})

    async def _ready(self, request: Request) -> Response:
        """The port opens only after a real prediction; golden rows that came out otherwise keep the server unready."""
        del request
        differences = self._engine.differences if self._engine else []
        if differences:
            return json_response({"status": "differs from training", "differences": differences}, 503)
        return json_response({"status": "ready"})


def _read_npy(raw: bytes) -> Any:  # noqa: ANN401
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False).tolist()
    except (ValueError, EOFError, OSError) as exc:
        raise RequestProblem(f"Not an .npy array: {exc}") from exc


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
