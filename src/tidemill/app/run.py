"""`run`: load, plan and execute one job document."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tidemill.app.executors import OUTLIVING
from tidemill.app.inputs import input_findings
from tidemill.app.lineage import with_commit
from tidemill.app.made_from import Asked, Kept, as_then, find_kept, keep, say_changes
from tidemill.app.package_lists import package_list_findings
from tidemill.app.settings import PROJECT_FILE
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.dotenv import read_dotenv
from tidemill.base.errors import ConflictError, NotFoundError, SpecError, TidemillError, UsageError
from tidemill.base.findings import Finding, Severity, has_errors
from tidemill.base.frozen import frozen
from tidemill.base.ids import JobName, is_name, make_job_name
from tidemill.base.spellings import spellings
from tidemill.plan.graph import Plan
from tidemill.plan.make import PlanOptions, make_plan
from tidemill.record.ports import JobRow
from tidemill.record.runs import (
    clean_up,
    get_job,
    handles_by_key,
    interrupted_jobs,
    open_handles,
    open_steps,
    past_steps,
    reap,
)
from tidemill.run.context import RunOptions
from tidemill.run.folders import job_folder
from tidemill.run.job import JobView
from tidemill.run.ports import RunObserver
from tidemill.run.result import JobResult
from tidemill.run.retry import Retry
from tidemill.run.runner import execute_held
from tidemill.spec.check import check_loaded
from tidemill.spec.kinds import JOBS, Kind
from tidemill.spec.load import Loaded, load_source, load_valid
from tidemill.spec.overrides import Override, parse_override
from tidemill.spec.source import documents_in, parse_source

RUNNABLE = (*JOBS, Kind.COMMAND_COMPONENT, Kind.PIPELINE_COMPONENT)
SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "API_KEY", "CONNECTION_STRING")
SHORTEST_SECRET = 6


@frozen
class RunRequest:
    """What `run` and `job create` are asked for."""

    file: Path
    overrides: tuple[Override, ...] = ()
    name: str | None = None
    force: bool = False
    parallel: int | None = None
    relax_pins: bool = False
    executor: str = ""

    def as_record(self) -> dict[str, Any]:
        """What it takes to plan the job again."""
        return {
            "file": str(self.file.absolute()),
            "overrides": [o.text for o in self.overrides],
            "force": self.force,
            "relax_pins": self.relax_pins,
            "executor": self.executor,
        }


def load_job(file: Path, overrides: Sequence[Override] = ()) -> Loaded:
    """A job document with nothing wrong; `SpecError` with every finding."""
    return check_job(file, overrides)[0]


def check_job(file: Path, overrides: Sequence[Override] = ()) -> tuple[Loaded, tuple[Finding, ...]]:
    """As `load_job`, with what is worth a warning."""
    if file.is_dir():
        project = (file / PROJECT_FILE).is_file()
        hint = (
            "Make what its project declares: tidemill up"
            if project
            else f"Name a job's document in it. {documents_in(file)}"
        )
        raise UsageError(f"`{file}` is a folder, not a job", hint=hint)
    loaded = load_valid(file, overrides=overrides, expect=RUNNABLE)
    findings = check_loaded(loaded, _no_repository(file))
    if has_errors(findings):
        raise SpecError(f"{file} is not valid", findings=findings, hint="Nothing was run.")
    return loaded, tuple(f for f in findings if f.severity is Severity.WARNING)


def _no_repository(file: Path) -> Any:  # noqa: ANN401
    from tidemill.spec.repository import scan  # noqa: PLC0415 - read only when the document names something by version

    return lambda: scan(file.absolute().parent)


def plan_job(app: App, request: RunRequest) -> Plan:
    """The resolved graph of a job file; `SpecError` with every problem at once."""
    return plan_kept(app, request)[0]


def plan_kept(app: App, request: RunRequest) -> tuple[Plan, Kept]:
    """As `plan_job`, and what the plan was made from."""
    loaded, warnings = check_job(request.file, request.overrides)
    kept = Kept({str(request.file.absolute()): loaded.source.text})
    plan = _make_plan(app, loaded, kept, request.name, without_data=True)  # said below, with all else that is missing
    inputs = input_findings(app, plan, loaded, request.executor)
    found = (*warnings, *plan.findings, *inputs, *package_list_findings(plan))
    once = {(f.code, f.message, Path(f.at.file).resolve(), f.at.line, f.at.column): f for f in reversed(found)}
    findings = tuple(once.values())[::-1]
    if has_errors(findings):
        raise SpecError(f"{request.file} cannot run here", findings=findings, hint="Nothing was run.")
    return replace(plan, findings=findings), kept


def _make_plan(app: App, loaded: Loaded, kept: Kept, name: str | None = None, *, without_data: bool = False) -> Plan:
    asked = Asked(app.assets, kept)
    options = PlanOptions(name=JobName(name) if name else None, read=asked.read, without_data=without_data)
    return make_plan(loaded, assets=asked, options=options)


def run_job(
    app: App,
    request: RunRequest,
    observers: Sequence[RunObserver] = (),
    noticed: Callable[[Sequence[Finding]], None] | None = None,
) -> JobResult:
    """Run a job file to its end. What planning found worth knowing is told to `noticed` first."""
    plan, kept = plan_kept(app, request)
    if noticed is not None:
        noticed(plan.findings)
    _require_new(app, request.name)
    with taking_up(app, plan, force=request.force) as left:
        return run_planned(app, (plan, kept), request, observers, left)


def run_planned(
    app: App,
    planned: tuple[Plan, Kept],
    request: RunRequest,
    observers: Sequence[RunObserver],
    left: Mapping[str, tuple[str, ...]],
) -> JobResult:
    """Run what `plan_kept` made as a new job."""
    plan, kept = planned
    record = request.as_record()
    options = make_options(app, request=record, force=request.force, parallel=request.parallel, left=left)
    with _claiming(app, plan.name, request.name) as job:
        keep(app, job, plan, kept, options.secrets)
        ports = app.run_ports(observers, relax_pins=request.relax_pins, executor=request.executor)
        return execute_held(with_commit(plan), job=job, ports=ports, options=options)


@contextmanager
def _claiming(app: App, wished: JobName | None, asked: str | None) -> Iterator[JobName]:
    """A name that no job has and that no other process can give to one meanwhile, with the job's lock held."""
    while True:
        _require_new(app, asked)
        job = choose_name(app, wished)
        with ExitStack() as held:
            try:
                held.enter_context(app.locks.job(job))
            except ConflictError:
                continue  # another process begins a job of that name: it is recorded at any moment
            if app.store.job(job) is None:
                yield job
                return


