"""Pipelines: every step's inputs and outputs against its component, at every depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.expression import has_reference, parse_template
from tidemill.spec.fields import InputPort, InputValue
from tidemill.spec.folders import SKIPPED
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.pipeline import CommandStep, DoWhile, IfElse, ParallelFor, PipelineJob, PipelineStep
from tidemill.spec.references import FileRef, parse_reference
from tidemill.spec.rules.bindings import (
    check_bindings,
    check_circles,
    check_control,
    check_items,
    check_rounds,
    given_by_loops,
)
from tidemill.spec.rules.commands import command_findings
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.documents import near_name
from tidemill.spec.rules.registration import check_registration
from tidemill.spec.rules.scope import Scope, bound_of, commands_of, step_ports
from tidemill.spec.rules.values import complaint

STEP_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
LOOKED_AT = 2000  # files, when a path leads to nothing and a near one is sought


def check_pipeline(context: Context) -> Iterator[Finding]:
    """Everything about a pipeline's graph, and those written out inside its steps."""
    document = context.document
    if isinstance(document, PipelineJob) and document.jobs is not None and isinstance(document.component, str):
        text = "`jobs` and `component` exclude each other"
        yield context.finding("TM-D108", text, ("component",), hint="Keep one of them.", key=True)
    if document.jobs is None:
        yield from _check_delegated(context, document)
        return
    outer = Scope(context, document)
    for scope in (outer, *outer.inner()):
        for name in scope.jobs:
            yield from _check_step(scope, name)
        yield from check_circles(scope)
    if isinstance(document, PipelineJob):
        yield from _check_bound_literals(outer)


def _check_delegated(context: Context, document: Any) -> Iterator[Finding]:  # noqa: ANN401 - job or component
    """A job that is one component; its inputs may still come by `--set`."""
    component = getattr(document, "component", None)
    if component is None:
        yield context.finding("TM-D102", "A pipeline needs `jobs:` or `component:`", (), hint="Add `jobs:`.")
        return
    if isinstance(component, str):
        yield from _check_reference(Scope(context, document), component, ("component",))
    known = step_ports(context, document).inputs
    for name in document.inputs:
        if known is not None and name not in known:
            hint = did_you_mean(name, known) or "The component has no inputs."
            text = f"The component has no input `{name}`"
            yield context.finding("TM-B102", text, ("inputs", name), hint=hint, key=True)


def _check_step(scope: Scope, name: str) -> Iterator[Finding]:
    step = scope.jobs[name]
    if not STEP_NAME.match(name):
        hint = "Lower-case letters, digits and `_`, not beginning with a digit."
        yield scope.finding("TM-D201", f"`{name}` cannot name a step", ("jobs", name), hint=hint, key=True)
    if isinstance(step, (IfElse, DoWhile, ParallelFor)):
        yield from check_control(scope, name)
        yield from check_items(scope, name)
        yield from check_rounds(scope, name)
        return
    yield from _check_component(scope, name, step)
    for place, owner in commands_of(step):
        path = (*scope.path, "jobs", name, *place)
        yield from command_findings(scope.context, owner.command, owner.inputs, owner.outputs, path)
    yield from _check_inputs(scope, name, step)
    yield from check_registration(scope, name)
    yield from _check_outputs(scope, name, step)
    yield from check_bindings(scope, name)


def _check_component(scope: Scope, name: str, step: Any) -> Iterator[Finding]:  # noqa: ANN401
    path = ("jobs", name)
    component = getattr(step, "component", None)
    if isinstance(component, str):
        yield from _check_reference(scope, component, (*path, "component"))
    if component is not None:
        return
    text = ""
    if isinstance(step, CommandStep) and step.command is None:
        text = f"The step `{name}` has neither `component` nor `command`"
    elif isinstance(step, CommandStep) and step.environment is None:
        text = f"The step `{name}` has a command but no `environment`"
    elif isinstance(step, PipelineStep) and step.jobs is None:
        text = f"The step `{name}` has neither `component` nor `jobs`"
    if text:
        yield scope.finding("TM-D102", text, path, hint="Add it.", key=True)


def _check_reference(scope: Scope, component: str, path: tuple[str, ...]) -> Iterator[Finding]:
    ref, context = parse_reference(component), scope.context
    if not isinstance(ref, FileRef):
        return
    target = ref.resolve(context.folder)
    if not is_plain_file(target):
        yield scope.finding("TM-R101", f"No component at `{component}`", path, hint=_nearby(target, context.folder))
        return
    loaded = context.find_component(component)
    if loaded is None:
        return
    if not loaded.valid:
        first = loaded.findings[0].message if loaded.findings else ""
        text = f"The component `{component}` is not valid: {first}"
        yield scope.finding("TM-R102", text, path, hint=f"See {loaded.path.name}.")
    elif loaded.kind not in (*COMPONENTS, Kind.FLOW):
        kind = str(loaded.kind).replace("_", " ")
        yield scope.finding("TM-R103", f"`{component}` is a {kind}, not a component", path)


