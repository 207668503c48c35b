"""Pipeline jobs and components, and every kind of step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tidemill.spec.command import CommandComponent, ComponentFields, EnvironmentField, JobFields, Reference
from tidemill.spec.fields import DistributionField, Inputs, JobIdentity, Later, Open, Outputs, OwnOutputs, Service
from tidemill.spec.scalars import AnyCase
from tidemill.spec.step import StepFields


class CommandStep(StepFields):
    """A command component with its inputs bound, or an inline command."""

    type: Annotated[Literal["command"], AnyCase] = "command"
    component: ComponentField | None = None
    command: str | None = None
    code: str | None = None
    environment: EnvironmentField | None = None
    distribution: DistributionField | None = None
    services: dict[str, Service] | None = None
    is_deterministic: bool | None = None


class PipelineStep(StepFields):
    """A pipeline inside a pipeline."""

    type: Annotated[Literal["pipeline"], AnyCase] = "pipeline"
    component: ComponentField | None = None
    jobs: dict[str, StepField] | None = None
    settings: PipelineSettings | None = None


class ControlStep(Open):
    """What control steps share: nothing is bound to them, but what is written there must be a mapping."""

    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None


class IfElse(ControlStep):
    """A branch on a control output; both branches are names of steps."""

    type: Literal["if_else"]
    condition: str | bool
    true_block: str | list[str] | None = None
    false_block: str | list[str] | None = None


MAX_ROUNDS = 1000  # how often Azure lets a loop go round


class DoWhileLimits(Open):
    """How often a loop may go round."""

    max_iteration_count: int | str | None = None


class DoWhile(ControlStep):
    """A step again and again while a control output is true."""

    type: Literal["do_while"]
    body: str
    condition: str | bool | None = None
    mapping: dict[str, Any] | None = None
    limits: DoWhileLimits | None = None


class ParallelFor(Open):
    """A step once for each item."""

    type: Literal["parallel_for"]
    body: str
    items: Any
    max_concurrency: int | None = None
    inputs: dict[str, Any] | None = None
    outputs: Outputs = Field(default_factory=dict)


def read_items(value: Any) -> list[Mapping[str, Any]] | None:  # noqa: ANN401 - any YAML value
    """The items of a `parallel_for` that are written out: a list, names with items, or either as JSON, or a JSON object a line.

    None for what is no list of objects; that may still be data which lists them.
    """
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            try:
                found = [json.loads(line) for line in value.splitlines() if line.strip()]
            except ValueError:
                return None
    found = list(found.values()) if isinstance(found, Mapping) else found
    ok = isinstance(found, list) and all(isinstance(item, Mapping) for item in found)
    return found if ok else None


def step_kind(value: Any) -> str:  # noqa: ANN401 - any YAML value
    """The tag of a step: its `type`, or `command` without one."""
    found = value.get("type", "command") if isinstance(value, Mapping) else getattr(value, "type", "command")
    return _tag(found)


def _tag(found: Any) -> str:  # noqa: ANN401 - any YAML value
    """Azure takes the word in any case."""
    return f"#{found.lower()}" if isinstance(found, str) else "#command"


StepField = Annotated[
    Annotated[CommandStep, Tag("#command")]
    | Annotated[PipelineStep, Tag("#pipeline")]
    | Annotated[Any, Later("sweep:SweepStep"), Tag("#sweep")]
    | Annotated[Any, Later("parallel:ParallelStep"), Tag("#parallel")]
    | Annotated[Any, Later("spark:SparkStep"), Tag("#spark")]
    | Annotated[Any, Later("automl:AutoMLStep"), Tag("#automl")]
    | Annotated[Any, Later("data_transfer:DataTransferStep"), Tag("#data_transfer")]
    | Annotated[IfElse, Tag("#if_else")]
    | Annotated[DoWhile, Tag("#do_while")]
    | Annotated[ParallelFor, Tag("#parallel_for")],
    Discriminator(step_kind),
]


class PipelineSettings(Open):
    """Defaults for all steps."""

    default_compute: str | None = None
    default_datastore: str | None = None
    continue_on_step_failure: bool | None = None
    force_rerun: bool | None = None


class PipelineJob(JobFields):
    """A graph of steps."""

    type: Literal["pipeline"] = "pipeline"
    jobs: dict[str, StepField] | None = None
    component: ComponentField | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: OwnOutputs = Field(default_factory=dict)
    settings: PipelineSettings | None = None
    compute: str | None = None
    identity: JobIdentity | None = None
    services: dict[str, Service] | None = None


class PipelineComponent(ComponentFields):
    """A graph of steps that can be a step."""

    type: Annotated[Literal["pipeline"], AnyCase] = "pipeline"
    jobs: dict[str, StepField]
    settings: PipelineSettings | None = None


def component_kind(value: Any) -> str:  # noqa: ANN401
    """The tag of a component: a reference, or an inline one by its `type`."""
    if not isinstance(value, Mapping):
        return f"#{getattr(value, 'type', 'command')}" if isinstance(value, ComponentFields) else "#reference"
    found = value.get("type", "pipeline" if "jobs" in value else "command")
    return _tag(found)


ComponentField = Annotated[
    Annotated[Reference, Tag("#reference")]
    | Annotated[CommandComponent, Tag("#command")]
    | Annotated[PipelineComponent, Tag("#pipeline")]
    | Annotated[Any, Later("parallel:ParallelComponent"), Tag("#parallel")]
    | Annotated[Any, Later("spark:SparkComponent"), Tag("#spark")]
    | Annotated[Any, Later("sweep:SweepComponent"), Tag("#sweep")],
    Discriminator(component_kind),
]