def _require_new(app: App, asked: str | None) -> None:
    if asked and app.store.job(asked) is not None:
        raise ConflictError(
            f"There is a job `{asked}` already",
            hint="Choose another name; `tidemill job resume` takes one up again.",
        )


@contextmanager
def taking_up(app: App, plan: Plan, *, force: bool = False) -> Iterator[Mapping[str, tuple[str, ...]]]:
    """What interrupted jobs of the same document left where it goes on without them, by step key: `RunOptions.left`.

    Interrupted jobs are settled before, and what no step went on with is ended after.
    """
    rows = [r for r in interrupted_jobs(app.store, app.is_driven) if r.source == str(plan.source) and not force]
    kept = [r for r in rows if _kinds(open_handles(app.store, r))]
    left = handles_by_key(app.store, kept)
    settle_interrupted(app, {row.name for row in kept})
    try:
        yield left
    finally:
        if kept:
            settle_interrupted(app)


def _kinds(handles: Sequence[str]) -> list[str]:
    """The kinds of executors that may still run them."""
    return sorted({h.partition(":")[0] for h in handles} & set(OUTLIVING))


def choose_name(app: App, wished: JobName | None) -> JobName:
    """The name asked for, made unique when the document names it and it was used; `UsageError` for an illegal one."""
    if wished is None:
        return make_job_name()
    if not is_name(wished):
        raise UsageError(f"`{wished}` cannot name a job", hint="Letters, digits, `_`, `.` and `-`; at most 255.")
    if app.store.job(wished) is None:
        return wished
    number = 2
    while app.store.job(f"{wished}-{number}") is not None:
        number += 1
    return JobName(f"{wished}-{number}")


def resume_job(
    app: App, name: str, observers: Sequence[RunObserver] = (), say: Callable[[str], None] = lambda _: None
) -> JobResult:
    """Take an ended or interrupted job up again, from the documents of then; completed steps do not run twice.

    What has changed since is told to `say`.
    """
    get_job(app.store, name)
    with _driving(app, name):
        return _resume(app, name, observers, say)


@contextmanager
def _driving(app: App, name: str) -> Iterator[None]:
    """The job's lock, from before it is looked at: what is read of it stays true."""
    with ExitStack() as held:
        try:
            held.enter_context(app.locks.job(JobName(name)))
        except ConflictError as exc:
            hint = f"Watch it: tidemill job stream -n {name}"
            raise ConflictError(f"Job `{name}` is being run by another process", hint=hint) from exc
        yield


def _resume(app: App, name: str, observers: Sequence[RunObserver], say: Callable[[str], None]) -> JobResult:
    view = get_job(app.store, name)
    row = app.store.job(name)
    left = handles_by_key(app.store, [row] if row is not None and row.status == "Running" else [])
    settle_interrupted(app, {name}, resumed=name)
    plan = _plan_again(app, view, say)
    force = bool(view.request.get("force"))
    options = make_options(app, request=view.request, force=force, resume=past_steps(view), left=left)
    return execute_held(
        plan,
        job=JobName(name),
        ports=app.run_ports(
            observers,
            relax_pins=bool(view.request.get("relax_pins")),
            executor=str(view.request.get("executor") or ""),
        ),
        options=options,
    )


