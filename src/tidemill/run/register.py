"""The `register_model` component of the `azureml` registry, built in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.base.files import write_atomic
from tidemill.plan.graph import StepOutput
from tidemill.run.command import place_inputs
from tidemill.run.models import ModelRequest, ModelVersion
from tidemill.run.recheck import recheck
from tidemill.run.staging import lay_out, literal_paths
from tidemill.run.state import Status
from tidemill.run.work import StepEnd, StepWork

DETAILS_OUTPUT = "registration_details_folder"
DETAILS_FILE = "model_registration_details.json"
MODEL_INPUT = "model_path"
CUSTOM = "custom_model"


def run_register_model(work: StepWork) -> StepEnd:
    """Register the model at `model_path` and write what was registered."""
    context, step, folder = work.context, work.step, work.folder
    if context.ports.models is None:
        raise FailedError(
            "No model registry is set up", hint="Install the `mlflow` extra: pip install tidemill[mlflow]"
        )
    lay_out(step, folder)
    work.started()
    texts = literal_paths(step)
    place_inputs(context, step, work.sources, folder)
    version = context.ports.models.register(_make_request(work, texts))
    failpoint("model-registered")
    details = json.dumps(describe(version), indent=2)
    for name in step.outputs:
        write_atomic(folder.outputs / name / DETAILS_FILE, details)
    folder.log.write_text(f"Registered {version.name}:{version.version} from {version.path}\n", encoding="utf-8")
    recheck(work, version.path, MODEL_INPUT)
    return StepEnd(Status.COMPLETED, 0, f"registered {version.name}:{version.version}")


def describe(version: ModelVersion) -> Mapping[str, object]:
    """The registration details, in the words of Azure ML's component."""
    return {
        "id": f"azureml:{version.name}:{version.version}",
        "name": version.name,
        "version": version.version,
        "type": version.type,
        "path": str(version.path),
        "digest": version.digest,
        "description": version.description,
        "tags": dict(version.tags),
        "properties": dict(version.properties),
        "creation_context": {"created_at": version.created_at},
    }


def _make_request(work: StepWork, texts: Mapping[str, str]) -> ModelRequest:
    step = work.step
    name = texts.get("model_name")
    if not name or MODEL_INPUT not in work.sources:
        raise FailedError("`register_model` needs `model_name` and `model_path`", at=step.at)
    kind = texts.get("model_type") or CUSTOM
    return ModelRequest(
        name=name,
        path=model_root(work, kind),
        type=kind,
        version=texts.get("model_version") or None,
        description=texts.get("model_description", ""),
        job=work.context.job,
        step=step.name,
        metrics=_producer_metrics(work),
        tags=_pairs(texts.get("tags", "")),
        properties=_pairs(texts.get("properties", "")),
    )


def model_root(work: StepWork, kind: str) -> Path:
    """The folder to register: a custom model keeps `INPUT_model_path/…`, as Azure ML's component publishes it."""
    mount = work.folder.inputs / f"INPUT_{MODEL_INPUT}"
    if kind != CUSTOM or any(p != mount for p in work.folder.inputs.iterdir()):
        return mount
    return work.folder.inputs


def _producer_metrics(work: StepWork) -> Mapping[str, float]:
    """Metrics logged by the step that made the model, else by any step it came from."""
    binding = work.step.inputs.get(MODEL_INPUT)
    if isinstance(binding, StepOutput):
        return dict(work.context.metrics.get(binding.step, {}))
    return {}


def _pairs(text: str) -> dict[str, str]:
    """Tags as the component takes them: JSON, or `a=b,c=d`."""
    if isinstance(texts := _try_json(text), dict):
        return {str(k): str(v) for k, v in texts.items()}
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _try_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
