"""Pipelines: every step's inputs and outputs against its component, every binding against what it names, and no circles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.command import ComponentFields
from tidemill.spec.expression import Reference, has_reference, parse_template
from tidemill.spec.fields import InputPort, InputValue, OutputValue
from tidemill.spec.kinds import COMPONENTS
from tidemill.spec.pipeline import CommandStep, DoWhile, IfElse, ParallelFor, PipelineJob, PipelineStep
from tidemill.spec.references import FileRef, is_register_model, parse_reference
from tidemill.spec.rules.commands import command_findings
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.cycles import find_cycle
from tidemill.spec.rules.values import complaint

JOB_REFERENCE_PARTS = 5  # parent.jobs.NAME.outputs.NAME


@dataclass(frozen=True, slots=True)
class Ports:
    """What a step's component declares; None where it is not known here."""

    inputs: Mapping[str, Any] | None
    outputs: Mapping[str, Any] | None


def check_pipeline(context: Context) -> Iterator[Finding]:
    """Everything about a pipeline's graph."""
    document = context.document
    if document.jobs is None:
        if isinstance(document, PipelineJob) and document.component is None:
            yield context.finding("TM-D102", "A pipeline needs `jobs:` or `component:`", (), hint="Add `jobs:`.")
        return
    ports = {name: step_ports(context, step) for name, step in document.jobs.items()}
    for name, step in document.jobs.items():
        yield from _check_step(context, name, step, ports)
    yield from _check_circles(context)


def step_ports(context: Context, step: Any) -> Ports:  # noqa: ANN401 - any step
    """The declared inputs and outputs of what a step runs."""
    component = getattr(step, "component", None)
    if isinstance(component, ComponentFields):
        return Ports(component.inputs, component.outputs)
    if isinstance(component, str):
        loaded = context.find_component(component)
        found = loaded.document if loaded is not None else None
        return Ports(found.inputs, found.outputs) if isinstance(found, ComponentFields) else Ports(None, None)
    if isinstance(step, CommandStep):
        return Ports(None, step.outputs)
    return Ports(None, getattr(step, "outputs", None) or None)


def _check_step(context: Context, name: str, step: Any, ports: Mapping[str, Ports]) -> Iterator[Finding]:  # noqa: ANN401
    path = ("jobs", name)
    if not name.isidentifier():
        yield context.finding(
            "TM-D201",
            f"`{name}` cannot name a step",
            path,
            hint="Letters, digits and `_`, not beginning with a digit.",
            key=True,
        )
    if isinstance(step, (IfElse, DoWhile, ParallelFor)):
        yield from _check_control(context, name, step)
        return
    yield from _check_component(context, name, step)
    if isinstance(step, CommandStep) and step.command is not None:
        yield from command_findings(context, step.command, step.inputs, step.outputs, (*path, "command"))
    yield from _check_inputs(context, name, step, ports[name])
    yield from _check_outputs(context, name, step, ports[name])
    yield from _check_bindings(context, name, step, ports)


def _check_component(context: Context, name: str, step: Any) -> Iterator[Finding]:  # noqa: ANN401
    path = ("jobs", name, "component")
    component = getattr(step, "component", None)
    if isinstance(component, str):
        yield from _check_reference(context, component, path)
    elif isinstance(step, CommandStep) and component is None:
        if step.command is None:
            yield context.finding(
                "TM-D102", f"The step `{name}` has neither `component` nor `command`", ("jobs", name), hint="Add one."
            )
        elif step.environment is None:
            yield context.finding(
                "TM-D102",
                f"The step `{name}` has a command but no `environment`",
                ("jobs", name),
                hint="Add `environment:`.",
            )
    elif isinstance(step, PipelineStep) and component is None and step.jobs is None:
        yield context.finding(
            "TM-D102", f"The step `{name}` has neither `component` nor `jobs`", ("jobs", name), hint="Add one."
        )


