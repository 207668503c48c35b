"""Runs conditions, loops and fan-outs: each step of a block or a round is a step of its own, reused and resumed like any other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.base.ids import StepName
from tidemill.plan.control import CONDITION, make_hole, mapped_inputs
from tidemill.plan.graph import HOLE, DataInput, InputBinding, Literal, OutputSpec, Step, StepOutput
from tidemill.run.collect import DEFAULT_OUTPUT
from tidemill.run.events import RunEvent, StepAdded, StepFinished, StepNoted
from tidemill.run.items import Item, read_items
from tidemill.run.scheduler import Scheduler
from tidemill.run.state import Status
from tidemill.run.work import StepEnd, StepWork, Stop
from tidemill.spec.pipeline import MAX_ROUNDS

MAX_AT_ONCE = 64
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class Round:
    """One time a body runs: its steps under their names of this round."""

    label: str
    steps: tuple[Step, ...]
    names: Mapping[StepName, StepName]

    def end(self, binding: StepOutput) -> StepOutput:
        """Where an output of the body is in this round."""
        return replace(binding, step=self.names.get(binding.step, binding.step))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the steps of a block ended, in words if not well."""

    status: Status
    message: str = ""


def run_if_else(work: StepWork) -> StepEnd:
    """Run the block the condition chooses; the other one's steps are shown as not started, and why."""
    _begin(work)
    step = work.step
    source = work.sources.get(CONDITION)
    binding = step.inputs.get(CONDITION)
    text = binding.text if isinstance(binding, Literal) else _read_value(source.path if source else None)
    taken = "true" if _truth(text, step, binding) else "false"
    for block, steps in step.blocks.items():
        for inner in steps:
            _introduce(work, inner)
            if block != taken:
                _note(work, inner.name, {"not_taken": f"the condition was {taken}"})
    _say(work, f"the condition is {taken}")
    outcome = run_steps(work, step.blocks.get(taken, ()))
    if outcome.status is not Status.COMPLETED:
        return StepEnd(outcome.status, message=outcome.message)
    _adopt(work, step.results.get(taken, {}))
    return StepEnd(Status.COMPLETED, 0, message=f"the condition was {taken}")


def run_do_while(work: StepWork) -> StepEnd:
    """Run the body until its condition is false or the limit is reached; the last round's outputs are the loop's."""
    _begin(work)
    step = work.step
    limit = _limit(step)
    given: Mapping[str, InputBinding] = step.inputs
    for number in range(1, limit + 1):
        this = make_round(step, str(number), given)
        outcome = _run_round(work, this)
        if outcome.status is not Status.COMPLETED:
            return StepEnd(outcome.status, message=outcome.message)
        again = _again(work, this)
        _say(work, f"round {number} ended, the condition is {str(again).lower()}")
        if not again:
            break
        given = {
            **step.inputs,
            **{
                name: this.end(step.results["body"][output])
                for output, names in mapped_inputs(step.body.get("mapping")).items()
                for name in names
            },
        }
    _adopt(work, {n: this.end(b) for n, b in step.results["body"].items()})
    reached = " (the limit)" if again and number == limit else ""
    return StepEnd(Status.COMPLETED, 0, message=f"{number} round{'s' if number > 1 else ''}{reached}")


def run_parallel_for(work: StepWork) -> StepEnd:
    """Run the body once for each item, `max_concurrency` at a time; each output is a folder with one entry an item."""
    _begin(work)
    step = work.step
    items = read_items(work)
    rounds = [make_round(step, item.label, {**step.inputs, **item.bindings}, item.bindings) for item in items]
    at_once = int(step.body.get("max_concurrency") or MAX_AT_ONCE)
    failed = threading.Event()
    with ThreadPoolExecutor(max(1, min(at_once, len(rounds), MAX_AT_ONCE)), "item") as pool:
        outcomes = list(pool.map(partial(_run_item, work, failed), rounds))
    bad = [o for o in outcomes if o.status is not Status.COMPLETED]
    if bad:
        worst = next((o for o in bad if o.status is Status.FAILED), bad[0])
        return StepEnd(worst.status, message=f"{len(bad)} of {len(items)} items did not complete; {worst.message}")
    for name, spec in step.outputs.items():
        _gather(work, name, spec, items, rounds)
    return StepEnd(Status.COMPLETED, 0, message=f"{len(items)} items")


