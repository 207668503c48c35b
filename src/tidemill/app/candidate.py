"""The version a project would deploy: made by running the pipeline if anything changed, else the one it made before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.app.lineage import describe_origin
from tidemill.app.made_from import Kept
from tidemill.app.project import Project
from tidemill.app.run import RunRequest, plan_kept, run_planned, taking_up
from tidemill.app.wiring import App
from tidemill.base.errors import FailedError, UsageError
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.plan.graph import HOST_ENVIRONMENT, EnvironmentRef, Literal, Plan, StepKind, StepOutput
from tidemill.record.ports import ModelRequest, ModelVersion
from tidemill.record.runs import get_job
from tidemill.run.folders import job_folder
from tidemill.run.forecast import forecast
from tidemill.run.ports import RunObserver
from tidemill.run.register import DETAILS_FILE
from tidemill.run.result import JobResult, make_result

Noticed = Callable[[Sequence[Finding]], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered version, the job it came from, what was measured, and the environment that made it."""

    version: ModelVersion
    job: JobResult
    ran: bool
    environment: EnvironmentRef
    metrics: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)


def make_candidate(
    app: App,
    project: Project,
    observers: Sequence[RunObserver],
    *,
    relax_pins: bool = False,
    noticed: Noticed = lambda _: None,
) -> Candidate:
    """Run what is stale and register the result; a project where nothing changed runs nothing.

    `FailedError` when the job fails, with the failing step's words. What planning found worth knowing is told to
    `noticed` before anything runs.
    """
    file = project.file("pipeline")
    if file is None:
        raise UsageError(f"{project.path} names no `pipeline`", hint="Add `pipeline: pipeline.yml`.")
    request = RunRequest(file, relax_pins=relax_pins)
    plan, kept = plan_kept(app, request)
    _require_model(plan, project)
    with taking_up(app, plan) as left:
        done = find_done(app, plan)
        if done is None:
            noticed(plan.findings)
        job = done or _execute(app, (plan, kept), request, observers, left)
    version = _registered(app, project, plan, job)
    metrics = {k: v for step in job.steps.values() for k, v in step.metrics.items()}
    return Candidate(
        version,
        job,
        done is None,
        _environment(plan, project),
        {**metrics, **version.metrics},
        job.findings,
        describe_origin(app, plan, job.name),
    )


def serving_base(app: App, project: Project) -> EnvironmentRef:
    """The environment the project's model is trained in, for a version nothing is run for; Tidemill's own Python without a pipeline."""
    file = project.file("pipeline")
    return _environment(plan_kept(app, RunRequest(file))[0], project) if file is not None else HOST_ENVIRONMENT


def find_done(app: App, plan: Plan) -> JobResult | None:
    """The last completed job of this file, if running it again would change nothing."""
    rows = [r for r in app.store.jobs(limit=50) if r.source == str(plan.source) and r.status == "Completed"]
    if not rows or plan.settings.force_rerun:
        return None
    outlooks = forecast(plan, app.run_ports())
    view = get_job(app.store, rows[0].name)
    same = all(o.cached and view.steps.get(n) is not None and view.steps[n].key == o.key for n, o in outlooks.items())
    return make_result(view, job_folder(app.home, rows[0].name)) if same and len(view.steps) == len(outlooks) else None


def _execute(
    app: App,
    planned: tuple[Plan, Kept],
    request: RunRequest,
    observers: Sequence[RunObserver],
    left: Mapping[str, tuple[str, ...]],
) -> JobResult:
    result = run_planned(app, planned, request, observers, left)
    if not result.ok:
        raise FailedError(
            _why(result),
            hint=f"Mend it and run `tidemill up` again, or: tidemill job resume {result.name}. What served before still serves.",
        )
    return result


def _why(result: JobResult) -> str:
    failed = [s for s in result.steps.values() if s.status == "Failed"]
    if not failed:
        return f"The job {result.name} did not complete: {result.message or result.status}"
    step = failed[0]
    tail = step.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if step.log.exists() else []
    words = "\n".join(f"  | {line}" for line in tail)
    return f"Step `{step.name}` of {result.name} failed: {step.message}\n{words}\n  log: {step.log}"


def _require_model(plan: Plan, project: Project) -> None:
    """`UsageError` before anything runs where the job will not make the model the project names."""
    model = project.document.model
    names = [step.inputs.get("model_name") for step in plan.steps if step.kind is StepKind.REGISTER_MODEL]
    known = [name.text for name in names if isinstance(name, Literal)]
    if len(known) < len(names) or (known and model is None) or (model is not None and model.name in known):
        return
    if model is None or model.output is None:
        wanted = f" called `{model.name}`" if model else ""
        add = "Add a register_model step, or name the output: `model: {name: NAME, output: OUTPUT}`."
        near = did_you_mean(model.name, known) if model else ""
        raise UsageError(f"The job of {project.path} registers no model{wanted}", hint=near or add)
    if model.output not in plan.outputs:
        hint = did_you_mean(model.output, plan.outputs) or "It has no outputs."
        raise UsageError(f"The job of {project.path} has no output `{model.output}`", hint=hint)


def _registered(app: App, project: Project, plan: Plan, job: JobResult) -> ModelVersion:
    """What the job's register step made, or the output the project file names, registered now."""
    model = project.document.model
    for step in plan.steps:
        if step.kind is StepKind.REGISTER_MODEL:
            details = next(iter(job.steps[step.name].outputs.values())) / DETAILS_FILE
            found = json.loads(details.read_text(encoding="utf-8"))
            if model is None or found["name"] == model.name:
                return app.registry.get(found["name"], found["version"])
    if model is None or model.output is None:
        raise UsageError(
            f"The job of {project.path} registers no model{f' called `{model.name}`' if model else ''}",
            hint="Add a register_model step, or name the output: `model: {name: NAME, output: OUTPUT}`.",
        )
    if model.output not in job.outputs:
        raise UsageError(f"The job has no output `{model.output}`", hint=f"It has: {', '.join(job.outputs) or 'none'}.")
    metrics = {k: v for step in job.steps.values() for k, v in step.metrics.items()}
    kind = model.type or ("mlflow_model" if (job.outputs[model.output] / "MLmodel").exists() else "custom_model")
    producer = plan.outputs[model.output].step
    step_key = get_job(app.store, job.name).steps[producer].key
    request = ModelRequest(
        model.name,
        _resolved(job.outputs[model.output]),
        kind,
        job=f"key:{step_key[:16]}",
        step=producer,
        metrics=metrics,
    )
    return app.registry.register(request)


def _resolved(path: Path) -> Path:
    return path.resolve()


def _environment(plan: Plan, project: Project) -> EnvironmentRef:
    """The environment of the step that made the model: what it was trained in, it is served in."""
    steps = {s.name: s for s in plan.steps}
    for step in plan.steps:
        if step.kind is StepKind.REGISTER_MODEL:
            binding = step.inputs.get("model_path")
            if isinstance(binding, StepOutput) and binding.step in steps:
                return steps[binding.step].environment
    model = project.document.model
    output = plan.outputs.get(model.output) if model and model.output else None
    return steps[output.step].environment if output else plan.steps[-1].environment
