"""Azure's scoring scripts, unchanged: `init()` once, `run(raw_body)` a request, the answers and headers of Microsoft's server."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.http import JSON, Request, Response, json_response
from tidemill.serve.rawhttp import MARK, AMLRequest, offer_stand_ins

LOG = logging.getLogger("tidemill.serve")
FAILED = b"x-ms-run-function-failed"
ELAPSED = b"x-ms-run-fn-exec-ms"
UNEXPECTED = "An unexpected error occurred in scoring script. Check the logs for more info."
SERVER_ERROR = 500


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

    def run(self, request: Request) -> Response:
        """What the script returns, as JSON; its exception as HTTP 500 with the header that says so."""
        try:
            arguments = self._arguments(request)
        except BadInput as exc:
            return _message(exc.status, str(exc), failed=False)
        if self.wants_headers:
            arguments["request_headers"] = {k.decode(): v.decode("latin-1") for k, v in request.headers.items()}
        began = time.perf_counter()
        try:
            result = self.function(**arguments)
        except Exception:
            LOG.exception("run() failed", extra={"body": request.body})
            return _message(SERVER_ERROR, UNEXPECTED, failed=True)
        elapsed = f"{(time.perf_counter() - began) * 1000:.3f}".encode()
        response = _response(result)
        return Response(response.status, response.body, (*response.headers, (ELAPSED, elapsed)))

    def _arguments(self, request: Request) -> dict[str, Any]:
        if self.wants_request:
            headers = {k.decode(): v.decode("latin-1") for k, v in request.headers.items()}
            return {self.first: AMLRequest(request.method, request.path, headers, request.query, request.body)}
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
    except (TypeError, ValueError) as exc:
        LOG.error("run() returned what is not JSON: %s", exc)  # noqa: TRY400 - there is no traceback worth reading
        return _message(SERVER_ERROR, UNEXPECTED, failed=True)
    return Response(200, raw, (JSON, (FAILED, b"False")))


def load_scoring_script(path: Path, model: Path | None, *, name: str, version: str) -> ScoringScript:
    """Import the script, set `AZUREML_MODEL_DIR`, call `init()`; `UsageError` or `FailedError` when that is not possible."""
    if not path.is_file():
        raise UsageError(f"No scoring script at {path}", hint="Check `code_configuration` of the deployment.")
    if model is not None:
        os.environ["AZUREML_MODEL_DIR"] = str(model_dir(model))
    sys.path.insert(0, str(path.parent))
    offer_stand_ins()
    spec = importlib.util.spec_from_file_location("azureml_scoring_script", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        if hasattr(module, "init"):
            module.init()
    except Exception as exc:
        LOG.exception("the scoring script could not start")
        raise FailedError(
            f"{path.name} could not start: {type(exc).__name__}: {exc}", hint="The log has the traceback."
        ) from exc
    if not callable(getattr(module, "run", None)):
        raise UsageError(f"{path} has no function `run`", hint="Define `def run(raw_data):`.")
    return _describe(getattr(module.run, "__wrapped__", module.run), module.run, name, version)


def _describe(plain: Callable[..., Any], run: Callable[..., Any], name: str, version: str) -> ScoringScript:
    """How `run` wants to be called."""
    given = [p for p in inspect.signature(plain).parameters.values() if p.name != "request_headers"]
    if not given:
        raise UsageError("run() takes no input", hint="Define `def run(raw_data):`.")
    return ScoringScript(
        function=run,
        first=given[0].name,
        parameters=tuple(given) if hasattr(run, "__wrapped__") else (),
        wants_request=bool(getattr(run, MARK, False)),
        wants_headers="request_headers" in inspect.signature(plain).parameters,
        name=name,
        version=version,
    )


def model_dir(model: Path) -> Path:
    """A model folder keeps its basename below AZUREML_MODEL_DIR; a single file lies directly in it."""
    return model.parent
