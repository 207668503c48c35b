"""Outputs out: what a step wrote, kept by content, and what is noticed about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.base.frozen import frozen
from tidemill.plan.graph import READ_ONLY_MODES, DataInput, OutputSpec, Step, StepOutput
from tidemill.run.abilities import IN_PLACE, NearData
from tidemill.run.context import RunContext
from tidemill.run.folders import StepFolder
from tidemill.run.models import ModelRequest
from tidemill.run.notice import notice_changed_input, notice_empty, notice_groups, notice_missing, notice_outside
from tidemill.run.staging import Source
from tidemill.spec.expression import parse_template

DEFAULT_OUTPUT = "default"
ARTIFACTS_OUTPUT = "artifacts"
OUTSIDE = "outside.jsonl"  # written by inside/tidemill_outside.py


def collect(context: RunContext, step: Step, folder: StepFolder, sources: Mapping[str, Source]) -> dict[str, str]:
    """Keep every output; raise findings about what is missing, empty or lost."""
    refs: dict[str, str] = {}
    _fill_artifacts(step, folder)
    for name in step.outputs:
        path = folder.outputs / name
        if not (path.exists() or path.is_symlink()):
            context.raise_finding(notice_missing(step, name), step.name)
            continue
        kept = context.ports.artifacts.keep(path)
        refs[name] = kept.ref
        if not kept.file_count:
            context.raise_finding(notice_empty(step, name), step.name)
    default = folder.cwd / "outputs"
    if DEFAULT_OUTPUT not in step.outputs and default.is_dir() and any(default.iterdir()):
        refs[DEFAULT_OUTPUT] = context.ports.artifacts.keep(default).ref
        (folder.outputs / DEFAULT_OUTPUT).symlink_to(default)
    _notice(context, step, sources, refs)
    outside = read_outside(folder)
    if outside:
        context.raise_finding(notice_outside(step, outside), step.name)
    return refs


def notice_changes(context: RunContext, step: Step, sources: Mapping[str, Source]) -> list[str]:
    """The inputs that were only to be read and are other than before: each is stated."""
    changed = [n for n, s in sources.items() if is_read_only(step, n) and context.has_changed(s)]
    for name in changed:
        context.raise_finding(notice_changed_input(step, name), step.name)
    return changed


def is_read_only(step: Step, name: str) -> bool:
    """Whether an input is data that the step may only read."""
    binding = step.inputs[name]
    return isinstance(binding, DataInput | StepOutput) and binding.mode in READ_ONLY_MODES


def read_outside(folder: StepFolder) -> list[str]:
    """What the step's Pythons noted of files they opened for writing elsewhere."""
    notes = folder.root / OUTSIDE
    if not notes.is_file():
        return []
    return sorted({json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines() if line})


@frozen
class Origin:
    """The job and step that made the outputs; of a reused step those of the past, so that no version is made twice."""

    job: str
    step: str
    metrics: Mapping[str, float]


def _send_there(context: RunContext, step: Step, path: Path, destination: str) -> bool:
    """Whether the destination is one that the step's executor knows, and the output is there now."""
    if not destination.startswith(IN_PLACE):
        return False
    executor = context.ports.executors.get(context.ports.place_compute(step.compute))
    return isinstance(executor, NearData) and executor.send(path, destination)


def publish(context: RunContext, step: Step, folder: StepFolder, refs: Mapping[str, str], origin: Origin) -> None:
    """Put outputs where their documents send them, and register those that name an asset."""
    for name, spec in step.outputs.items():
        if name not in refs:
            continue
        if spec.destination:
            destination = fill_destination(spec.destination, context.run_id(step.name), name)
            if not _send_there(context, step, folder.outputs / name, destination):
                context.ports.data.publish(refs[name], destination, context.ports.artifacts)
        if spec.asset_name and spec.is_model:
            _register_model(context, spec, folder.outputs / name, origin)
        elif spec.asset_name and context.ports.datasets:
            context.ports.datasets.register_data(
                spec.asset_name, spec.asset_version, refs[name], folder.outputs / name, spec.type
            )
        if spec.asset_name:
            failpoint("asset-registered")


def _register_model(context: RunContext, spec: OutputSpec, path: Path, origin: Origin) -> None:
    if context.ports.models is None:
        raise FailedError(
            "No model registry is set up", hint="Install the `mlflow` extra: pip install tidemill[mlflow]"
        )
    context.ports.models.register(
        ModelRequest(
            spec.asset_name or "",
            path,
            spec.type,
            spec.asset_version,
            job=origin.job,
            step=origin.step,
            metrics=origin.metrics,
        )
    )


def fill_destination(text: str, run_id: str, output: str) -> str:
    """A destination with `${{name}}` (the step's own job) and `${{output_name}}` filled in."""
    known = {"name": run_id, "output_name": output}
    return parse_template(text).render(lambda r: known.get(r.dotted, r.text))


def place_outputs(context: RunContext, folder: StepFolder, refs: Mapping[str, str]) -> None:
    """Make the outputs of a reused step appear in its folder."""
    folder.outputs.mkdir(parents=True, exist_ok=True)
    for name, ref in refs.items():
        context.ports.artifacts.place(ref, folder.outputs / name)


def _fill_artifacts(step: Step, folder: StepFolder) -> None:
    """An output called `artifacts` that the command never mentions is what lies in `./outputs`."""
    spec = step.outputs.get(ARTIFACTS_OUTPUT)
    if spec is None or "outputs.artifacts" in step.command_text or spec.is_file:
        return
    target = folder.outputs / ARTIFACTS_OUTPUT
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
        target.symlink_to(folder.cwd / "outputs")


def _notice(context: RunContext, step: Step, sources: Mapping[str, Source], refs: Mapping[str, str]) -> None:
    artifacts = context.ports.artifacts
    ins = {n: e for n, s in sources.items() if not s.is_file and (e := artifacts.entries(s.ref)) is not None}
    outs = {n: e for n, r in refs.items() if r.startswith("folder:") and (e := artifacts.entries(r)) is not None}
    for finding in notice_groups(step, ins, outs):
        context.raise_finding(finding, step.name)
