"""The door of planning: a valid document becomes a resolved graph, or every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.base.errors import SpecError
from tidemill.base.frozen import frozen
from tidemill.base.ids import JobName, StepName
from tidemill.plan.bind import Binder
from tidemill.plan.flatten import PipelineReader, Read
from tidemill.plan.graph import DataInput, InputBinding, Literal, Plan, PlanSettings, Step, StepKind, StepOutput
from tidemill.plan.order import find_cycle, sort_steps
from tidemill.plan.ports import AssetLookup
from tidemill.plan.problems import Problems
from tidemill.plan.resolve import ReadDocument, Resolver, read_document
from tidemill.plan.scope import Place, Scope
from tidemill.plan.steps import Definition, Entry, StepMaker
from tidemill.spec.kinds import Kind
from tidemill.spec.load import Loaded

SINGLE = {
    Kind.SWEEP_JOB: StepKind.SWEEP,
    Kind.PARALLEL_JOB: StepKind.PARALLEL,
    Kind.SPARK_JOB: StepKind.SPARK,
    Kind.AUTOML_JOB: StepKind.AUTOML,
}
PIPELINES = frozenset({Kind.PIPELINE_JOB, Kind.PIPELINE_COMPONENT})
DATASTORE = "${{default_datastore}}"


@frozen
class PlanOptions:
    """What the caller decides about a plan. One `without_data` names data that is not there in its findings only."""

    name: JobName | None = None
    display_name: str | None = None
    experiment_name: str | None = None
    read: ReadDocument = read_document
    without_data: bool = False


def make_plan(loaded: Loaded, *, assets: AssetLookup, options: PlanOptions | None = None) -> Plan:
    """The graph of a job document (already valid, overrides applied), its references resolved.

    `SpecError` carries every problem: each missing input, each binding to nothing, each unmapped data asset with the
    command that maps it. What is only worth knowing is in `Plan.findings`.
    """
    if loaded.document is None:
        raise SpecError(f"{loaded.path} is not valid", findings=loaded.findings)
    problems = Problems()
    resolver = Resolver(assets, problems, options.read if options else read_document)
    binder = Binder(resolver, problems)
    maker = StepMaker(resolver, binder, problems)
    if loaded.kind in PIPELINES:
        found = PipelineReader(resolver, binder, maker, problems).read(loaded)
    elif loaded.kind in {Kind.COMMAND_JOB, Kind.COMMAND_COMPONENT, *SINGLE}:
        found = _single(loaded, maker)
    else:
        raise SpecError(f"{loaded.path} is a {str(loaded.kind).replace('_', ' ')}, not a job", at=loaded.locate(()))
    datastore = _settings(loaded.document).default_datastore
    steps = _follow_destinations([_place_outputs(s, datastore) for s in found[0]])
    ordered = _order(steps, problems, loaded)
    problems.raise_errors(str(loaded.path), but_absent=options is not None and options.without_data)
    return _plan(loaded, found, ordered, problems, options or PlanOptions())


def _single(loaded: Loaded, maker: StepMaker) -> Read:
    """A stand-alone job is a plan of one step."""
    document, place = loaded.document, Place(loaded)
    component = loaded.kind is Kind.COMMAND_COMPONENT
    name = _step_name(document, loaded)
    scope = Scope(place, "", {}, {}, {})
    step = _NoValues() if component else document
    definition = Definition(document, place, document.name if component else None)
    entry = Entry(name, step, scope, place, loaded.locate(()))
    if loaded.kind in SINGLE:
        made = maker.special(SINGLE[loaded.kind], entry, definition)
    else:
        made = maker.command(entry, definition)
    outputs = {o: StepOutput(made.name, o, type=spec.type) for o, spec in made.outputs.items()}
    return [made], outputs, dict(made.inputs)


class _NoValues:
    """A component run as it is: every input from its default."""

    inputs: Mapping[str, Any] = {}
    outputs: Mapping[str, Any] = {}
    display_name: str | None = None


def _step_name(document: Any, loaded: Loaded) -> str:  # noqa: ANN401
    """A stand-alone job's only step is called after what it is."""
    return str(getattr(document, "type", None) or loaded.kind)