def _check_reference(context: Context, component: str, path: tuple[str, ...]) -> Iterator[Finding]:
    ref = parse_reference(component)
    if is_register_model(ref) or not isinstance(ref, FileRef):
        return
    target = ref.resolve(context.folder)
    if not target.is_file():
        yield context.finding("TM-R101", f"No component at `{component}`", path, hint=_nearby(target, context.folder))
        return
    loaded = context.find_component(component)
    if loaded is None:
        return
    if not loaded.valid:
        first = next((f for f in loaded.findings), None)
        yield context.finding(
            "TM-R102",
            f"The component `{component}` is not valid: {first.message if first else ''}",
            path,
            hint=f"See {loaded.path}.",
        )
    elif loaded.kind not in COMPONENTS:
        yield context.finding(
            "TM-R103", f"`{component}` is a {str(loaded.kind).replace('_', ' ')}, not a component", path
        )


def _nearby(target: Path, folder: Path) -> str:
    """A file of the same name close by: beside, above or below the document."""
    roots = [folder, folder.parent]
    for root in roots:
        found = next((p for p in sorted(root.glob(f"**/{target.name}")) if ".tidemill" not in p.parts), None)
        if found is not None:
            relative = (
                found.relative_to(folder) if folder in found.parents else Path("..") / found.relative_to(folder.parent)
            )
            return f"Did you mean `./{relative}`?" if folder in found.parents else f"Did you mean `{relative}`?"
    return "The path is relative to this file."


def _check_inputs(context: Context, name: str, step: Any, ports: Ports) -> Iterator[Finding]:  # noqa: ANN401
    if ports.inputs is None:
        return
    path = ("jobs", name, "inputs")
    for key, value in step.inputs.items():
        port = ports.inputs.get(key)
        if port is None:
            hint = did_you_mean(key, ports.inputs) or "The component has no inputs."
            yield context.finding("TM-B102", f"`{name}` has no input `{key}`", (*path, key), hint=hint, key=True)
        elif (
            isinstance(port, InputPort)
            and not port.is_data
            and not isinstance(value, InputValue)
            and not has_reference(value)
        ):
            wrong = complaint(port, value)
            if wrong:
                yield context.finding(wrong[0], f"Input `{key}` of `{name}`: {wrong[1]}", (*path, key))
    if getattr(step, "type", "command") == "sweep":
        return
    for key, port in ports.inputs.items():
        if isinstance(port, InputPort) and key not in step.inputs and not port.optional and port.default is None:
            near = did_you_mean(key, [k for k in step.inputs if k not in ports.inputs])
            hint = near if near.startswith("Did") else f"Add `{key}:` under the step's inputs."
            yield context.finding(
                "TM-B101", f"`{name}` does not give the required input `{key}`", ("jobs", name), hint=hint, key=True
            )


def _check_outputs(context: Context, name: str, step: Any, ports: Ports) -> Iterator[Finding]:  # noqa: ANN401
    if ports.outputs is None or getattr(step, "component", None) is None:
        return
    for key in step.outputs:
        if key not in ports.outputs:
            hint = did_you_mean(key, ports.outputs) or "The component has no outputs."
            yield context.finding(
                "TM-B103", f"`{name}` has no output `{key}`", ("jobs", name, "outputs", key), hint=hint, key=True
            )


def texts_of(step: Any) -> Iterator[tuple[tuple[str, ...], str]]:  # noqa: ANN401
    """Where a step may hold `${{ }}`, and the text there: inputs, outputs, compute."""
    for side in ("inputs", "outputs"):
        for key, value in (getattr(step, side, None) or {}).items():
            text = value.path if isinstance(value, (InputValue, OutputValue)) else value
            if isinstance(text, str) and "${{" in text:
                tail = ("path",) if isinstance(value, (InputValue, OutputValue)) else ()
                yield (side, key, *tail), text
    compute = getattr(step, "compute", None)
    if isinstance(compute, str) and "${{" in compute:
        yield ("compute",), compute


def _check_bindings(context: Context, name: str, step: Any, ports: Mapping[str, Ports]) -> Iterator[Finding]:  # noqa: ANN401
    for place, text in texts_of(step):
        for reference in parse_template(text).references:
            wrong = _binding_problem(context, reference, ports, place[0])
            if wrong is not None:
                yield context.finding(wrong[0], wrong[1], ("jobs", name, *place), hint=wrong[2])


