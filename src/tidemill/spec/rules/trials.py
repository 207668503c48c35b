"""Sweeps: what is drawn must reach the trial, and the sampling must be able to draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.command import CommandComponent
from tidemill.spec.environment import Environment
from tidemill.spec.expression import Reference, parse_template
from tidemill.spec.fields import InputPort
from tidemill.spec.rules.commands import command_findings
from tidemill.spec.rules.context import Context, Path_
from tidemill.spec.rules.documents import environment_findings, missing_path

if TYPE_CHECKING:
    from tidemill.spec.sweep import SweepComponent, SweepJob, SweepStep, Trial

SPACE = "search_space"
SAMPLED: Mapping[str, frozenset[str]] = {
    "grid": frozenset(("choice",)),
    "bayesian": frozenset(("choice", "uniform", "quniform")),
}
"""What an algorithm can draw from; random draws from everything."""


def check_sweep_job(context: Context) -> Iterator[Finding]:
    """A sweep of its own."""
    document: SweepJob = context.document
    yield from _sampling(context, document.sampling_algorithm, document.search_space, ())
    yield from _ranges(context, document.search_space, ())
    trial = document.trial
    if trial is None or isinstance(trial, str):
        return
    yield from _trial_paths(context, trial)
    known = {**document.search_space, **document.inputs}
    yield from command_findings(context, trial.command, known, document.outputs, ("trial", "command"))
    references = parse_template(trial.command).references
    yield from _undrawn(context, references, document.search_space)
    used = {r.path[1] for r in references if len(r.path) > 1 and r.path[0] in {SPACE, "inputs"}}
    reachable = used | set(document.inputs)
    for name in document.search_space:
        if name not in reachable:
            yield _unreached(context, name, reachable, ())


def check_sweep_component(context: Context) -> Iterator[Finding]:
    """A reusable sweep: drawn values fill the trial's inputs."""
    document: SweepComponent = context.document
    yield from _sampling(context, document.sampling_algorithm, document.search_space, ())
    yield from _ranges(context, document.search_space, ())
    yield from _against_trial(context, document.trial, document.search_space, ())


def check_sweep_steps(context: Context) -> Iterator[Finding]:
    """Sweeps among a pipeline's steps."""
    for name, step in (context.document.jobs or {}).items():
        path = ("jobs", name)
        space, algorithm = getattr(step, SPACE, None), getattr(step, "sampling_algorithm", None)
        if step.type == "sweep":
            yield from _sampling(context, algorithm, step.search_space, path)
            yield from _ranges(context, step.search_space, path)
            yield from _against_trial(context, step.trial, step.search_space, path)
            yield from _required_inputs(context, step, path)
        elif step.type == "automl" and space:
            yield from _automl(context, step, path)


def check_automl(context: Context) -> Iterator[Finding]:
    """An AutoML job's own search."""
    yield from _automl(context, context.document, ())


def _automl(context: Context, task: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401 - any task
    sweep = getattr(task, "sweep", None)
    algorithm = sweep.sampling_algorithm if sweep is not None else None
    for spaces in getattr(task, SPACE, None) or []:
        drawn = {k: v for k, v in dict(spaces).items() if hasattr(v, "type")}
        yield from _sampling(context, algorithm, drawn, (*path, "sweep"))
    limits = getattr(task, "limits", None)
    total, at_once = getattr(limits, "max_trials", None), getattr(limits, "max_concurrent_trials", None)
    if isinstance(total, int) and isinstance(at_once, int) and at_once > total:
        yield context.finding(
            "TM-S102",
            f"max_concurrent_trials {at_once} is above max_trials {total}",
            (*path, "limits", "max_concurrent_trials"),
        )


def _ranges(context: Context, space: Mapping[str, Any], path: Path_) -> Iterator[Finding]:
    """A range that begins above its end has nothing in it."""
    for name, drawn in space.items():
        low, high = getattr(drawn, "min_value", None), getattr(drawn, "max_value", None)
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            text = f"`{name}` is drawn from {low:g} to {high:g}: there is nothing between them"
            hint = "Exchange min_value and max_value."
            yield context.finding("TM-S104", text, (*path, SPACE, name), hint=hint)


def _sampling(context: Context, algorithm: Any, space: Mapping[str, Any], path: Path_) -> Iterator[Finding]:  # noqa: ANN401 - Sampling, text or nothing
    drawable = SAMPLED.get(getattr(algorithm, "type", ""))
    if drawable is None:
        return
    bad = sorted(f"`{name}` ({d.type})" for name, d in space.items() if d.type not in drawable)
    if bad:
        yield context.finding(
            "TM-S103",
            f"{algorithm.type} sampling cannot draw {', '.join(bad)}",
            (*path, "sampling_algorithm"),
            hint=f"It draws from {', '.join(f'`{w}`' for w in sorted(drawable))}; random draws from everything.",
        )


def _trial_paths(context: Context, trial: Trial) -> Iterator[Finding]:
    if trial.code is not None:
        yield from missing_path(context, trial.code, ("trial", "code"), "code folder")
    if isinstance(trial.environment, Environment):
        yield from environment_findings(context, trial.environment, ("trial", "environment"))


def _undrawn(context: Context, references: tuple[Reference, ...], space: Mapping[str, Any]) -> Iterator[Finding]:
    missing = {
        r.path[1]: r.text for r in references if r.path[0] == SPACE and len(r.path) > 1 and r.path[1] not in space
    }
    for name, text in sorted(missing.items()):
        yield context.finding_at_text(
            "TM-B108",
            f"The command uses `{name}` of the search space, which does not have it",
            ("trial", "command"),
            text,
            hint=did_you_mean(name, space) or "Declare it under `search_space:`.",
        )


def _against_trial(context: Context, trial: Any, space: Mapping[str, Any], path: Path_) -> Iterator[Finding]:  # noqa: ANN401
    inputs = _trial_inputs(context, trial)
    if inputs is None:
        if isinstance(trial, str):
            yield from missing_path(context, trial, (*path, "trial"), "component")
        return
    for name in space:
        if name not in inputs:
            yield _unreached(context, name, inputs, path)


def _unreached(context: Context, name: str, known: Any, path: Path_) -> Finding:  # noqa: ANN401 - names
    return context.finding(
        "TM-S101", f"`{name}` is no input of the trial", (*path, SPACE, name), hint=did_you_mean(name, known), key=True
    )


def _trial_inputs(context: Context, trial: Any) -> Mapping[str, Any] | None:  # noqa: ANN401
    if isinstance(trial, CommandComponent):
        return trial.inputs
    loaded = context.find_component(trial) if isinstance(trial, str) else None
    found = loaded.document if loaded is not None else None
    return found.inputs if isinstance(found, CommandComponent) else None


def _required_inputs(context: Context, step: SweepStep, path: Path_) -> Iterator[Finding]:
    inputs = _trial_inputs(context, step.trial)
    if inputs is None:
        return
    for name in step.inputs:
        if name not in inputs:
            yield context.finding(
                "TM-B102",
                f"The trial of `{path[-1]}` has no input `{name}`",
                (*path, "inputs", name),
                hint=did_you_mean(name, inputs),
                key=True,
            )
    for name, port in inputs.items():
        needed = isinstance(port, InputPort) and not port.optional and port.default is None
        if needed and name not in step.inputs and name not in step.search_space:
            yield context.finding(
                "TM-B101",
                f"`{path[-1]}` neither gives nor draws the required input `{name}`",
                path,
                hint=f"Add `{name}:` under `inputs:` or `search_space:`.",
                key=True,
            )
