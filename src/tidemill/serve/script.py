"""Loads Azure's scoring scripts: imported as there, `init()` called once, `run` looked at for what it wants to be given."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.failures import missing, place
from tidemill.serve.rawhttp import offer_stand_ins, wants_request
from tidemill.serve.scoring import ScoringScript

LOG = logging.getLogger("tidemill.serve")
BESIDE = "beside the script: name it in the deployment's environment"
UNNAMED = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def load_scoring_script(code: Path, script: str, model: Path | None, *, name: str, version: str) -> ScoringScript:
    """Import the script in the folder `code`, call `init()`; `UsageError` or `FailedError` when that is not possible."""
    path = code / script
    if not path.is_file():
        raise UsageError(f"No scoring script at {path}", hint="Check `code_configuration` of the deployment.")
    _prepare(code.absolute(), path.absolute(), model)
    offer_stand_ins()
    module = _import(path.absolute(), code)
    if not callable(getattr(module, "run", None)):
        raise UsageError(f"{path} has no function `run`", hint="Define `def run(raw_data):`.")
    # what Azure's older SDKs wrote: a script around the user's, whose `run` hands on
    driven = getattr(module, "driver_module", None)
    run = driven.run if isinstance(driven, ModuleType) and hasattr(driven, "run") else module.run
    return _describe(run, name, version, code)


def _prepare(code: Path, path: Path, model: Path | None) -> None:
    """Where scripts look for their model, their own folder and modules beside them."""
    if model is not None:
        # a model folder keeps its own name below AZUREML_MODEL_DIR; a single file lies directly in it
        os.environ["AZUREML_MODEL_DIR"] = str(model.absolute().parent)
    os.environ.setdefault("AML_APP_ROOT", str(code))
    os.environ.setdefault("AZUREML_ENTRY_SCRIPT", str(path.relative_to(code)))
    for folder in (path.parent, code):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def _import(path: Path, code: Path) -> ModuleType:
    """The script's module, after its `init()`; an exit of the script's own is a failure like any other."""
    spec = importlib.util.spec_from_file_location("azureml_scoring_script", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported", hint="A scoring script is a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        if hasattr(module, "init"):
            module.init()
    except BaseException as exc:
        LOG.exception("the scoring script could not start")
        hint = missing(exc, BESIDE) or "The log has the traceback."
        raise FailedError(f"{path.name} could not start: {place(exc, code)}", hint=hint) from exc
    return module


def _describe(run: Callable[..., Any], name: str, version: str, code: Path) -> ScoringScript:
    """How `run` wants to be called."""
    decorated = _is_decorated(run)
    parameters = inspect.signature(run).parameters.values()
    given = [p for p in parameters if p.name != "request_headers"]
    if not given:
        raise UsageError("run() takes no input", hint="Define `def run(raw_data):`.")
    if any(p.kind in UNNAMED for p in parameters):
        raise UsageError("run() takes *args, **kwargs or nameless arguments", hint="Define `def run(raw_data):`.")
    if decorated and wants_request():
        raise UsageError("run() is under both @rawhttp and @input_schema", hint="Keep one of them.")
    return ScoringScript(
        function=run,
        first=given[0].name,
        parameters=tuple(given) if decorated else (),
        wants_request=wants_request(),
        wants_headers=len(given) < len(parameters),
        name=name,
        version=version,
        root=code,
    )


def _is_decorated(run: Callable[..., Any]) -> bool:
    """Whether `inference_schema` was told what `run` takes; other decorators change nothing of what it is given."""
    schemas = sys.modules.get("inference_schema.schema_util")
    return schemas is not None and bool(schemas.is_schema_decorated(run))
