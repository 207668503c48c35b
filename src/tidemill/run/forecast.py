"""What a run would do, without doing it: which steps are cached, which would run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.base.errors import TidemillError
from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import Plan, Step
from tidemill.run.context import RunContext, RunOptions
from tidemill.run.ports import RunPorts
from tidemill.run.reuse import MissingOutputError, explain_run, find_past, find_sources, identify
from tidemill.run.slots import Gpus, Slots


@dataclass(frozen=True, slots=True)
class Forecast:
    """`cached` when an earlier result would be used; `reason` says why, or why not."""

    cached: bool
    reason: str
    key: str = ""


def forecast(plan: Plan, ports: RunPorts, options: RunOptions | None = None) -> Mapping[StepName, Forecast]:
    """For each step whether it would run. Reads and hashes inputs, changes nothing but what is remembered of them."""
    context = RunContext(
        plan,
        JobName("forecast"),
        ports,
        options or RunOptions(),
        emit=lambda _: None,
        settle=lambda _: None,
        wake=lambda: None,
        slots=Slots(1),
        gpus=Gpus(ports.gpus),
    )
    found: dict[StepName, Forecast] = {}
    for step in plan.steps:
        found[step.name] = _forecast(context, step, found)
    return found


def _forecast(context: RunContext, step: Step, before: Mapping[StepName, Forecast]) -> Forecast:
    running = sorted(d for d in step.depends_on if d in before and not before[d].cached)
    if running:
        return Forecast(cached=False, reason=f"`{running[0]}` runs before it")
    try:
        sources = find_sources(context, step)
        identity = identify(context, step, sources)
    except (TidemillError, MissingOutputError, OSError) as exc:
        return Forecast(cached=False, reason=str(exc))
    past = find_past(context, identity)
    if past is None:
        return Forecast(cached=False, reason=explain_run(context, step, identity), key=identity.key)
    context.note(step.name, past.outputs, past.metrics)
    return Forecast(cached=True, reason=f"unchanged since {past.job}", key=identity.key)
