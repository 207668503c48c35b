"""Whether a step has to run: its key, what is remembered under it, and the words for either."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.base.frozen import frozen
from tidemill.plan.fingerprint import explain_change, make_key, make_parts
from tidemill.plan.graph import DataInput, DataRef, Step, StepKind, StepOutput
from tidemill.run.abilities import IN_PLACE, Elsewhere, NearData
from tidemill.run.context import RunContext
from tidemill.run.events import StepPreparing
from tidemill.run.ports import ComparesEnvironments, Remembered, Say
from tidemill.run.staging import Source

ALWAYS = frozenset({StepKind.IF_ELSE, StepKind.DO_WHILE, StepKind.PARALLEL_FOR})


@frozen
class Identity:
    """What a step is, for the cache; `reusable` when an earlier result may stand for a run."""

    key: str
    parts: Mapping[str, str]
    reusable: bool
    why_not: str


def find_sources(context: RunContext, step: Step) -> dict[str, Source]:
    """Where the bytes of each input are that is data."""
    sources: dict[str, Source] = {}
    for name, binding in step.inputs.items():
        match binding:
            case DataInput():
                writable = binding.mode == "rw_mount"
                there = None if writable else _in_place(context, step, binding.ref)
                sources[name] = there or context.data(binding.ref, _sayer(context, step), writable=writable)
            case StepOutput():
                sources[name] = _from_step(context, binding)
            case _:
                pass
    return sources


def _in_place(context: RunContext, step: Step, ref: DataRef) -> Source | None:
    """Data that lies where the step will run, and is not brought here."""
    if not ref.uri.startswith(IN_PLACE) or step.kind not in {StepKind.COMMAND, StepKind.SWEEP}:
        return None
    place = context.ports.place_compute(step.compute)
    executor = context.ports.executors.get(place)
    if not isinstance(executor, NearData):
        return None
    found: Elsewhere | None = context.once(("in place", place, ref.uri), lambda: executor.look(ref.uri))
    if found is None:
        return None
    name = ref.uri.rstrip("/").rpartition("/")[2]
    return Source(f"elsewhere:{found.digest}", None, found.is_file, name, kept=False, url=ref.uri)


def _sayer(context: RunContext, step: Step) -> Say:
    """Says what a step waits for before it starts."""
    return lambda note: context.emit(StepPreparing(context.job, context.now(), step=step.name, note=note))


def _from_step(context: RunContext, binding: StepOutput) -> Source:
    ref = context.outputs[binding.step].get(binding.output)
    path = context.folder.step(binding.step).outputs / binding.output
    if ref is None:
        raise MissingOutputError(binding)
    entries = context.ports.artifacts.entries(ref) if ref.startswith("file:") else None
    name = entries[0].path if entries else binding.output
    return Source(ref, path, ref.startswith("file:"), name, kept=True)


class MissingOutputError(Exception):
    """A step wants an output that its maker never wrote."""

    def __init__(self, binding: StepOutput) -> None:
        super().__init__(f"`{binding.step}` never wrote its output `{binding.output}`, which this step reads")


def identify(context: RunContext, step: Step, sources: Mapping[str, Source]) -> Identity:
    """The step's key and whether its results may be reused at all."""
    _, code = context.snapshot(step)
    environment = context.ports.environments.key(step.environment)
    data = {name: source.ref for name, source in sources.items()}
    parts = make_parts(step, code=code, environment=environment, data=data)
    why_not = _why_never(context, step)
    return Identity(make_key(parts), parts, not why_not, why_not)


def _why_never(context: RunContext, step: Step) -> str:
    if context.options.force:
        return "forced to run"
    if context.plan.settings.force_rerun:
        return "`force_rerun` is set"
    if step.kind in ALWAYS:
        return "it decides what runs"
    if not step.deterministic:
        return "it is not deterministic"
    return ""


def find_past(context: RunContext, identity: Identity) -> Remembered | None:
    """An earlier result that is whole; one that is damaged is forgotten."""
    if not identity.reusable:
        return None
    found = context.ports.cache.find(identity.key)
    if found is None:
        return None
    if all(context.ports.artifacts.is_whole(ref) for ref in found.outputs.values()):
        return found
    context.ports.cache.forget(identity.key)
    return None


def explain_run(context: RunContext, step: Step, identity: Identity) -> str:
    """Why the step runs although it may have run before."""
    if identity.why_not:
        return identity.why_not
    before = context.ports.cache.last_parts(str(context.plan.source), step.name)
    environments = context.ports.environments

    def say(key: str) -> str:
        return environments.compare(key, step.environment) if isinstance(environments, ComparesEnvironments) else ""

    return explain_change(before, identity.parts, context.ports.artifacts.entries, say)
