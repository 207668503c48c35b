"""One pipeline under examination: the document's own graph, or one written out inside a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen
from tidemill.spec.command import CommandComponent, ComponentFields
from tidemill.spec.fields import InputPort, InputValue, OutputValue
from tidemill.spec.pipeline import CommandStep, PipelineComponent, PipelineStep
from tidemill.spec.rules.context import Context, Path_

AUTOML_DATA = ("training_data", "validation_data", "test_data")


@frozen
class Ports:
    """What a step's component declares; None where it is not known here."""

    inputs: Mapping[str, Any] | None
    outputs: Mapping[str, Any] | None


@frozen
class Scope:
    """`pipeline` has jobs, inputs and outputs; `path` leads to it."""

    context: Context
    pipeline: Any
    path: tuple[str | int, ...] = ()
    ports: dict[str, Ports] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, step in self.jobs.items():
            self.ports[name] = step_ports(self.context, step)

    @property
    def jobs(self) -> Mapping[str, Any]:
        """The steps by name."""
        return self.pipeline.jobs or {}

    def finding(self, code: str, message: str, path: Path_, *, hint: str = "", key: bool = False) -> Finding:
        """A finding at a path below this pipeline."""
        return self.context.finding(code, message, (*self.path, *path), hint=hint, key=key)

    def inner(self) -> Iterator[Scope]:
        """Pipelines written out inside steps, at any depth."""
        for name, step in self.jobs.items():
            component = getattr(step, "component", None)
            if isinstance(component, PipelineComponent):
                scope = Scope(self.context, component, (*self.path, "jobs", name, "component"))
            elif isinstance(step, PipelineStep) and step.jobs:
                scope = Scope(self.context, step, (*self.path, "jobs", name))
            else:
                continue
            yield scope
            yield from scope.inner()


def step_ports(context: Context, step: Any) -> Ports:  # noqa: ANN401 - any step
    """The declared inputs and outputs of what a step runs."""
    component = getattr(step, "component", None)
    if isinstance(component, ComponentFields):
        return Ports(component.inputs, component.outputs)
    if isinstance(component, str):
        documents = [loaded.document for loaded in context.find_components(component)]
        found = [Ports(d.inputs, d.outputs) for d in documents if isinstance(d, ComponentFields)]
        return min(found, key=lambda ports: _misfits(ports, step), default=Ports(None, None))
    if isinstance(step, CommandStep):
        return Ports(None, step.outputs)
    return Ports(None, getattr(step, "outputs", None) or None)


def _misfits(ports: Ports, step: Any) -> int:  # noqa: ANN401 - any step
    """How many inputs and outputs of a step a component does not have, and how many it needs besides."""
    known, given = ports.inputs or {}, bound_of(step)
    needed = [k for k, p in known.items() if isinstance(p, InputPort) and not p.optional and p.default is None]
    unknown = [k for k in given if k not in known] + [
        k for k in bound_of(step, "outputs") if k not in (ports.outputs or {})
    ]
    return len(unknown) + sum(k not in given for k in needed)


def bound_of(step: Any, side: str = "inputs") -> Mapping[str, Any]:  # noqa: ANN401
    """What a step binds; nothing for one without, or where what stands there (control and AutoML steps keep it) is no mapping."""
    found = getattr(step, side, None)
    return found if isinstance(found, Mapping) else {}


def texts_of(step: Any) -> Iterator[tuple[tuple[str, ...], str]]:  # noqa: ANN401
    """Where a step may hold `${{ }}`, and the text there: inputs, outputs, compute, the data of AutoML."""
    for side in ("inputs", "outputs"):
        bound = getattr(step, side, None)
        for key, value in (
            bound.items() if isinstance(bound, Mapping) else ()
        ):  # AutoML steps keep what they do not know
            text = value.path if isinstance(value, (InputValue, OutputValue)) else value
            if isinstance(text, str) and "${{" in text:
                tail = ("path",) if isinstance(value, (InputValue, OutputValue)) else ()
                yield (side, key, *tail), text
    for name in ("compute", *AUTOML_DATA):
        value = getattr(step, name, None)
        text = value.path if isinstance(value, InputValue) else value
        if isinstance(text, str) and "${{" in text:
            yield (name,), text


def commands_of(step: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """Where a step has a command line of its own, and whose inputs and outputs it may use."""
    if isinstance(step, CommandStep) and step.command is not None:
        yield ("command",), step
    component = getattr(step, "component", None)
    if isinstance(component, CommandComponent):
        yield ("component", "command"), component
