"""Models that pipelines register and read: the inputs of `register_model`, and models nobody here knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.expression import has_reference
from tidemill.spec.fields import InputValue
from tidemill.spec.kinds import Kind
from tidemill.spec.references import AssetRef, is_register_model, parse_reference
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.scope import Scope, bound_of

MODEL_TYPES = ("custom_model", "mlflow_model", "triton_model")
NEEDED = ("model_name", "model_path")
INPUTS = (*NEEDED, "model_type", "model_version", "model_description", "model_download_metadata", "model_metadata")
METADATA = "model_download_metadata"
PRESETS = "PRESETS"


def check_registration(scope: Scope, name: str) -> Iterator[Finding]:
    """A step that registers a model, as Azure's public component wants it. Versions of it differ in what else they take."""
    step = scope.jobs[name]
    component = getattr(step, "component", None)
    if not isinstance(component, str) or not is_register_model(parse_reference(component)):
        return
    given = bound_of(step)
    path = ("jobs", name, "inputs")
    for key in given:
        near = did_you_mean(key, INPUTS) if key not in INPUTS else ""
        if near.startswith("Did"):
            yield scope.finding("TM-B102", f"`register_model` has no input `{key}`", (*path, key), hint=near, key=True)
    for key in NEEDED:
        if key not in given and not (key == "model_name" and METADATA in given):
            text = f"`{name}` does not give the required input `{key}`"
            hint = f"`register_model` needs `{key}:` under the step's inputs."
            yield scope.finding("TM-B101", text, ("jobs", name), hint=hint, key=True)
    kind, source = given.get("model_type"), given.get("model_path")
    if isinstance(kind, str) and not has_reference(kind) and kind not in (*MODEL_TYPES, PRESETS):
        text = f"Input `model_type` of `{name}`: `{kind}` is no type of model"
        hint = did_you_mean(kind, MODEL_TYPES)
        yield scope.finding("TM-B106", text, (*path, "model_type"), hint=hint)
    if source is not None and not isinstance(source, (str, InputValue)):
        text = f"Input `model_path` of `{name}` takes a folder, not `{source}`"
        yield scope.finding("TM-B105", text, (*path, "model_path"))


def check_models(context: Context) -> Iterator[Finding]:
    """Models a job reads that are neither registered here, nor declared or made by a document around it."""
    for path, name, version in _wanted(context.loaded.data):
        known = context.get_models()
        if known is None:
            return
        if name in known and (version is None or f"{name}:{version}" in known):
            continue
        declared = context.get_repository().find((Kind.MODEL,), name, version) is not None
        if not declared and name not in set(_made(context.loaded.data)):
            label = f"{name}:{version}" if version else name
            hint = did_you_mean(label, known) or f"tidemill model create --name {name} --path PATH"
            yield context.finding("TM-R108", f"No model `{label}` is registered in this workspace", path, hint=hint)


def _wanted(data: Any) -> Iterator[tuple[tuple[str, ...], str, str | None]]:  # noqa: ANN401 - a document
    """Inputs of model types, of the job and of its steps, that name a model of the workspace."""
    jobs = data.get("jobs")
    steps = jobs.items() if isinstance(jobs, Mapping) else ()
    owners = [((), data), *((("jobs", str(n)), s) for n, s in steps if isinstance(s, Mapping))]
    for path, owner in owners:
        inputs = owner.get("inputs")
        for key, value in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(value, Mapping) and value.get("type") in MODEL_TYPES and isinstance(value.get("path"), str):
                ref = parse_reference(value["path"])
                if isinstance(ref, AssetRef) and ref.registry is None:
                    yield (*path, "inputs", str(key), "path"), ref.name, ref.version


def _made(data: Any) -> Iterator[str]:  # noqa: ANN401 - a document
    """Names that outputs of the same document are registered by."""
    jobs = data.get("jobs")
    for owner in (data, *(jobs.values() if isinstance(jobs, Mapping) else ())):
        outputs = owner.get("outputs") if isinstance(owner, Mapping) else None
        for value in outputs.values() if isinstance(outputs, Mapping) else ():
            if isinstance(value, Mapping) and value.get("name"):
                yield str(value["name"])
