"""Azure's scoring scripts, unchanged: `init()` once, `run(raw_body)` a request, the answers and headers of Microsoft's server."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.http import JSON, Request, Response, json_response
from tidemill.serve.problems import RequestProblem

LOG = logging.getLogger("tidemill.serve")
FAILED = b"x-ms-run-function-failed"


@dataclass(frozen=True, slots=True)
class ScoringScript:
    """A loaded script. `parameters` are the keyword arguments `inference_schema` decorators ask for, empty for a raw body."""

    function: Callable[..., Any]
    parameters: tuple[str, ...]
    name: str
    version: str

    def run(self, request: Request) -> Response:
        """What the script returns, as JSON; its exception as HTTP 500 with the header that says so."""
        try:
            result = (
                self.function(**self._arguments(request))
                if self.parameters
                else self.function(request.body.decode("utf-8"))
            )
        except RequestProblem:
            raise
        except Exception as exc:
            LOG.exception("run() failed")
            return Response(
                500, str(exc).encode(), ((b"content-type", b"text/plain; charset=utf-8"), (FAILED, b"True"))
            )
        return _response(result)

    def _arguments(self, request: Request) -> dict[str, Any]:
        body = request.json()
        missing = [p for p in self.parameters if not isinstance(body, dict) or p not in body]
        if missing:
            raise RequestProblem("Field required", loc=("body", missing[0]), kind="missing", status=400)
        return {p: body[p] for p in self.parameters}


def _response(result: Any) -> Response:  # noqa: ANN401
    """A plain value as JSON; an object with `status_code` and a body as it is."""
    status = getattr(result, "status_code", None)
    if isinstance(status, int):
        body = result.get_data() if callable(getattr(result, "get_data", None)) else getattr(result, "body", b"")
        raw = body if isinstance(body, bytes) else str(body).encode()
        headers = tuple(
            (str(k).lower().encode(), str(v).encode())
            for k, v in dict(getattr(result, "headers", {})).items()
            if str(k).lower() != "content-length"
        )
        return Response(status, raw, headers or (JSON,))
    try:
        body = json.dumps(result).encode()
    except (TypeError, ValueError) as exc:
        return json_response({"message": f"run() returned what is not JSON: {exc}"}, 500, [(FAILED, b"True")])
    return Response(200, body, (JSON, (FAILED, b"False")))


def load_scoring_script(path: Path, model: Path | None, *, name: str, version: str) -> ScoringScript:
    """Import the script, set `AZUREML_MODEL_DIR`, call `init()`; `UsageError` or `FailedError` when that is not possible."""
    if not path.is_file():
        raise UsageError(f"No scoring script at {path}", hint="Check `code_configuration` of the deployment.")
    if model is not None:
        os.environ["AZUREML_MODEL_DIR"] = str(model_dir(model))
    sys.path.insert(0, str(path.parent))
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
    return ScoringScript(module.run, _parameters(module.run), name, version)


def model_dir(model: Path) -> Path:
    """A model folder keeps its basename below AZUREML_MODEL_DIR; a single file lies directly in it."""
    return model.parent


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Keyword arguments when `inference_schema` decorated the function, else none."""
    if not hasattr(function, "__wrapped__"):
        return ()
    return tuple(inspect.signature(function.__wrapped__).parameters)
