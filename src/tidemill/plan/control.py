"""Control steps: a condition, a loop, a fan-out. Their blocks are steps kept out of the main graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.plan.bind import Binder
from tidemill.plan.graph import InputBinding, Literal, Step, StepKind
from tidemill.plan.problems import Problems
from tidemill.plan.scope import Place, Scope
from tidemill.plan.steps import Entry
from tidemill.spec.expression import has_reference, literal_text, parse_template
from tidemill.spec.pipeline import DoWhile, IfElse, ParallelFor

Subplans = Mapping[str, tuple[Step, ...]]


class ControlReader:
    """Reads `if_else`, `do_while` and `parallel_for`."""

    def __init__(self, problems: Problems, binder: Binder) -> None:
        self._problems = problems
        self._binder = binder

    def reads(self, step: Any) -> bool:  # noqa: ANN401
        """Whether this is a control step."""
        return isinstance(step, IfElse | DoWhile | ParallelFor)

    def inside(self, jobs: Mapping[str, Any]) -> frozenset[str]:
        """Names of steps that belong to a control step."""
        blocks = (self.blocks(step) for step in jobs.values() if self.reads(step))
        return frozenset(name for found in blocks for names in found.values() for name in names)

    def blocks(self, step: Any) -> dict[str, list[str]]:  # noqa: ANN401
        """Names of the steps of each block."""
        if isinstance(step, IfElse):
            found = {"true": _names(step.true_block), "false": _names(step.false_block)}
            return {block: names for block, names in found.items() if names}
        return {"body": _names(step.body)}

    def read(self, entry: Entry, blocks: Subplans) -> Step:
        """The step; what it decides on is an input, its blocks are in `body["blocks"]` and its steps in `blocks`."""
        step, scope, place = entry.step, entry.scope, entry.place
        for block, names in self.blocks(step).items():
            for missing in (n for n in names if n not in scope.jobs):
                self._problems.error("TM-B104", f"There is no step `{missing}`", place.at(block), path=place.dotted())
        kind = StepKind(step.type)
        inputs = self._inputs(kind, step, scope, place)
        body = step.model_dump(mode="json", exclude_none=True, exclude={"type"})
        needed = {d for steps in blocks.values() for s in steps for d in s.depends_on}
        own = {s.name for steps in blocks.values() for s in steps}
        return Step(
            name=entry.full_name,
            kind=kind,
            inputs=inputs,
            body=body | {"prefix": scope.prefix},
            blocks=dict(blocks),
            after=frozenset(needed - own),
            deterministic=False,
            at=entry.at,
        )

    def _inputs(self, kind: StepKind, step: Any, scope: Scope, place: Place) -> dict[str, InputBinding]:  # noqa: ANN401
        if kind is StepKind.IF_ELSE:
            return self._one("condition", step.condition, scope, place)
        if kind is StepKind.PARALLEL_FOR:
            return self._one("items", step.items, scope, place)
        return {}

    def _one(self, name: str, value: Any, scope: Scope, place: Place) -> dict[str, InputBinding]:  # noqa: ANN401
        if has_reference(value):
            found = self._binder.value(value, None, scope, place.below(name))
            return {name: found} if found is not None else {}
        text = value if isinstance(value, str) else literal_text(value)
        return {name: Literal(text, value)}


def _names(block: str | list[str] | None) -> list[str]:
    """`${{parent.jobs.x}}` or a bare name, one or several."""
    listed = [block] if isinstance(block, str) else block or []
    return [_name(text) for text in listed]


def _name(text: str) -> str:
    references = parse_template(text).references
    return references[0].path[-1] if references else text
