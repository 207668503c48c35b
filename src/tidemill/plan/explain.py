"""A plan as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tidemill.base.ids import StepName
from tidemill.plan.graph import DataInput, InputBinding, Literal, Plan, Step, StepOutput


class Outlook(Protocol):
    """What would become of a step."""

    @property
    def cached(self) -> bool: ...
    @property
    def reason(self) -> str: ...


Outlooks = Mapping[StepName, Outlook]


def plan_as_json(plan: Plan, outlooks: Outlooks | None = None) -> dict[str, Any]:
    """The resolved graph: steps in the order they can run."""
    return {
        "display_name": plan.display_name,
        "experiment_name": plan.experiment_name,
        "source": str(plan.source),
        "type": plan.type,
        "steps": [_step_as_json(s, (outlooks or {}).get(s.name)) for s in plan.steps],
        "outputs": {name: f"{b.step}.{b.output}" for name, b in plan.outputs.items()},
        "findings": [f.as_record() for f in plan.findings],
    }


def _step_as_json(step: Step, outlook: Outlook | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": step.name,
        "kind": str(step.kind),
        "component": step.component,
        "command": step.command_text,
        "environment": step.environment.label,
        "python": step.environment.kind,
        "compute": step.compute,
        "depends_on": sorted(step.depends_on),
        "inputs": {name: say_binding(b) for name, b in step.inputs.items()},
        "outputs": {name: spec.type for name, spec in step.outputs.items()},
    }
    if step.blocks:
        body["blocks"] = {block: [_step_as_json(s, None) for s in steps] for block, steps in step.blocks.items()}
    return body | ({"cached": outlook.cached, "reason": outlook.reason} if outlook else {})


def plan_as_text(plan: Plan, outlooks: Outlooks | None = None) -> str:
    """One line per step: what would happen to it and why, then what it is made of."""
    lines = [f"{plan.display_name}: {len(plan.steps)} step{'s' if len(plan.steps) != 1 else ''}"]
    for step in plan.steps:
        lines += _step_lines(step, (outlooks or {}).get(step.name))
    lines += [f"output {name} = {b.step}.{b.output}" for name, b in plan.outputs.items()]
    return "\n".join(lines)


def _step_lines(step: Step, outlook: Outlook | None) -> list[str]:
    mark = "" if outlook is None else "cached  " if outlook.cached else "run     "
    why = f": {outlook.reason}" if outlook else ""
    where = "" if step.blocks else f" in {step.environment.label} ({step.environment.kind})"
    lines = [f"{mark}{step.name}{why}", f"    {step.kind}{where}"]
    lines += [f"    {block}: {', '.join(s.name for s in steps)}" for block, steps in step.blocks.items()]
    lines += [f"    {name} = {say_binding(b)}" for name, b in step.inputs.items()]
    return lines


def say_binding(binding: InputBinding) -> str:
    """Where an input comes from, in a few characters."""
    match binding:
        case Literal():
            return binding.text
        case DataInput():
            return f"{binding.ref.asset} ({binding.ref.uri})" if binding.ref.asset else binding.ref.uri
        case StepOutput():
            return f"{binding.step}.{binding.output}"