def _binding_problem(
    context: Context, reference: Reference, ports: Mapping[str, Ports], side: str
) -> tuple[str, str, str] | None:
    if not reference.is_valid:
        return "TM-B111", f"`{reference.text}` is not an expression", "Write `${{parent.inputs.name}}`."
    parts = reference.path
    if parts[0] in {"name", "default_datastore", "search_space"} or (
        parts[0] in {"inputs", "outputs"} and side == "compute"
    ):
        return None
    if parts[0] != "parent":
        hint = "A step's inputs and outputs are bound in its parent: `${{parent.inputs.name}}` or `${{parent.jobs.step.outputs.name}}`."
        return "TM-B110", f"`{reference.text}` has no meaning here", hint
    return _parent_problem(context, parts, reference.text, ports)


def _parent_problem(
    context: Context, parts: tuple[str, ...], text: str, ports: Mapping[str, Ports]
) -> tuple[str, str, str] | None:
    document = context.document
    scope = parts[1] if len(parts) > 1 else ""
    if scope in {"inputs", "outputs"} and len(parts) > 2:  # noqa: PLR2004 - parent.inputs.NAME
        known = getattr(document, scope)
        if parts[2] in known:
            return None
        return (
            "TM-B104",
            f"The pipeline has no {scope.removesuffix('s')} `{parts[2]}` (`{text}`)",
            did_you_mean(parts[2], known) or f"Declare it under `{scope}:`.",
        )
    if scope == "jobs" and len(parts) > 2:  # noqa: PLR2004
        return _job_problem(parts, text, ports)
    return (
        "TM-B104",
        f"`{text}` names nothing",
        "Known: `parent.inputs.…`, `parent.outputs.…`, `parent.jobs.NAME.outputs.…`.",
    )


def _job_problem(parts: tuple[str, ...], text: str, ports: Mapping[str, Ports]) -> tuple[str, str, str] | None:
    job = parts[2]
    if job not in ports:
        return "TM-B104", f"There is no step `{job}` (`{text}`)", did_you_mean(job, ports)
    if len(parts) < JOB_REFERENCE_PARTS or parts[3] != "outputs":
        return "TM-B104", f"`{text}` names no output", f"Write `${{{{parent.jobs.{job}.outputs.NAME}}}}`."
    outputs = ports[job].outputs
    if outputs is None or parts[4] in outputs:
        return None
    return (
        "TM-B104",
        f"The step `{job}` has no output `{parts[4]}` (`{text}`)",
        did_you_mean(parts[4], outputs) or f"`{job}` declares no outputs.",
    )


def _check_control(context: Context, name: str, step: IfElse | DoWhile | ParallelFor) -> Iterator[Finding]:
    """Bodies and branches are other steps of the same pipeline."""
    fields = ("true_block", "false_block") if isinstance(step, IfElse) else ("body",)
    for field in fields:
        value = getattr(step, field)
        for target in value if isinstance(value, list) else [value] if value else []:
            reference = parse_template(target).references
            job = reference[0].path[-1] if reference else target
            if job not in context.document.jobs:
                yield context.finding(
                    "TM-B104",
                    f"There is no step `{job}`",
                    ("jobs", name, field),
                    hint=did_you_mean(job, context.document.jobs),
                )


def _check_circles(context: Context) -> Iterator[Finding]:
    edges: dict[str, set[str]] = {}
    for name, step in context.document.jobs.items():
        found = [r.path for _, text in texts_of(step) for r in parse_template(text).references]
        edges[name] = {p[2] for p in found if len(p) > 2 and p[:2] == ("parent", "jobs")}  # noqa: PLR2004
    circle = find_cycle(edges)
    if circle:
        words = " → ".join((*circle, circle[0]))
        text = f"`{circle[0]}` waits for itself" if len(circle) == 1 else f"These steps wait for each other: {words}"
        yield context.finding(
            "TM-B107", text, ("jobs", circle[0]), hint="Bind one of them to something else.", key=True
        )
