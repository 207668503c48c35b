"""Azure's scoring scripts, unchanged: `init()` once, `run(raw_body)` a request, the answers and headers of Microsoft's server."""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tidemill.serve.forms import Headers
from tidemill.serve.http import JSON, Request, Response, json_response
from tidemill.serve.rawhttp import AMLRequest

LOG = logging.getLogger("tidemill.serve")
FAILED = b"x-ms-run-function-failed"
ELAPSED = b"x-ms-run-fn-exec-ms"
UNEXPECTED = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL = "An unexpected internal error occurred. Check the logs for more info."
HTML = (b"content-type", b"text/html; charset=utf-8")
SERVER_ERROR = 500
CLIENT_ERROR = 400


@dataclass(frozen=True, slots=True)
class ScoringScript:
    """A loaded script. `parameters` are the arguments `inference_schema` asks for; else `first` takes the raw body, or the request."""

    function: Callable[..., Any]
    first: str
    parameters: tuple[inspect.Parameter, ...]
    wants_request: bool
    wants_headers: bool
    name: str
    version: str
    root: Path = Path()

    def run(self, request: Request) -> Response:
        """What the script returns, as JSON; its exception as HTTP 500 with the header that says so."""
        if request.method == "OPTIONS" and not self.wants_request:
            return Response(200, b"", (HTML, (FAILED, b"False")))
        try:
            arguments = self._arguments(request)
        except BadInput as exc:
            return _message(exc.status, str(exc), failed=False)
        if self.wants_headers:
            arguments["request_headers"] = Headers(_headers(request))
        began = time.perf_counter()
        try:
            result = self.function(**arguments)
        except BaseException:  # a script that calls sys.exit() has failed on this request, not ended the server
            LOG.exception("run() failed", extra={"body": request.body})
            return _message(SERVER_ERROR, UNEXPECTED, failed=True)
        elapsed = f"{(time.perf_counter() - began) * 1000:.3f}".encode()
        response = _response(result)
        trace = [(b"traceid", request.headers[b"traceid"])] if b"traceid" in request.headers else []
        return Response(response.status, response.body, (*response.headers, (ELAPSED, elapsed), *trace))

    def _arguments(self, request: Request) -> dict[str, Any]:
        if self.wants_request:
            given = AMLRequest(request.method, request.path, _headers(request), request.query, request.body)
            return {self.first: given}
        if request.method == "GET":
            asked = _query(request.query)
            return self._pick(asked) if self.parameters else {self.first: json.dumps(asked)}
        if self.parameters:
            return self._pick(_object(request))
        try:
            return {self.first: request.body.decode("utf-8")}
        except UnicodeDecodeError as exc:
            raise BadInput(f"Input cannot be decoded as UTF-8: {exc}") from None

    def _pick(self, body: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for parameter in self.parameters:
            value = body.get(parameter.name, parameter.default)
            if value is inspect.Parameter.empty:
                raise BadInput(f"A value is not provided for the {parameter.name!r} parameter.")
            found[parameter.name] = value
        return found


class BadInput(Exception):
    """A body the script cannot be given."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def _headers(request: Request) -> dict[str, str]:
    return {k.decode("latin-1"): v.decode("latin-1") for k, v in request.headers.items()}


def _object(request: Request) -> dict[str, Any]:
    """The body as a JSON object."""
    if not (request.content_type == "application/json" or request.content_type.endswith("+json")):
        raise BadInput("Expects Content-Type to be application/json", 415)
    if not request.body:
        raise BadInput("POST body is empty. Expecting a JSON dictionary.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"POST body could not be decoded as JSON: {exc}") from None
    if not isinstance(body, dict):
        raise BadInput("POST body should be a JSON dictionary.")
    return body


def _query(query: str) -> dict[str, Any]:
    """Arguments of the address, each read as JSON where it is; a repeated one is a list."""

    def value(text: str) -> Any:  # noqa: ANN401
        try:
            return json.loads(text)
        except ValueError:
            return text

    asked = parse_qs(query, keep_blank_values=True)
    return {k: value(v[0]) if len(v) == 1 else [value(x) for x in v] for k, v in asked.items()}


def _message(status: int, text: str, *, failed: bool) -> Response:
    return json_response({"message": text}, status, [(FAILED, str(failed).encode())])


def _response(result: Any) -> Response:  # noqa: ANN401
    """A plain value as JSON; an object with `status_code` and a body as it is."""
    status = getattr(result, "status_code", None)
    if isinstance(status, int):
        body = result.get_data() if callable(getattr(result, "get_data", None)) else getattr(result, "body", b"")
        raw = body if isinstance(body, bytes) else str(body).encode()
        headers = {str(k).lower(): str(v) for k, v in dict(getattr(result, "headers", {})).items()}
        headers.pop("content-length", None)
        if status >= SERVER_ERROR:
            headers["x-ms-run-function-failed"] = "True"
        return Response(status, raw, tuple((k.encode(), v.encode()) for k, v in headers.items()) or (JSON,))
    try:
        raw = json.dumps({} if result is None else result).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        LOG.error("run() returned what is not JSON: %s", exc)  # noqa: TRY400 - there is no traceback worth reading
        return _message(SERVER_ERROR, INTERNAL, failed=False)
    return Response(200, raw, (JSON, (FAILED, b"False")))


def as_answered_there(response: Response) -> Response:
    """A refusal of this server in the words and with the header of Microsoft's; every other answer as it is."""
    if response.status < CLIENT_ERROR or any(name == FAILED for name, _ in response.headers):
        return response
    detail = json.loads(response.body).get("detail", "")
    words = detail if isinstance(detail, str) else "; ".join(str(d["msg"]) for d in detail)
    kept = [h for h in response.headers if h != JSON]
    return json_response({"message": words}, response.status, [*kept, (FAILED, b"False")])
