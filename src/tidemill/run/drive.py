"""One step from ready to ended: reuse it, or run it and keep what it wrote. Works in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from tidemill.base.errors import FailedError, TidemillError
from tidemill.base.failpoint import failpoint
from tidemill.base.files import remove_tree
from tidemill.base.frozen import frozen
from tidemill.plan.graph import Step
from tidemill.run.collect import Origin, collect, notice_changes, place_outputs, publish
from tidemill.run.context import RunContext
from tidemill.run.events import FindingRaised, RunEvent, StepFinished, StepKept, StepNoted, StepReused
from tidemill.run.kinds import CONTROL, find_runner
from tidemill.run.leftovers import keep_done
from tidemill.run.ports import Remembered
from tidemill.run.reuse import Identity, MissingOutputError, explain_run, find_past, find_sources, identify
from tidemill.run.staging import Source
from tidemill.run.state import BEFORE_RESUME, Status
from tidemill.run.work import StepEnd, StepWork, Stop


@frozen
class _How:
    """What a step that another one runs is given besides."""

    stop: Stop
    holds_slot: bool


def drive(context: RunContext, step: Step, held: ExitStack) -> RunEvent | None:
    """Bring one step to its end; the fact that ends it, or None if it had completed before the job was resumed.

    Of equal steps, here or in another process, one runs while the others wait to reuse it: the lock for that joins
    `held`, for the caller to let go once the fact is recorded. A thread for whose step nothing had to run has its
    turn of `context.looks` still, for the next step or to leave.
    """
    return _drive(context, step, held, _How(Stop(), holds_slot=step.kind not in CONTROL))


def drive_part(context: RunContext, step: Step, stop: Stop) -> RunEvent:
    """Bring a step that another one runs (a trial of a sweep) to its end; states that and gives it back.

    It takes a slot of its own for as long as its processes run.
    """
    with ExitStack() as held:
        held.callback(context.looks.leave)
        event = _drive(context, step, held, _How(stop, holds_slot=False)) or _recalled(context, step)
        if stop.reason and isinstance(event, StepFinished) and event.status is Status.CANCELED:
            event = replace(event, message=stop.reason)
        context.emit(event)
    return event


def _drive(context: RunContext, step: Step, held: ExitStack, how: _How) -> RunEvent | None:
    started_s = context.clock.monotonic()
    identity: Identity | None = None
    try:
        context.looks.take()
        sources = find_sources(context, step)
        identity = identify(context, step, sources)
        if _is_done(context, step, identity):
            return None
        if identity.reusable:
            held.enter_context(context.only_one(identity.key))
        known = _find_known(context, step, identity)
        if known is not None:
            return known
        context.looks.leave()
        return _run(context, step, identity, sources, started_s, how)
    except (TidemillError, MissingOutputError, OSError) as exc:
        return _failed(context, step, _say(exc), context.clock.monotonic() - started_s, identity)


def _find_known(context: RunContext, step: Step, identity: Identity) -> RunEvent | None:
    """The end of a step that has given what it gives, in this job before it was resumed or in an earlier one."""
    kept = _find_kept(context, step, identity)
    if kept is not None:
        return _publish(context, step, kept, identity, StepEnd(Status.COMPLETED, 0))
    past = find_past(context, identity)
    return None if past is None else _reuse(context, step, identity, past)


def _is_done(context: RunContext, step: Step, identity: Identity) -> bool:
    past = (context.options.resume or {}).get(step.name)
    if past is None or not past.completed or past.key != identity.key or not _put_back(context, step, past.outputs):
        return False
    context.note(step.name, past.outputs, past.metrics)
    return True


def _put_back(context: RunContext, step: Step, refs: Mapping[str, str]) -> bool:
    """Whether what the step gave is whole; what is missing in its folder is placed there again."""
    if not all(context.ports.artifacts.is_whole(ref) for ref in refs.values()):
        return False
    outputs = context.folder.step(step.name).outputs
    missing = {name: ref for name, ref in refs.items() if not (outputs / name).exists()}
    place_outputs(context, context.folder.step(step.name), missing)
    return True


def _find_kept(context: RunContext, step: Step, identity: Identity) -> StepKept | None:
    """What the step gave before the run was killed while it published that, or could not."""
    past = (context.options.resume or {}).get(step.name)
    kept = past.kept if past is not None else None
    return kept if kept is not None and kept.key == identity.key and _put_back(context, step, kept.outputs) else None


def _recalled(context: RunContext, step: Step) -> RunEvent:
    """The fact that a part of a step was completed before the job was resumed."""
    past = (context.options.resume or {})[step.name]
    return StepReused(
        context.job,
        context.now(),
        step=step.name,
        key=past.key,
        reason=BEFORE_RESUME,
        source_job=context.job,
        outputs=past.outputs,
        metrics=past.metrics,
    )


def _reuse(context: RunContext, step: Step, identity: Identity, past: Remembered) -> RunEvent:
    folder = context.folder.step(step.name)
    if folder.root.exists():
        remove_tree(folder.root)
    try:
        place_outputs(context, folder, past.outputs)
    except KeyError as exc:
        raise FailedError(f"The outputs kept of `{past.step}` in {past.job} are damaged", hint="Run again.") from exc
    publish(context, step, folder, past.outputs, Origin(past.job, past.step, past.metrics))
    context.note(step.name, past.outputs, past.metrics)
    if past.properties:
        context.emit(StepNoted(context.job, context.now(), step=step.name, properties=past.properties))
    for found in past.findings:
        context.emit(FindingRaised(context.job, context.now(), step=step.name, finding=found))
    return StepReused(
        context.job,
        context.now(),
        step=step.name,
        key=identity.key,
        reason=f"unchanged since {past.job}",
        source_job=past.job,
        outputs=past.outputs,
        parts=identity.parts,
        metrics=past.metrics,
    )


def _run(
    context: RunContext,
    step: Step,
    identity: Identity,
    sources: Mapping[str, Source],
    started_s: float,
    how: _How,
) -> RunEvent:
    folder = context.folder.step(step.name)
    if folder.root.exists() and not keep_done(step, folder, identity.key):
        remove_tree(folder.root)
    runner = find_runner(step.kind)
    if runner is None:
        raise FailedError(f"Steps of type `{step.kind}` cannot be run on this machine yet", at=step.at)
    if context.ports.meter is not None:
        nearly = context.ports.meter.check(step)
        if nearly is not None:
            context.raise_finding(nearly)
    reason = explain_run(context, step, identity)
    parts = partial(drive_part, context)
    work = StepWork(context, step, folder, sources, identity, reason, parts, how.holds_slot, how.stop)
    end = runner(work)
    failpoint("command-ended")
    spoiled = notice_changes(context, step, sources) if end.status is Status.COMPLETED else []
    if any(sources[name].kept for name in spoiled):
        end = _spoiled(end, spoiled)
    metrics = _metrics(context, step, end)
    outputs = collect(context, step, folder, sources) if end.status is Status.COMPLETED else {}
    failpoint("outputs-kept")
    for finding in end.findings:
        context.raise_finding(finding, step.name)
    duration_s = round(context.clock.monotonic() - started_s, 6)
    kept = StepKept(
        context.job,
        context.now(),
        step=step.name,
        key=identity.key,
        duration_s=duration_s,
        outputs=outputs,
        message=end.message,
        reusable=end.status is Status.COMPLETED and step.deterministic and not spoiled,
        metrics=metrics,
        usage=_usage(context, step, end, duration_s),
    )
    if end.status is not Status.COMPLETED:
        return _ended(context, step, kept, identity, end)
    if any(spec.asset_name or spec.destination for spec in step.outputs.values()):
        context.settle(kept)  # to run again might give other bytes, and a second version of the same asset
    return _publish(context, step, kept, identity, end)


def _publish(context: RunContext, step: Step, kept: StepKept, identity: Identity, end: StepEnd) -> RunEvent:
    """The rest of a step that has done its work, now or before the job was resumed."""
    origin = Origin(context.job, step.name, kept.metrics)
    publish(context, step, context.folder.step(step.name), kept.outputs, origin)
    return _ended(context, step, kept, identity, end)


def _ended(context: RunContext, step: Step, kept: StepKept, identity: Identity, end: StepEnd) -> RunEvent:
    context.note(step.name, kept.outputs, kept.metrics)
    return StepFinished(
        context.job,
        context.now(),
        step=step.name,
        status=end.status,
        exit_code=end.exit_code,
        duration_s=kept.duration_s,
        outputs=kept.outputs,
        message=kept.message,
        key=identity.key,
        parts=identity.parts,
        reusable=kept.reusable,
        metrics=kept.metrics,
        usage=kept.usage,
    )


def _spoiled(end: StepEnd, names: list[str]) -> StepEnd:
    """A step that read, or may have read, something else than what it is recorded with: it did not complete.

    Kept data has no right to write; the superuser needs none, and is refused by Azure ML's mount all the same.
    """
    inputs = ", ".join(f"`{name}`" for name in names)
    message = (
        f"the data of its read-only input {inputs} changed while it ran. Write to an output, or give "
        "the input `mode: download` for a copy of its own"
    )
    return replace(end, status=Status.FAILED, message=message)


def _usage(context: RunContext, step: Step, end: StepEnd, duration_s: float) -> Mapping[str, float]:
    """What the executor measured, GPU-seconds (those reserved), and the cost where its compute has a price."""
    gpus = step.resources.gpus * step.resources.instance_count
    used = {**end.usage, **({"gpu_s": round(gpus * duration_s, 6)} if gpus else {})}
    if "machine_s" in used:  # where machines come and go the executor knows how long there were some, and how many
        duration_s = used["machine_s"] / max(1, step.resources.instance_count)
    cost = context.ports.meter.cost(step, duration_s) if context.ports.meter else None
    return used if cost is None else {**used, "cost": cost}


def _metrics(context: RunContext, step: Step, end: StepEnd) -> Mapping[str, float]:
    if end.metrics is not None:
        return end.metrics
    if context.ports.tracker is None:
        return {}
    root = context.folder.step(step.name).root
    return dict(context.ports.tracker.end(context.job, step, root, ok=end.status is Status.COMPLETED))


def _failed(
    context: RunContext, step: Step, message: str, duration_s: float, identity: Identity | None = None
) -> RunEvent:
    canceled = context.canceled.is_set()
    return StepFinished(
        context.job,
        context.now(),
        step=step.name,
        status=Status.CANCELED if canceled else Status.FAILED,
        duration_s=duration_s,
        message=message,
        key=identity.key if identity else "",
    )


def _say(exc: Exception) -> str:
    hint = getattr(exc, "hint", "")
    return f"{exc}. {hint}" if hint else str(exc)
