"""A pipeline, with the pipelines inside it, becomes one flat list of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.base.errors import Location
from tidemill.base.ids import StepName
from tidemill.base.suggest import did_you_mean
from tidemill.plan.bind import UNKNOWN_TYPE, Binder
from tidemill.plan.control import ControlReader, make_hole
from tidemill.plan.graph import HOLE, MODEL_TYPES, READ_ONLY, InputBinding, Step, StepKind, StepOutput
from tidemill.plan.problems import Problems
from tidemill.plan.resolve import REGISTER_MODEL, Resolver
from tidemill.plan.scope import Place, Scope, places_of_steps
from tidemill.plan.steps import Definition, Entry, StepMaker
from tidemill.spec.expression import parse_template
from tidemill.spec.fields import OutputValue
from tidemill.spec.kinds import Kind
from tidemill.spec.load import Loaded

MAX_DEPTH = 20
SPECIAL = {
    "sweep": StepKind.SWEEP,
    "parallel": StepKind.PARALLEL,
    "spark": StepKind.SPARK,
    "automl": StepKind.AUTOML,
}
COMPONENT_KINDS = {
    Kind.COMMAND_COMPONENT: "command", Kind.COMMAND_JOB: "command", Kind.PIPELINE_COMPONENT: "pipeline",
    Kind.PIPELINE_JOB: "pipeline", Kind.PARALLEL_COMPONENT: "parallel", Kind.SPARK_COMPONENT: "spark",
    Kind.SWEEP_COMPONENT: "sweep",
}  # fmt: skip

Read = tuple[list[Step], dict[str, StepOutput], dict[str, InputBinding]]


class PipelineReader:
    """Reads a pipeline into steps with dotted names: `prep.clean` is `clean` of the pipeline that is step `prep`."""

    def __init__(self, resolver: Resolver, binder: Binder, maker: StepMaker, problems: Problems) -> None:
        self._resolver = resolver
        self._binder = binder
        self._maker = maker
        self._problems = problems
        self._steps: list[Step] = []
        self._aliases: dict[tuple[str, str], StepOutput] = {}
        self._pipelines: set[str] = set()
        self._depth = 0
        self._control = ControlReader(problems, binder)
        self._holes: dict[str, dict[str, InputBinding]] = {}

    def read(self, loaded: Loaded) -> Read:
        """Steps, the pipeline's outputs and its inputs; bindings through nested pipelines end at real steps."""
        document, place = loaded.document, Place(loaded)
        component = loaded.kind is Kind.PIPELINE_COMPONENT
        values = {} if component else document.inputs
        scope = Scope(place, "", {}, document.outputs, {}, _compute_of(document))
        jobs = getattr(document, "jobs", None)
        if getattr(document, "component", None) is not None:
            found = self._definition(document, place)
            if found is None or not hasattr(found[0].document, "jobs"):
                return [], {}, {}
            definition = found[0]
            scope.inputs = self._binder.inputs(values, definition.document.inputs, scope, place)
            scope.wanted = definition.document.outputs | document.outputs
            scope.place, jobs = definition.place, definition.document.jobs
            scope.known_inputs = frozenset(definition.document.inputs)
        else:
            ports = document.inputs if component else None
            scope.inputs = self._binder.inputs(values, ports, scope, place)
            scope.known_inputs = frozenset(document.inputs)
        scope.jobs = jobs or {}
        self._read_jobs(scope)
        self._claim_outputs(scope)
        steps = self._connect()
        return steps, self._ends(scope.outputs, {s.name: s for s in steps}), dict(scope.inputs)

    def _read_jobs(self, scope: Scope) -> None:
        """Every entry under `jobs:`; those inside a control step are left to it."""
        places = places_of_steps(scope.place)
        inside = self._control.inside(scope.jobs)
        for name in scope.jobs:
            if name not in inside:
                self._read_entry(name, scope, places)

    def _read_entry(self, name: str, scope: Scope, places: Mapping[str, Location]) -> None:
        step, place = scope.jobs[name], scope.place.below("jobs", name)
        at = places.get(name, Location(scope.place.loaded.source.file))
        if self._control.reads(step):
            self._read_control(Entry(name, step, scope, place, at), places)
        else:
            self._read_step(name, step, scope, place, at)

    def _read_control(self, entry: Entry, places: Mapping[str, Location]) -> None:
        """A control step and the steps of its blocks; inputs of a loop's body that change from round to round are holes."""
        given = self._control.given(entry.step)
        initial: dict[str, InputBinding] = {}
        subplans = {
            block: self._subplan(names, entry.scope, places, given, initial)
            for block, names in self._control.blocks(entry.step).items()
        }
        made = self._control.read(entry, subplans, initial, self._ends_of)
        given = getattr(entry.step, "outputs", None) or {}
        sent = {n: self._maker.output(entry, n, given[n], spec) for n, spec in made.outputs.items() if n in given}
        self._steps.append(replace(made, outputs={**made.outputs, **sent}))
        _claim_for(made, entry.scope)

    def _subplan(
        self,
        names: list[str],
        scope: Scope,
        places: Mapping[str, Location],
        given: Mapping[str, Any],
        initial: dict[str, InputBinding],
    ) -> tuple[Step, ...]:
        """Steps of a branch or body, kept out of the main graph."""
        start = len(self._steps)
        for name in (n for n in names if n in scope.jobs):
            step = scope.jobs[name]
            if not given or self._control.reads(step):
                self._read_entry(name, scope, places)
                continue
            missing = {n: v for n, v in given.items() if v is not None and n not in step.inputs}
            step = step.model_copy(update={"inputs": {**step.inputs, **missing}})
            holes, self._holes = self._holes, dict.fromkeys(given, initial)
            self._read_step(name, step, scope, scope.place.below("jobs", name), places.get(name, scope.place.at()))
            self._holes = holes
            self._open(StepName(scope.full(name)), given, initial)
        found = tuple(self._steps[start:])
        del self._steps[start:]
        return found

    def _open(self, name: StepName, given: Mapping[str, Any], initial: dict[str, InputBinding]) -> None:
        """The inputs that a loop gives to its body's only step become holes."""
        for i, step in enumerate(self._steps):
            if step.name == name:
                initial |= {n: b for n, b in step.inputs.items() if n in given}
                holes = {n: make_hole(n, step.inputs.get(n)) for n in given}
                self._steps[i] = replace(step, inputs={**step.inputs, **holes})

    def _ends_of(self, name: str) -> dict[str, StepOutput]:
        """Where the outputs of a nested pipeline come from; nothing for any other step."""
        found = {}
        for pipeline, output in [key for key in self._aliases if key[0] == name]:
            end = self._aliases[pipeline, output]
            while (end.step, end.output) in self._aliases:
                end = self._aliases[end.step, end.output]
            found[output] = end
        return found

    def _read_step(self, name: str, step: Any, scope: Scope, place: Place, at: Location) -> None:  # noqa: ANN401
        found = self._definition(step, place)
        if found is None:
            return
        definition, kind = found
        entry = Entry(name, step, scope, place, at)
        if kind == REGISTER_MODEL:
            self._steps.append(self._maker.register_model(entry))
        elif kind == "pipeline":
            self._read_nested(name, step, definition, scope, place)
        elif kind in SPECIAL:
            self._steps.append(self._maker.special(SPECIAL[kind], entry, definition))
        elif definition.document.command is None:
            self._problems.error(
                "TM-D102", f"Step `{name}` has neither `component` nor `command`", at, path=place.dotted()
            )
        else:
            self._steps.append(self._maker.command(entry, definition))

    def _definition(self, step: Any, place: Place) -> tuple[Definition, str] | None:  # noqa: ANN401
        """What a step runs, and of which kind that is."""
        component = getattr(step, "component", None)
        trial = getattr(step, "trial", None)
        if isinstance(trial, str):
            return self._trial(step, trial, place)
        if component is None:
            return Definition(step, place, None), step.type
        if not isinstance(component, str):
            inner = place.below("component")
            return Definition(component, inner, component.name or "inline"), component.type
        found = self._resolver.component(component, place)
        if found is None:
            return None
        if isinstance(found, str):
            return Definition(step, place, None), REGISTER_MODEL
        return Definition(found.document, Place(found), _label(found)), COMPONENT_KINDS[found.kind]

    def _trial(self, step: Any, trial: str, place: Place) -> tuple[Definition, str] | None:  # noqa: ANN401
        """A sweep whose trial is a component elsewhere."""
        found = self._resolver.component(trial, place)
        if found is None or isinstance(found, str):
            return None
        document = step.model_copy(update={"trial": found.document})
        return Definition(document, Place(found), None), "sweep"

    def _read_nested(self, name: str, step: Any, definition: Definition, scope: Scope, place: Place) -> None:  # noqa: ANN401
        """A pipeline that is a step: its steps join this plan under `name.`."""
        if self._depth >= MAX_DEPTH:
            self._problems.error("TM-B107", f"Pipeline `{name}` is nested too deeply, or holds itself", place.at())
            return
        document = definition.document
        inputs = self._binder.inputs(step.inputs, definition.ports, scope, place)
        holes, self._holes = self._holes, {}
        for hole, initial in holes.items():
            if hole in inputs:
                initial[hole] = inputs[hole]
                inputs[hole] = make_hole(hole, inputs[hole])
        inner = Scope(
            definition.place,
            f"{scope.full(name)}.",
            inputs,
            _wanted_inside(step, document.outputs, scope),
            document.jobs or {},
            getattr(step, "compute", None) or _compute_of(document) or scope.compute,
            known_inputs=frozenset(document.inputs),
        )
        self._pipelines.add(scope.full(name))
        self._depth += 1
        self._read_jobs(inner)
        self._depth -= 1
        self._claim_outputs(inner)
        for output, found in inner.outputs.items():
            self._aliases[scope.full(name), output] = found
        self._bind_outward(name, step, scope, place)

    def _bind_outward(self, name: str, step: Any, scope: Scope, place: Place) -> None:  # noqa: ANN401
        """Outputs of a nested pipeline that are outputs of the pipeline around it."""
        for output, value in step.outputs.items():
            text = value.path if isinstance(value, OutputValue) else value
            for reference in parse_template(text or "").references:
                if reference.path[:2] == ("parent", "outputs"):
                    wanted = ".".join(reference.path[2:])
                    if wanted not in scope.wanted:
                        self._problems.error("TM-B104", f"The pipeline has no output `{wanted}`", place.at())
                    scope.outputs[wanted] = StepOutput(StepName(scope.full(name)), output, "", UNKNOWN_TYPE)

    def _claim_outputs(self, scope: Scope) -> None:
        """Outputs of a pipeline that name a step's output themselves."""
        for name, value in scope.wanted.items():
            text = getattr(value, "path", None) if not isinstance(value, str) else value
            for reference in parse_template(text or "").references:
                if reference.path[:2] == ("parent", "jobs") and "outputs" in reference.path:
                    job, output = reference.path[2], ".".join(reference.path[4:])
                    scope.outputs.setdefault(name, StepOutput(StepName(scope.full(job)), output, "", UNKNOWN_TYPE))

    def _connect(self) -> list[Step]:
        """Bindings that point at a nested pipeline now point at the step inside it; each gets its type."""
        named = {s.name: s for s in self._steps}
        return [self._connected(step, named) for step in self._steps]

    def _connected(self, step: Step, named: Mapping[StepName, Step]) -> Step:
        changed = {name: self._end(b, named, step) for name, b in step.inputs.items() if isinstance(b, StepOutput)}
        blocks = {
            block: tuple(self._connected(s, {**named, **{i.name: i for i in inner}}) for s in inner)
            for block, inner in step.blocks.items()
        }
        return replace(step, inputs={**step.inputs, **changed}, blocks=blocks) if changed or blocks else step

    def _end(self, binding: StepOutput, named: Mapping[StepName, Step], user: Step | None) -> StepOutput:
        step, output = binding.step, binding.output
        if step == HOLE:
            return binding
        while (step, output) in self._aliases:
            step, output = self._aliases[step, output].step, self._aliases[step, output].output
        maker = named.get(step)
        if maker is None or output not in maker.outputs:
            self._no_output(step, output, maker, user)
            kind = binding.type or "uri_folder"
        else:
            kind = binding.type or maker.outputs[output].type
        return StepOutput(step, output, binding.mode or READ_ONLY, kind)

    def _no_output(self, step: str, output: str, maker: Step | None, user: Step | None) -> None:
        if maker is None and (self._problems.findings and step not in self._pipelines):
            return  # the step itself could not be read, which has been said
        known = maker.outputs if maker else [o for p, o in self._aliases if p == step]
        self._problems.error(
            "TM-B104",
            f"`{step}` has no output `{output}`",
            user.at if user else Location(""),
            hint=did_you_mean(output, known),
            path=f"jobs.{user.name}.inputs" if user else "outputs",
        )

    def _ends(self, outputs: Mapping[str, StepOutput], named: Mapping[StepName, Step]) -> dict[str, StepOutput]:
        return {name: self._end(binding, named, None) for name, binding in outputs.items()}


