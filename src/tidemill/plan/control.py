"""Control steps: a condition, a loop, a fan-out. Their blocks are steps kept out of the main graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidemill.base.ids import StepName
from tidemill.plan.bind import UNKNOWN_TYPE, Binder
from tidemill.plan.graph import HOLE, READ_ONLY, InputBinding, Literal, OutputSpec, Step, StepKind, StepOutput
from tidemill.plan.problems import Problems
from tidemill.plan.scope import Place, Scope
from tidemill.plan.steps import Entry
from tidemill.spec.expression import has_reference, literal_text, parse_template
from tidemill.spec.fields import OutputValue
from tidemill.spec.pipeline import DoWhile, IfElse, ParallelFor, read_items

Subplans = Mapping[str, tuple[Step, ...]]
Ends = Callable[[str], Mapping[str, StepOutput]]  # a step's name → where each of its outputs comes from
CONDITION = "condition"
ITEMS = "items"


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

    def given(self, step: Any) -> dict[str, Any]:  # noqa: ANN401
        """Inputs of the body that the control step itself gives, with the value of the first round as far as it is known."""
        if isinstance(step, ParallelFor):
            first = next(iter(read_items(step.items) or ()), {}) if not has_reference(step.items) else {}
            return dict(first)
        return {name: None for names in mapped(step).values() for name in names} if isinstance(step, DoWhile) else {}

    def read(self, entry: Entry, blocks: Subplans, initial: Mapping[str, InputBinding], ends: Ends) -> Step:
        """The step. What it decides on is an input, its steps are in `blocks`, what they give it in `results`."""
        step, scope, place = entry.step, entry.scope, entry.place
        for block, names in self.blocks(step).items():
            for missing in (n for n in names if n not in scope.jobs):
                self._problems.error("TM-B104", f"There is no step `{missing}`", place.at(block), path=place.dotted())
        kind = StepKind(step.type)
        body = step.model_dump(mode="json", exclude_none=True, exclude={"type"})
        found = {b: self._results(names, scope, blocks.get(b, ()), ends) for b, names in self.blocks(step).items()}
        needed = {d for steps in blocks.values() for s in steps for d in s.depends_on}
        own = {s.name for steps in blocks.values() for s in steps}
        read = Step(
            name=entry.full_name,
            kind=kind,
            inputs={**initial, **self._inputs(kind, step, scope, place)},
            body=body | {"prefix": scope.prefix},
            blocks=dict(blocks),
            results=found,
            after=frozenset(needed - own - {HOLE}),
            deterministic=False,
            at=entry.at,
        )
        if isinstance(step, DoWhile):
            self._check_mapping(step, found["body"], place)
            read = replace(read, results=found | self._when(step, scope, place, ends))
        return replace(read, outputs=_outputs(step, read, blocks))

    def _results(self, names: Sequence[str], scope: Scope, steps: Sequence[Step], ends: Ends) -> dict[str, StepOutput]:
        """Outputs of a block by name; of several steps with equal names the last one's."""
        known = {s.name: s for s in steps}
        found: dict[str, StepOutput] = {}
        for name in (StepName(scope.full(n)) for n in names):
            maker = known.get(name)
            found |= {o: StepOutput(name, o, READ_ONLY, s.type) for o, s in maker.outputs.items()} if maker else {}
            found |= ends(name)
        return found

    def _when(self, step: DoWhile, scope: Scope, place: Place, ends: Ends) -> dict[str, dict[str, StepOutput]]:
        """What decides whether a loop goes round again; nothing for one that only counts."""
        if step.condition is None or isinstance(step.condition, bool):
            return {}
        binding = self._one(CONDITION, step.condition, scope, place).get(CONDITION)
        if not isinstance(binding, StepOutput):
            return {}
        return {"when": {CONDITION: ends(binding.step).get(binding.output, binding)}}

    def _check_mapping(self, step: DoWhile, results: Mapping[str, StepOutput], place: Place) -> None:
        for name in (n for n in mapped(step) if n not in results and results):
            self._problems.error(
                "TM-B104",
                f"The body has no output `{name}` to hand on",
                place.at("mapping", name),
                hint=f"It has: {', '.join(results)}.",
                path=place.dotted("mapping", name),
            )

    def _inputs(self, kind: StepKind, step: Any, scope: Scope, place: Place) -> dict[str, InputBinding]:  # noqa: ANN401
        if kind is StepKind.IF_ELSE:
            return self._one(CONDITION, step.condition, scope, place)
        if kind is StepKind.PARALLEL_FOR:
            return self._one(ITEMS, step.items, scope, place)
        return {}

    def _one(self, name: str, value: Any, scope: Scope, place: Place) -> dict[str, InputBinding]:  # noqa: ANN401
        if has_reference(value):
            found = self._binder.value(value, None, scope, place.below(name))
            return {name: found} if found is not None else {}
        text = value if isinstance(value, str) else literal_text(value)
        return {name: Literal(text, value)}


def mapped(step: DoWhile) -> dict[str, list[str]]:
    """For each output of a loop's body the inputs that get it in the next round; `${{…inputs.x}}` and `x` mean the same."""
    return mapped_inputs(step.mapping)


def mapped_inputs(mapping: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """The same of the mapping alone."""
    found: dict[str, list[str]] = {}
    for output, value in (mapping or {}).items():
        listed = value if isinstance(value, list) else [value]
        texts = [v.get("name", "") if isinstance(v, Mapping) else str(v) for v in listed]
        found[output] = [_name(text) for text in texts if text]
    return found


def _outputs(step: Any, read: Step, blocks: Subplans) -> dict[str, OutputSpec]:  # noqa: ANN401
    """What a control step gives: what the taken branch or the last round gave, or for a fan-out a folder with all."""
    makers = {s.name: s for steps in blocks.values() for s in steps}
    found: dict[str, OutputSpec] = {}
    for block, results in read.results.items():
        for name, end in results.items() if block != "when" else ():
            maker = makers.get(end.step)
            kind = maker.outputs[end.output].type if maker and end.output in maker.outputs else end.type
            found[name] = OutputSpec(type=kind or "uri_folder")
    if not isinstance(step, ParallelFor):
        return found
    declared = {n: v.type if isinstance(v, OutputValue) else None for n, v in step.outputs.items()}
    chosen = declared or dict.fromkeys(found)
    return {n: OutputSpec(type="mltable" if kind == "mltable" else "uri_folder") for n, kind in chosen.items()}


def make_hole(name: str, binding: InputBinding | None) -> StepOutput:
    """What stands for one of a loop's inputs inside its body."""
    kind = getattr(binding, "type", UNKNOWN_TYPE)
    return StepOutput(HOLE, name, getattr(binding, "mode", ""), kind)


def _names(block: str | list[str] | None) -> list[str]:
    """`${{parent.jobs.x}}` or a bare name, one or several."""
    listed = [block] if isinstance(block, str) else block or []
    return [_name(text) for text in listed]


def _name(text: str) -> str:
    references = parse_template(text).references
    return references[0].path[-1] if references else text