def _run_item(work: StepWork, failed: threading.Event, this: Round) -> Outcome:
    """A round, unless another one failed and the job does not go on after failures."""
    if failed.is_set() and not work.context.plan.settings.continue_on_step_failure:
        return Outcome(Status.CANCELED, f"item {this.label} was not started")
    outcome = _run_round(work, this)
    if outcome.status is not Status.COMPLETED:
        failed.set()
    return outcome


def make_round(
    step: Step, label: str, given: Mapping[str, InputBinding], item: Mapping[str, InputBinding] | None = None
) -> Round:
    """The body's steps for one round: names of their own, and what the loop gives them in place of its holes.

    An `item` whose names only the run learns takes the place of the body's own inputs.
    """
    prefix = str(step.body.get("prefix", ""))
    body = step.blocks.get("body", ())
    names = {s.name: StepName(f"{step.name}.{label}.{s.name.removeprefix(prefix)}") for s in body}
    own = (item or {}).keys()
    steps = [replace(s, inputs={n: make_hole(n, b) if n in own else b for n, b in s.inputs.items()}) for s in body]
    return Round(label, tuple(_renamed(s, names, given) for s in steps), names)


def _renamed(step: Step, names: Mapping[StepName, StepName], given: Mapping[str, InputBinding]) -> Step:
    """The step under its name of the round, everything it refers to renamed with it, in its blocks too."""
    inside = {s.name: StepName(f"{names.get(step.name, step.name)}.{s.name}") for b in step.blocks.values() for s in b}
    all_names = {**names, **inside}

    def bind(binding: InputBinding) -> InputBinding:
        if not isinstance(binding, StepOutput):
            return binding
        if binding.step == HOLE:
            return _fill(binding, given[binding.output])
        return replace(binding, step=all_names.get(binding.step, binding.step))

    return replace(
        step,
        name=names.get(step.name, step.name),
        inputs={n: bind(b) for n, b in step.inputs.items()},
        after=frozenset(all_names.get(a, a) for a in step.after),
        blocks={b: tuple(_renamed(s, all_names, given) for s in steps) for b, steps in step.blocks.items()},
        results={
            b: {n: replace(e, step=all_names.get(e.step, e.step)) for n, e in ends.items()}
            for b, ends in step.results.items()
        },
    )


def _fill(hole: StepOutput, value: InputBinding) -> InputBinding:
    """What a round gives, seen as the body's input wants it."""
    if isinstance(value, Literal):
        return value
    if isinstance(value, DataInput):
        return replace(value, mode=hole.mode or value.mode)
    return replace(value, mode=hole.mode or value.mode, type=hole.type or value.type)


def _run_round(work: StepWork, this: Round) -> Outcome:
    for step in this.steps:
        _introduce(work, step)
    return run_steps(work, this.steps)


def run_steps(work: StepWork, steps: Sequence[Step]) -> Outcome:
    """Run steps that depend on each other to their ends; each takes a slot while its processes run."""
    if not steps:
        return Outcome(Status.COMPLETED)
    known = {s.name: s for s in steps}
    settings = work.context.plan.settings
    scheduler = Scheduler(
        {s.name: s.depends_on & known.keys() for s in steps}, keep_going=settings.continue_on_step_failure
    )
    worst = Outcome(Status.COMPLETED)
    with ThreadPoolExecutor(min(len(steps), MAX_AT_ONCE), "inner") as pool:
        running: dict[Future[RunEvent], str] = {}
        while not scheduler.is_done:
            while (name := scheduler.take()) is not None:
                running[pool.submit(work.drive_part, known[StepName(name)], Stop())] = name
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worst = _worse(worst, _account(work, scheduler, running.pop(future), future.result()))
    return worst


def _account(work: StepWork, scheduler: Scheduler, name: str, event: RunEvent) -> Outcome:
    """Take in the end of a step; what will now never start is said to be canceled."""
    status = event.status if isinstance(event, StepFinished) else Status.COMPLETED
    for skipped, reason in scheduler.ended(name, status):
        ended = StepFinished(
            work.context.job, work.context.now(), step=StepName(skipped), status=Status.CANCELED, message=reason
        )
        work.context.emit(ended)
    message = event.message if isinstance(event, StepFinished) else ""
    return Outcome(status, f"`{name}` {_said(status)}: {message}" if status is not Status.COMPLETED else "")