def _claim_for(control: Step, scope: Scope) -> None:
    """What a step inside a control step gives the pipeline around it comes from the control step: only that is in the plan."""
    given = {
        (end.step, end.output): name
        for block, results in control.results.items()
        for name, end in results.items()
        if block != "when"
    }
    for wanted, end in scope.outputs.items():
        name = given.get((end.step, end.output))
        if name is not None and name in control.outputs:
            scope.outputs[wanted] = StepOutput(control.name, name, "", UNKNOWN_TYPE)


def _wanted_inside(step: Any, declared: Mapping[str, Any], scope: Scope) -> dict[str, Any]:  # noqa: ANN401
    """What is said of a nested pipeline's outputs: where those around it send them goes on to the step that writes."""
    found = dict(declared)
    for name, value in step.outputs.items():
        own = value if isinstance(value, OutputValue) else OutputValue(path=value)
        asked = [own, *([declared[name]] if isinstance(declared.get(name), OutputValue) else [])]
        references = parse_template(own.path or "").references
        if any(r.path[:2] == ("parent", "outputs") for r in references):
            outer = scope.wanted.get(".".join(references[0].path[2:]))
            around = [outer] if isinstance(outer, OutputValue) else []
            asked = [own.model_copy(update={"path": None}), *around, *asked[1:]]
        if name in declared:
            given = {
                f: next((v for a in asked if (v := getattr(a, f))), None) for f in ("path", "mode", "name", "version")
            }
            # the type is the writer's, but for a model, which is registered as such
            kind = next((a.type for a in asked if a.type in MODEL_TYPES), None)
            found[name] = OutputValue(type=kind, **given) if any(given.values()) or kind else declared[name]
    return found


def _label(loaded: Loaded) -> str:
    document = loaded.document
    if not document.name:
        return loaded.path.name
    version = getattr(document, "version", None)
    return f"{document.name}:{version}" if version else str(document.name)


def _compute_of(document: Any) -> str | None:  # noqa: ANN401
    settings = getattr(document, "settings", None)
    found = getattr(settings, "default_compute", None) or getattr(document, "compute", None)
    return str(found) if found else None
