"""What AutoML steps need of this machine: asked before every run, so apart from what runs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from tidemill.base.errors import UsageError
from tidemill.plan.graph import Plan, Step, StepKind
from tidemill.run.abilities import SearchesModels
from tidemill.run.ports import RunPorts


def require_automl(plan: Plan, ports: RunPorts) -> None:
    """`UsageError` before anything runs when the plan has AutoML steps that want FLAML, and it is not here."""
    searches = (s for s in _all_steps(plan.steps) if s.kind is StepKind.AUTOML)
    step = next((s for s in searches if not is_done_there(s, ports)), None)
    if step is not None and importlib.util.find_spec("flaml") is None:
        raise UsageError(
            f"`{step.name}` is an AutoML step, which needs FLAML, and it is not installed",
            hint="pip install 'tidemill[automl]'",
            at=step.at,
        )


def is_done_there(step: Step, ports: RunPorts) -> bool:
    """Whether where the step runs has AutoML of its own."""
    executor = ports.executors.get(ports.place_compute(step.compute))
    return isinstance(executor, SearchesModels) and executor.searches(str(step.body["task"]).lower())


def _all_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        for block in step.blocks.values():
            yield from _all_steps(block)