def _nearby(target: Path, folder: Path) -> str:
    """A file of the same name close by: below the document, or below the folder above it."""
    for root in (folder, folder.parent):
        found = _find_below(root, target.name)
        if found is not None:
            inside = folder in found.parents
            relative = found.relative_to(folder) if inside else Path("..") / found.relative_to(folder.parent)
            return f"Did you mean `{'./' if inside else ''}{relative.as_posix()}`?"
    return near_name(target) or "The path is relative to this file."


def _find_below(root: Path, name: str) -> Path | None:
    queue, seen = [root], 0
    while queue and seen < LOOKED_AT:
        try:
            entries = sorted(queue.pop(0).iterdir())
        except OSError:
            continue
        seen += len(entries)
        found = next((e for e in entries if e.name == name and e.is_file()), None)
        if found is not None:
            return found
        queue += [e for e in entries if e.name not in SKIPPED and not e.is_symlink() and e.is_dir()]
    return None


def _check_inputs(scope: Scope, name: str, step: Any) -> Iterator[Finding]:  # noqa: ANN401
    known = scope.ports[name].inputs
    if known is None:
        return
    path = ("jobs", name, "inputs")
    given = bound_of(step)
    for key, value in given.items():
        port = known.get(key)
        if port is None:
            hint = did_you_mean(key, known) or "The component has no inputs."
            yield scope.finding("TM-B102", f"`{name}` has no input `{key}`", (*path, key), hint=hint, key=True)
            continue
        wrong = _literal_problem(port, value)
        if wrong:
            yield scope.finding(wrong[0], f"Input `{key}` of `{name}`: {wrong[1]}", (*path, key))
    if getattr(step, "type", "command") == "sweep":
        return
    given = {**given, **dict.fromkeys(given_by_loops(scope, name))}
    for key, port in known.items():
        if isinstance(port, InputPort) and key not in given and not port.optional and port.default is None:
            near = get_close_matches(key, [k for k in given if k not in known], n=1)
            hint = f"It gives `{near[0]}` instead." if near else f"Add `{key}:` under the step's inputs."
            text = f"`{name}` does not give the required input `{key}`"
            yield scope.finding("TM-B101", text, ("jobs", name), hint=hint, key=True)


def _literal_problem(port: Any, value: Any) -> tuple[str, str] | None:  # noqa: ANN401
    if not isinstance(port, InputPort) or isinstance(value, InputValue) or has_reference(value):
        return None
    if not port.is_data:
        return complaint(port, value)
    if isinstance(value, str):
        return None
    return "TM-B105", f"an input of type {port.type} takes data, not `{value}`"


def _check_outputs(scope: Scope, name: str, step: Any) -> Iterator[Finding]:  # noqa: ANN401
    known = scope.ports[name].outputs
    if known is None or getattr(step, "component", None) is None:
        return
    for key in step.outputs:
        if key not in known:
            hint = did_you_mean(key, known) or "The component has no outputs."
            path = ("jobs", name, "outputs", key)
            yield scope.finding("TM-B103", f"`{name}` has no output `{key}`", path, hint=hint, key=True)


def _check_bound_literals(scope: Scope) -> Iterator[Finding]:
    """A literal of the pipeline that reaches an input it does not fit."""
    said: set[str] = set()
    for name, step in scope.jobs.items():
        known = scope.ports[name].inputs or {}
        for key, value in bound_of(step).items():
            source = _pipeline_input(value)
            if source in said or source not in scope.pipeline.inputs or key not in known:
                continue
            wrong = _literal_problem(known[key], scope.pipeline.inputs[source])
            if wrong:
                said.add(source)
                text = f"`{source}` reaches input `{key}` of `{name}`: {wrong[1]}"
                yield scope.finding(wrong[0], text, ("inputs", source))


def _pipeline_input(value: Any) -> str:  # noqa: ANN401
    """`x` for a value that is exactly `${{parent.inputs.x}}`."""
    if not has_reference(value):
        return ""
    template = parse_template(value)
    path = template.references[0].path if template.is_bare else ()
    return path[2] if path[:2] == ("parent", "inputs") and len(path) == 3 else ""  # noqa: PLR2004