def _worse(one: Outcome, other: Outcome) -> Outcome:
    order = (Status.COMPLETED, Status.CANCELED, Status.FAILED)
    return other if order.index(other.status) > order.index(one.status) else one


def _said(status: Status) -> str:
    return "was canceled" if status is Status.CANCELED else "failed"


def _begin(work: StepWork) -> None:
    for path in (work.folder.cwd, work.folder.logs, work.folder.outputs):
        path.mkdir(parents=True, exist_ok=True)
    work.started()


def _introduce(work: StepWork, step: Step) -> None:
    """Make a step known that the plan does not have."""
    about = {"name": step.name, "kind": str(step.kind), "parent": work.step.name, "display_name": step.display_name}
    work.context.emit(StepAdded(work.context.job, work.context.now(), step=step.name, about=about))


def _note(work: StepWork, name: StepName, properties: Mapping[str, str]) -> None:
    work.context.emit(StepNoted(work.context.job, work.context.now(), step=name, properties=properties))


def _say(work: StepWork, line: str) -> None:
    with work.folder.log.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def _limit(step: Step) -> int:
    said = (step.body.get("limits") or {}).get("max_iteration_count")
    text = str(MAX_ROUNDS if said is None else said)
    if not text.isdigit() or not 1 <= int(text) <= MAX_ROUNDS:
        raise FailedError(f"`max_iteration_count` is `{text}`", hint=f"A number from 1 to {MAX_ROUNDS}.", at=step.at)
    return int(text)


def _again(work: StepWork, this: Round) -> bool:
    """Whether the loop goes round once more."""
    when = work.step.results.get("when", {}).get(CONDITION)
    if when is None:
        return work.step.body.get(CONDITION) is not False
    end = this.end(when)
    path = work.context.folder.step(end.step).outputs / end.output
    return _truth(_read_value(path), work.step, end)


def _truth(text: str, step: Step, binding: InputBinding | None) -> bool:
    word = text.strip().strip('"').casefold()
    if word in TRUE | FALSE:
        return word in TRUE
    where = f"`{binding.step}.{binding.output}`" if isinstance(binding, StepOutput) else "the condition"
    raise FailedError(
        f"{where} holds `{text.strip()[:60]}`, which is neither true nor false",
        hint="A control output is a file with the word true or false.",
        at=step.at,
    )


def _read_value(path: Path | None) -> str:
    """The text of an output that is a value; a folder with one file stands for the file."""
    if path is None or not path.exists():
        raise FailedError("The condition's output was not written", hint="Write true or false to its path.")
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file()]
        if len(files) != 1:
            raise FailedError(f"The condition's output is a folder with {len(files)} files, not one value")
        path = files[0]
    return path.read_text(encoding="utf-8", errors="replace")


def _adopt(work: StepWork, ends: Mapping[str, StepOutput]) -> None:
    """Outputs of inner steps appear as the control step's own."""
    for name, end in ends.items():
        if name != DEFAULT_OUTPUT:
            _place(work, end, work.folder.outputs / name)


def _place(work: StepWork, end: StepOutput, target: Path) -> None:
    ref = work.context.outputs.get(end.step, {}).get(end.output)
    if ref is None:
        return
    try:
        work.context.ports.artifacts.place(ref, target)
    except KeyError as exc:
        raise FailedError(f"The output `{end.output}` kept of `{end.step}` is damaged", hint="Run again.") from exc


def _gather(work: StepWork, name: str, spec: OutputSpec, items: Sequence[Item], rounds: Iterable[Round]) -> None:
    """A folder with one entry an item; as mltable with the table that lists them."""
    folder = work.folder.outputs / name
    folder.mkdir(parents=True, exist_ok=True)
    end = work.step.results["body"].get(name)
    if end is None:
        return
    for this in rounds:
        _place(work, this.end(end), folder / this.label)
    if spec.type == "mltable":
        kind: Callable[[Path], str] = lambda p: "folder" if p.is_dir() else "file"  # noqa: E731
        lines = [f"  - {kind(folder / i.label)}: ./{i.label}" for i in items if (folder / i.label).exists()]
        write_atomic(folder / "MLTable", "\n".join(["type: mltable", "paths:", *lines, ""]))
