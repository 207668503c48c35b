"""What a `${{ … }}` of a pipeline names must exist, and steps must not wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.expression import Reference, has_reference, parse_template
from tidemill.spec.pipeline import MAX_ROUNDS, DoWhile, IfElse, ParallelFor, read_items
from tidemill.spec.rules.cycles import find_cycle
from tidemill.spec.rules.scope import Scope, texts_of

NAMED_PARTS = 3  # parent.inputs.NAME, parent.jobs.NAME
OUTPUT_PARTS = 5  # parent.jobs.NAME.outputs.NAME
EVERYWHERE = {"name", "default_datastore", "search_space"}

Problem = tuple[str, str, str]


def check_bindings(scope: Scope, name: str) -> Iterator[Finding]:
    """Every expression in a step's inputs, outputs and compute."""
    for place, text in texts_of(scope.jobs[name]):
        for reference in parse_template(text).references:
            wrong = _problem(scope, reference, place[0])
            if wrong is not None:
                yield scope.finding(wrong[0], wrong[1], ("jobs", name, *place), hint=wrong[2])


def check_control(scope: Scope, name: str) -> Iterator[Finding]:
    """Branches and loops: what they start are other steps, what they test are outputs of steps."""
    step = scope.jobs[name]
    for field in ("true_block", "false_block", "body"):
        value = getattr(step, field, None)
        for target in value if isinstance(value, list) else [value] if value else []:
            job = _target(target)
            if job not in scope.jobs:
                hint = did_you_mean(job, scope.jobs)
                yield scope.finding("TM-B104", f"There is no step `{job}`", ("jobs", name, field), hint=hint)
    for field in ("condition", "items"):
        value = getattr(step, field, None)
        for reference in parse_template(value).references if isinstance(value, str) else ():
            wrong = _problem(scope, reference, field)
            if wrong is not None:
                yield scope.finding(wrong[0], wrong[1], ("jobs", name, field), hint=wrong[2])


def check_items(scope: Scope, name: str) -> Iterator[Finding]:
    """Items that are written out are objects: each gives the body's inputs of one round."""
    step = scope.jobs[name]
    if not isinstance(step, ParallelFor) or has_reference(step.items):
        return
    written = step.items.lstrip()[:1] in {"[", "{"} if isinstance(step.items, str) else isinstance(step.items, list)
    if written and read_items(step.items) is None:
        hint = 'Example: items: [{"learning_rate": 0.1}, {"learning_rate": 0.2}]'
        yield scope.finding(
            "TM-D109", f"The items of `{name}` are no list of objects", ("jobs", name, "items"), hint=hint
        )


def check_rounds(scope: Scope, name: str) -> Iterator[Finding]:
    """What a loop hands on is an output of its body, and it goes round as often as Azure lets it, at most."""
    step = scope.jobs[name]
    if not isinstance(step, DoWhile):
        return
    ports = scope.ports.get(_target(step.body))
    known = ports.outputs if ports else None
    for output in step.mapping or {}:
        if known is not None and output not in known:
            hint = did_you_mean(output, known) or f"It has: {', '.join(known) or 'none'}."
            text = f"The body has no output `{output}` to hand on"
            yield scope.finding("TM-B104", text, ("jobs", name, "mapping", output), hint=hint, key=True)
    most = step.limits.max_iteration_count if step.limits else None
    if isinstance(most, int) and not 1 <= most <= MAX_ROUNDS:
        text = f"`max_iteration_count` is {most}"
        where = ("jobs", name, "limits", "max_iteration_count")
        yield scope.finding("TM-D105", text, where, hint=f"A number from 1 to {MAX_ROUNDS}.")


def given_by_loops(scope: Scope, name: str) -> set[str]:
    """Inputs that every item of a `parallel_for` over the step gives, as far as the items are written out."""
    found: set[str] = set()
    for step in scope.jobs.values():
        if isinstance(step, ParallelFor) and _target(step.body) == name and not has_reference(step.items):
            items = read_items(step.items) or []
            found |= set.intersection(*(set(item) for item in items)) if items else set()
    return found


