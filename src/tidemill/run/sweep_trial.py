"""One trial of a sweep: a command step with its values filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidemill.base.ids import StepName
from tidemill.plan.graph import InputBinding, Literal, Plan, Step, StepKind
from tidemill.run.state import Status
from tidemill.run.sweep_settings import Sweep
from tidemill.run.sweep_space import value_text
from tidemill.run.work import Stop
from tidemill.spec.expression import parse_template

SPACE = "search_space"


@dataclass(slots=True, eq=False)
class Trial:
    """A trial and how it stands; `score` is its last value of the primary metric, `judged` serves early termination."""

    number: int
    step: Step
    values: Mapping[str, Any]
    point: Mapping[str, float]
    stop: Stop = field(default_factory=Stop)
    status: Status = Status.RUNNING
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    judged: int = 0

    @property
    def name(self) -> StepName:
        """Its step's name: the sweep's with its number."""
        return self.step.name

    def describe(self) -> str:
        """Its values in a line."""
        return ", ".join(f"{name}={_short(value)}" for name, value in self.values.items())


def trial_name(plan: Plan, sweep: StepName, number: int) -> StepName:
    """`<sweep>_<number>` as on Azure ML; another underscore where a step of the plan is called like that."""
    taken = {s.name for s in plan.steps}
    name = f"{sweep}_{number}"
    while name in taken:
        name = name.replace(f"{sweep}_", f"{sweep}__", 1)
    return StepName(name)


def make_trial_step(sweep: Sweep, step: Step, name: StepName, values: Mapping[str, Any]) -> Step:
    """The step of a trial: `${{search_space.x}}` replaced, and inputs of the hyperparameters' names.

    Its outputs stay with it; only the best trial's go where the document sends them, as the sweep's.
    """
    texts = {name: value_text(value) for name, value in values.items()}
    inputs: dict[str, InputBinding] = {n: _fill_input(b, texts) for n, b in step.inputs.items()}
    inputs |= {n: Literal(texts[n], value) for n, value in values.items() if not isinstance(value, Mapping | list)}
    inputs |= {n: Literal(texts[n], texts[n]) for n, value in values.items() if isinstance(value, Mapping | list)}
    return replace(
        step,
        name=name,
        kind=StepKind.COMMAND,
        display_name=name,
        command=parse_template(_fill(step.command_text, texts)),
        inputs=inputs,
        outputs={
            n: replace(spec, destination=None, asset_name=None, asset_version=None) for n, spec in step.outputs.items()
        },
        environment_variables={n: _fill(text, texts) for n, text in step.environment_variables.items()},
        timeout_s=sweep.trial_timeout_s,
        body={},
        after=frozenset(),
    )


def _fill_input(binding: InputBinding, texts: Mapping[str, str]) -> InputBinding:
    if not isinstance(binding, Literal) or SPACE not in binding.text:
        return binding
    text = _fill(binding.text, texts)
    return Literal(text, text)


def _fill(text: str, texts: Mapping[str, str]) -> str:
    """Every `${{search_space.x}}` replaced; all else, optional groups too, is left for when the trial runs."""
    for reference in parse_template(text).references:
        if reference.path[0] == SPACE:
            text = text.replace(reference.text, texts.get(".".join(reference.path[1:]), ""))
    return text


def _short(value: Any) -> str:  # noqa: ANN401
    return (
        f"{value:.6g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, Mapping) else str(value)
    )
