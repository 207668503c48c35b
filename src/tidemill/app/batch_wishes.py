"""What one invocation of a batch endpoint asks for, laid over its deployment's job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.app.anchors import anchor
from tidemill.app.batch_job import JOB_DEFINITION, SCORE, set_output
from tidemill.app.run import RunRequest
from tidemill.app.wiring import App
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.record.runs import get_job
from tidemill.run.job import JobView
from tidemill.spec.overrides import Override, apply_overrides, parse_override
from tidemill.spec.references import AssetRef, FileRef, parse_reference
from tidemill.spec.source import read_source

DATA, MODEL = "data", "model"
SETTINGS = "settings"
WRITING = ("output_action", "output_file_name")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What `batch-endpoint invoke` is given besides the endpoint's name."""

    deployment: str | None = None
    input: str | None = None
    input_type: str | None = None
    file: Path | None = None
    overrides: tuple[Override, ...] = ()
    job_name: str | None = None
    experiment_name: str | None = None
    mini_batch_size: int | None = None
    instance_count: int | None = None
    output_path: str | None = None


def with_wishes(job: dict[str, Any], wish: Invocation) -> dict[str, Any]:
    """The deployment's job with the data and settings of one invocation."""
    if wish.file is not None:
        given = read_source(wish.file).data() or {}
        for part in ("inputs", "outputs"):
            job[part] = {**job.get(part, {}), **anchor(given.get(part) or {}, wish.file.absolute().parent)}
    if wish.input is not None:
        job["inputs"] = {**job.get("inputs", {}), _data_name(job): _input(wish.input, wish.input_type)}
    if wish.output_path:
        name = _only_output(job)
        job["outputs"] = {**job["outputs"], name: {**job["outputs"][name], "path": wish.output_path}}
    if wish.experiment_name:
        job["experiment_name"] = wish.experiment_name
    if wish.mini_batch_size:
        job["mini_batch_size"] = str(wish.mini_batch_size)
    if wish.instance_count:
        job["resources"] = {"instance_count": wish.instance_count}
    changed = _apply(job, wish.overrides)
    changed["inputs"] = anchor({n: _value(v) for n, v in (changed.get("inputs") or {}).items()}, Path.cwd())
    return _with_data(changed) if changed["type"] == "parallel" else changed


def _apply(job: dict[str, Any], overrides: tuple[Override, ...]) -> dict[str, Any]:
    """`--set`, in the words of a deployment: what it has under `settings:` may be named without it."""
    if job["type"] != "parallel":
        pipeline: dict[str, Any] = apply_overrides(job, list(overrides))
        return pipeline
    plain = [Override(o.path[1:], o.value, o.text) if o.path[0] == SETTINGS and o.path[1:] else o for o in overrides]
    changed: dict[str, Any] = apply_overrides(job, [o for o in plain if o.path[0] not in WRITING])
    asked = {str(o.path[0]): o.value for o in plain if o.path[0] in WRITING}
    changed["task"] = set_output(dict(changed["task"]), asked.get("output_action"), asked.get("output_file_name"))
    for key in ("mini_batch_size", "logging_level"):
        changed[key] = str(changed[key])
    return changed


def _value(given: Any) -> Any:  # noqa: ANN401 - an input as a document has it
    """A literal as Azure's `inputs.yml` has it, `{type: string, default: append}`, as the value it is."""
    if isinstance(given, Mapping) and "path" not in given and ("default" in given or "value" in given):
        return given.get("value", given.get("default"))
    return given


def _with_data(job: dict[str, Any]) -> dict[str, Any]:
    """A model has one input, whatever the caller calls it; a `UsageError` when it is given none, or several."""
    inputs = job["inputs"]
    others = [n for n in inputs if n not in {MODEL, DATA}]
    if DATA in inputs and not others:
        return job
    if DATA in inputs or len(others) > 1:
        raise UsageError(f"A model scores one input, not {', '.join([DATA, *others] if DATA in inputs else others)}")
    if not others:
        raise UsageError("There is nothing to score", hint="--input PATH, or --input azureml:NAME:VERSION")
    return {**job, "inputs": {MODEL: inputs[MODEL], DATA: inputs[others[0]]}}


def _only_output(job: Mapping[str, Any]) -> str:
    """Where `--output-path` belongs."""
    names = list(job.get("outputs") or {})
    if len(names) != 1:
        raise UsageError(
            f"--output-path is for a deployment with one output, not {len(names)}",
            hint=f"--set outputs.{SCORE}.path=PATH for each, or --file FILE",
        )
    return str(names[0])


def _data_name(job: Mapping[str, Any]) -> str:
    """Where `--input` goes: the data of a model deployment; a pipeline's inputs are named."""
    if job["type"] == "parallel":
        return DATA
    raise UsageError("A pipeline deployment has inputs by name", hint="--set inputs.NAME.path=PATH, or --file FILE")


def require_input(text: str | None) -> None:
    """A `UsageError` when `--input` is a path where nothing is."""
    ref = parse_reference(text) if text is not None else None
    if isinstance(ref, FileRef) and not Path(ref.path).exists():
        beside = Path(ref.path).parent
        near = [str(beside / p.name) for p in beside.glob("*") if not p.name.startswith(".")]
        raise UsageError(f"--input: there is no file or folder `{text}`", hint=did_you_mean(ref.path, near))


def _input(text: str, kind: str | None) -> dict[str, Any]:
    path = Path(text)
    return {"type": kind or ("uri_file" if path.is_file() else "uri_folder"), "path": text}


def find_repeated(app: App, text: str) -> JobView:
    """The pipeline job that `job_definition` names; `NotFoundError` when there is none."""
    ref = parse_reference(text)
    name = ref.name if isinstance(ref, AssetRef) else text
    if app.store.job(name) is None:
        hint = did_you_mean(name, [j.name for j in app.store.jobs()])
        raise NotFoundError(f"There is no job `{name}` for the deployment to repeat", hint=hint)
    job = get_job(app.store, name)
    if job.type != "pipeline" or not job.source:
        raise UsageError(f"The job `{name}` is no pipeline, which a deployment could repeat")
    return job


def job_again(app: App, job: Mapping[str, Any], wish: Invocation, name: str) -> RunRequest:
    """The job that `job_definition` names, with other data: by its document, and what was set besides."""
    before = find_repeated(app, str(job[JOB_DEFINITION]))
    file = Path(before.source)
    if not file.exists():
        raise UsageError(f"The document of the job `{before.name}`, {file}, is not there any more")
    laid = with_wishes({k: v for k, v in job.items() if k != JOB_DEFINITION}, wish)
    kept = [parse_override(o) for o in before.request.get("overrides", ())]
    return RunRequest(file, (*kept, *_overrides(laid)), name=name)


def _overrides(job: Mapping[str, Any]) -> Iterator[Override]:
    """As `--set` would say it, each value whole, so that the job can be taken up again."""
    for key, value in job.items():
        if isinstance(value, Mapping):
            yield from (parse_override(f"{key}.{k}={json.dumps(v)}") for k, v in value.items())
        elif key != "type":
            yield parse_override(f"{key}={json.dumps(value)}")