def check_circles(scope: Scope) -> Iterator[Finding]:
    """The first circle of steps, if there is one."""
    edges: dict[str, set[str]] = {}
    for name, step in scope.jobs.items():
        edges.setdefault(name, set()).update(_sources(step))
        if isinstance(step, IfElse):
            for block in (step.true_block, step.false_block):
                for target in block if isinstance(block, list) else [block] if block else []:
                    edges.setdefault(_target(target), set()).add(name)
    circle = find_cycle(edges)
    if circle:
        words = " → ".join((*circle, circle[0]))
        text = f"`{circle[0]}` waits for itself" if len(circle) == 1 else f"These steps wait for each other: {words}"
        yield scope.finding("TM-B107", text, ("jobs", circle[0]), hint="Bind one of them to something else.", key=True)


def _target(text: str) -> str:
    """The step a branch or loop names: bare, or as `${{parent.jobs.name}}`."""
    references = parse_template(text).references
    return references[0].path[-1] if references else text


def _sources(step: object) -> Iterator[str]:
    """Steps whose outputs a step reads. What a loop's body feeds back to itself is no circle."""
    texts = [text for _, text in texts_of(step)]
    texts += [t for field in ("condition", "items") if isinstance(t := getattr(step, field, None), str)]
    if isinstance(step, DoWhile):
        return
    for text in texts:
        for reference in parse_template(text).references:
            if len(reference.path) >= NAMED_PARTS and reference.path[:2] == ("parent", "jobs"):
                yield reference.path[2]


def _problem(scope: Scope, reference: Reference, side: str) -> Problem | None:
    if not reference.is_valid:
        return "TM-B111", f"`{reference.text}` is not an expression", "Write `${{parent.inputs.name}}`."
    root = reference.path[0]
    if root in EVERYWHERE or (root in {"inputs", "outputs"} and side == "compute"):
        return None
    if root != "parent":
        hint = "A step is bound in its parent: `${{parent.inputs.name}}` or `${{parent.jobs.step.outputs.name}}`."
        return "TM-B110", f"`{reference.text}` has no meaning here", hint
    return _parent_problem(scope, reference.path, reference.text)


def _parent_problem(scope: Scope, parts: tuple[str, ...], text: str) -> Problem | None:
    kind = parts[1] if len(parts) >= NAMED_PARTS else ""
    if kind in {"inputs", "outputs"}:
        known = getattr(scope.pipeline, kind)
        if parts[2] in known or ".".join(parts[2:]) in known:
            return None
        hint = did_you_mean(parts[2], known) or f"Declare it under `{kind}:`."
        return "TM-B104", f"The pipeline has no {kind.removesuffix('s')} `{parts[2]}` (`{text}`)", hint
    if kind == "jobs":
        return _job_problem(scope, parts, text)
    hint = "Known: `parent.inputs.…`, `parent.outputs.…`, `parent.jobs.NAME.outputs.…`."
    return "TM-B104", f"`{text}` names nothing", hint


def _job_problem(scope: Scope, parts: tuple[str, ...], text: str) -> Problem | None:
    job = parts[2]
    if job not in scope.jobs:
        return "TM-B104", f"There is no step `{job}` (`{text}`)", did_you_mean(job, scope.jobs)
    if (
        len(parts) >= OUTPUT_PARTS
        and parts[3] == "inputs"
        and parts[4] in (getattr(scope.jobs[job], "inputs", None) or {})
    ):
        return None
    if len(parts) < OUTPUT_PARTS or parts[3] != "outputs":
        return "TM-B104", f"`{text}` names no output", f"Write `${{{{parent.jobs.{job}.outputs.NAME}}}}`."
    outputs = scope.ports[job].outputs
    if outputs is None or parts[4] in outputs or isinstance(scope.jobs[job], (DoWhile, ParallelFor)):
        return None
    hint = did_you_mean(parts[4], outputs) or f"`{job}` declares no outputs."
    return "TM-B104", f"The step `{job}` has no output `{parts[4]}` (`{text}`)", hint