def _plan_again(app: App, view: JobView, say: Callable[[str], None]) -> Plan:
    file = str(view.request.get("file") or "")
    overrides = tuple(parse_override(o) for o in view.request.get("overrides", ()))
    kept = find_kept(app, view.name)
    if kept is not None and file in kept.documents:
        source = parse_source(Path(file), kept.documents[file])
        plan = _make_plan(app, load_source(source, overrides=overrides), kept)
        for change in say_changes(app, plan, kept):
            say(change)
        return as_then(app, view.name, plan, kept)
    if not file or not Path(file).exists():
        raise NotFoundError(
            f"The file job `{view.name}` was made from is not there any more: {file}",
            hint="Put it back, or run another file.",
        )
    say(f"no copy of {file} was kept with the job: it is read as it is now")
    return plan_job(app, RunRequest(Path(file), overrides))


def settle_interrupted(app: App, kept: Collection[str] = (), *, resumed: str = "") -> int:
    """End what killed runs left behind and record that they failed; how many there were.

    What jobs in `kept` left elsewhere goes on, since it will be gone on with; they are settled later, but for the one that is
    `resumed` now, whose lock the caller holds.
    """
    rows = interrupted_jobs(app.store, lambda name: name != resumed and app.is_driven(name))
    spare = _claimed(app, kept) if rows else set()
    for row in rows:
        with nullcontext(True) if row.name == resumed else _abandoned(app, row.name) as mine:
            if mine and row.name in kept and row.name != resumed:
                reap(app.store, row, app.executor, spare)
            elif mine:
                now = iso(SystemClock().now())
                clean_up(app.store, row, [app.executor], now, notes=partial(_end_elsewhere, app, row, spare))
    return len(rows)


@contextmanager
def _abandoned(app: App, name: str) -> Iterator[bool]:
    """Whether nobody drives a job that says it runs; nobody can take it up while the body runs."""
    with ExitStack() as held:
        try:
            held.enter_context(app.locks.job(JobName(name)))
        except ConflictError:
            yield False
            return
        now = app.store.job(name)
        yield now is not None and now.status == "Running"


def _claimed(app: App, kept: Collection[str]) -> set[str]:
    """What steps that run now, or will be gone on with, run as: a job that was killed may have started it."""
    claims = [r for r in app.store.running_jobs() if r.name in kept or app.is_driven(JobName(r.name))]
    return {handle for row in claims for handle in open_handles(app.store, row)}


def _end_elsewhere(app: App, row: JobRow, spare: Collection[str]) -> str:
    """End what a job left on clusters, and its runs in MLflow; why some of it could not be."""
    folder = job_folder(app.home, row.name)
    notes = [_reap_elsewhere(app, row, spare)]
    notes += [app.tracker.end_abandoned(folder.step(step.name).root) for step in open_steps(app.store, row)]
    return "; ".join(note for note in notes if note)


def _reap_elsewhere(app: App, row: JobRow, spare: Collection[str]) -> str:
    """Why what a job left on a cluster could not be ended, if so: the next job must not fail for that."""
    notes = []
    for kind in _kinds(open_handles(app.store, row)):
        try:
            for executor in app.executors(app.environments()).of_kind(kind):
                reap(app.store, row, executor, spare)
        except TidemillError as exc:
            notes.append(f"what it left on {kind} may still run: {exc}")
    return "; ".join(notes)


def make_options(app: App, **more: Any) -> RunOptions:  # noqa: ANN401
    """Options with the project's `.env`, whose values are given to steps, masked in their logs, and never kept."""
    env = read_dotenv(app.settings.root / ".env")
    # logs are masked line by line, and a key may have many
    hidden = (line for value in (*find_secrets(), *env.values()) for line in (value, *value.splitlines()))
    secrets = spellings(hidden, shortest=SHORTEST_SECRET)
    found = app.project.document.retry if app.project is not None else None
    retry = Retry(found.times, tuple(found.causes), found.wait_s) if found else Retry()
    return RunOptions(env=env, secrets=secrets, retry=retry, **more)


def find_secrets() -> tuple[str, ...]:
    """Values of environment variables that look like secrets, and the store's password: masked in every log."""
    named = [v for k, v in os.environ.items() if any(w in k.upper() for w in SECRET_WORDS)]
    password = urlsplit(os.environ.get("TIDEMILL_STORE", "")).password or ""
    return tuple(v for v in (*named, password, unquote(password)) if len(v) >= SHORTEST_SECRET)
