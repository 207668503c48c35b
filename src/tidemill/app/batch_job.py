"""The job a batch deployment stands for: a parallel job over files, or a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill import inside
from tidemill.base.errors import UsageError
from tidemill.spec.deployment import BatchDeployment
from tidemill.spec.environment import Environment
from tidemill.spec.model import Model
from tidemill.spec.references import AssetRef, FileRef, parse_reference

MLFLOW_SCRIPT = "tidemill_batch_mlflow.py"
MINI_BATCH_SIZE = 10
RETRY = {"max_retries": 3, "timeout": 30}
NO_PACKAGES = {"image": "mlflow-model"}
BOUND = "${{inputs.%s}}"
SCORE = "score"
JOB_DEFINITION = "job_definition"
PREDICTIONS = "predictions.csv"


def make_job(document: BatchDeployment, folder: Path, endpoint: str, name: str) -> dict[str, Any]:
    """A job document without its data; every path is absolute, with Azure ML's defaults for batch."""
    common = {
        **({"compute": document.compute} if document.compute else {}),
        "display_name": f"{endpoint}-{name}",
        "experiment_name": endpoint,
        "tags": {**(document.tags or {}), "endpoint_name": endpoint, "deployment_name": name},
    }
    if document.component is not None or document.job_definition is not None:
        return {**_pipeline(document, folder), **common}
    if document.model is None:
        raise UsageError(f"The deployment `{name}` names no model", hint="Add `model: azureml:name@latest`.")
    return {**_scoring(document, folder), **common}


def _pipeline(document: BatchDeployment, folder: Path) -> dict[str, Any]:
    component = document.component if document.component is not None else document.job_definition
    if not isinstance(component, str):
        raise UsageError("An inline component cannot be kept", hint="Put it into a file: component: ./pipeline.yml")
    key, place = ("component", _place(component, folder)) if document.component else (JOB_DEFINITION, component)
    found = document.settings
    settings = {
        n: v
        for n in ("default_compute", "continue_on_step_failure", "force_rerun", "default_datastore")
        if (v := getattr(found, n, None)) is not None
    }
    inputs = {
        n: v.model_dump(mode="json", exclude_none=True) if hasattr(v, "model_dump") else v
        for n, v in document.inputs.items()
    }
    return {"type": "pipeline", key: place, "inputs": inputs, "settings": settings}


def _scoring(document: BatchDeployment, folder: Path) -> dict[str, Any]:
    code = document.code_configuration
    script = (code.scoring_script or code.entry_script) if code else None
    own = script is not None
    task = {
        "type": "model",
        "code": _place(code.code or ".", folder) if code and own else str(Path(inside.__file__).parent / MLFLOW_SCRIPT),
        "entry_script": script or MLFLOW_SCRIPT,
        "environment": _environment(document.environment, folder),
        "model": BOUND % "model",
    }
    task = set_output(task, _setting(document, "output_action") or "append_row", _setting(document, "output_file_name"))
    variables = {**(document.environment_variables or {}), **(_setting(document, "environment_variables") or {})}
    retry = _setting(document, "retry_settings")
    instances = document.instance_count or (document.resources.instance_count if document.resources else None)
    return {
        "type": "parallel",
        "inputs": {"model": _model(document.model, folder, own=own)},
        "outputs": {SCORE: {"type": "uri_folder"}},
        "input_data": BOUND % "data",
        "mini_batch_size": str(_setting(document, "mini_batch_size") or MINI_BATCH_SIZE),
        "max_concurrency_per_instance": _setting(document, "max_concurrency_per_instance") or 1,
        "error_threshold": -1 if (limit := _setting(document, "error_threshold")) is None else limit,
        "logging_level": str(_setting(document, "logging_level") or "INFO").upper(),
        "retry_settings": {**RETRY, **(retry.model_dump(exclude_none=True) if retry else {})},
        "resources": {"instance_count": instances or 1},
        "environment_variables": variables,
        "task": task,
    }


def set_output(task: dict[str, Any], action: str | None, file_name: str | None) -> dict[str, Any]:
    """A scoring task that appends what `run` returns to that file, or leaves the writing to the script; what is None stays."""
    before = str(task.get("append_row_to") or PREDICTIONS).rpartition("/")[2]
    appends = "append_row_to" in task if action is None else action != "summary_only"
    rest = {k: v for k, v in task.items() if k != "append_row_to"}
    target = f"${{{{outputs.{SCORE}}}}}/{file_name or before}"
    return {**rest, "append_row_to": target} if appends else rest


def _setting(document: BatchDeployment, name: str) -> Any:  # noqa: ANN401
    """A field of `settings:`, or of the document itself as older documents have it."""
    nested = getattr(document.settings, name, None) if document.settings else None
    return nested if nested is not None else getattr(document, name, None)


def _model(model: Any, folder: Path, *, own: bool) -> dict[str, Any]:  # noqa: ANN401 - a reference or a Model
    """The model as an input of the job."""
    kind = "custom_model" if own else "mlflow_model"
    if isinstance(model, Model):
        return {"type": str(model.type or kind), "path": _place(str(model.path), folder)}
    return {"type": kind, "path": _place(model, folder)}


def _environment(environment: Any, folder: Path) -> Any:  # noqa: ANN401 - as the document has it
    """A reference, or an inline environment whose files are still found; without one, this Python."""
    if environment is None:
        return NO_PACKAGES
    if isinstance(environment, str):
        return _place(environment, folder)
    plain = environment.model_dump(mode="json", exclude_none=True, by_alias=True)
    if isinstance(environment, Environment) and isinstance(plain.get("conda_file"), str):
        plain["conda_file"] = _place(plain["conda_file"], folder)
    build = plain.get("build")
    if isinstance(build, Mapping) and isinstance(build.get("path"), str):
        plain["build"] = {**build, "path": _place(build["path"], folder)}
    return plain


def _place(text: str, folder: Path) -> str:
    """A reference that still holds when the document that has it lies elsewhere."""
    ref = parse_reference(text)
    if isinstance(ref, FileRef):
        return str(ref.resolve(folder))
    return f"azureml:{ref}" if isinstance(ref, AssetRef) and not text.startswith(("azureml:", "azureml://")) else text