def _follow_destinations(steps: list[Step]) -> list[Step]:
    """A step that reads a datastore path another step writes to comes after it, though no binding says so."""
    writers = {spec.destination.rstrip("/"): s.name for s in steps for spec in s.outputs.values() if spec.destination}
    if not writers:
        return steps
    found = []
    for step in steps:
        uris = [b.ref.uri for b in step.inputs.values() if isinstance(b, DataInput)]
        needed = {
            name for path, name in writers.items() for u in uris if name != step.name and f"{u}/".startswith(f"{path}/")
        }
        found.append(replace(step, after=step.after | needed) if needed else step)
    return found


def _order(steps: list[Step], problems: Problems, loaded: Loaded) -> tuple[Step, ...]:
    named = {s.name: s for s in steps}
    depends_on = {str(name): {str(d) for d in s.depends_on if d in named} for name, s in named.items()}
    ordered = sort_steps(depends_on)
    if len(ordered) < len(steps):
        cycle = find_cycle(depends_on)
        at = named[StepName(cycle[0])].at if cycle else loaded.locate(())
        problems.error("TM-B107", f"Steps wait for each other: {' → '.join(cycle)}", at, path=f"jobs.{cycle[0]}")
    return tuple(named[StepName(n)] for n in ordered)


def _plan(loaded: Loaded, found: Read, steps: tuple[Step, ...], problems: Problems, options: PlanOptions) -> Plan:
    _, outputs, inputs = found
    document = loaded.document
    settings = _settings(document)
    source = loaded.path.absolute()
    return Plan(
        display_name=options.display_name or document.display_name or document.name or source.stem,
        experiment_name=options.experiment_name or getattr(document, "experiment_name", None) or source.parent.name,
        steps=steps,
        source=source,
        name=options.name or _job_name(document, loaded.kind),
        type="pipeline" if loaded.kind in PIPELINES else str(loaded.document.type),
        description=document.description or "",
        outputs=outputs,
        inputs={name: _plain(b) for name, b in inputs.items()},
        settings=settings,
        tags=document.tags or {},
        properties={k: str(v) for k, v in (document.properties or {}).items()},
        findings=(*loaded.findings, *problems.findings),
    )


def _job_name(document: Any, kind: Kind) -> JobName | None:  # noqa: ANN401
    """A component's name is not a job's."""
    return JobName(document.name) if document.name and "component" not in str(kind) else None


def _settings(document: Any) -> PlanSettings:  # noqa: ANN401
    found = getattr(document, "settings", None)
    compute = getattr(found, "default_compute", None) or getattr(document, "compute", None)
    return PlanSettings(
        continue_on_step_failure=bool(getattr(found, "continue_on_step_failure", None)),
        force_rerun=bool(getattr(found, "force_rerun", None)),
        default_compute=compute.removeprefix("azureml:") if compute and "${{" not in compute else None,
        default_datastore=_datastore(getattr(found, "default_datastore", None)),
    )


def _datastore(text: str | None) -> str:
    return (text or "").removeprefix("azureml:") or PlanSettings().default_datastore


def _place_outputs(step: Step, datastore: str) -> Step:
    """Destinations with the pipeline's default datastore filled in; the step's own name is filled in when it runs."""
    if not any(spec.destination and DATASTORE in spec.destination for spec in step.outputs.values()):
        return step
    outputs = {
        name: replace(spec, destination=spec.destination and spec.destination.replace(DATASTORE, datastore))
        for name, spec in step.outputs.items()
    }
    return replace(step, outputs=outputs)


def _plain(binding: InputBinding) -> Any:  # noqa: ANN401 - as the document has it
    """An input of the job, for its record."""
    if isinstance(binding, Literal):
        return binding.value
    if isinstance(binding, StepOutput):
        return f"${{{{parent.jobs.{binding.step}.outputs.{binding.output}}}}}"
    return {"type": binding.type, "path": (binding.ref.asset and f"azureml:{binding.ref.asset}") or binding.ref.uri}
