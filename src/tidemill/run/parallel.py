"""Runs a parallel step: one task whose processes work through mini batches, by the scripts in `inside`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill import inside
from tidemill.base.failpoint import failpoint
from tidemill.base.files import write_atomic
from tidemill.base.findings import Finding, Severity
from tidemill.plan.graph import DataInput, Step
from tidemill.run.abilities import Spreads
from tidemill.run.command import judge, make_task, stage
from tidemill.run.leftovers import KEY, restore_artifacts
from tidemill.run.leftovers import PARALLEL as DRIVER
from tidemill.run.parallel_data import describe_data
from tidemill.run.parallel_parts import Part, run_parts
from tidemill.run.parallel_settings import Parallel, read_parallel
from tidemill.run.ports import Task, TaskEnd, Ticket
from tidemill.run.staging import look_up, render_command
from tidemill.run.state import Status
from tidemill.run.work import StepEnd, StepWork
from tidemill.spec.expression import parse_template

SCRIPTS = ("tidemill_parallel.py", "tidemill_split.py", "tidemill_worker.py")
MODEL = "model"
CONFIG = "parallel.json"
SUMMARY = "parallel_summary.json"
SHUTDOWN_S = 60
INIT_S = 600
FAILED_BATCHES = "TM-N121"


def run_parallel(work: StepWork) -> StepEnd:
    """Split the data, run `init` and `run` in as many processes as there are slots for, gather what they return."""
    settings = read_parallel(work.step)
    prepared = work.prepare()
    paths = stage(work)
    restore_artifacts(work.folder)
    parts = _count_parts(work, settings)
    with work.slots(1 if parts > 1 else settings.workers or os.cpu_count() or 1) as slots:
        workers = slots if parts == 1 else max(1, settings.workers // parts or int(work.step.resources.cpus))
        config = _make_config(work, settings, paths, workers)
        driver = _lay_out_driver(work, config)
        task = make_task(work, prepared, paths, command=_command(driver, CONFIG))
        task = replace(task, env={**task.env, **_scoring_variables(work, settings, paths)})
        if parts > 1:
            end = run_parts(work, config, [_part_of(task, driver, config, (n, parts)) for n in range(parts)])
        else:
            end = work.run_task(task)
    failpoint("mini-batches-ended")
    judged = _judge(end, work.step, Path(config["summary"]))
    if judged.status is Status.COMPLETED:
        (driver / KEY).unlink()  # what is whole is kept by content; only what was interrupted is gone on with
    return judged


def _count_parts(work: StepWork, settings: Parallel) -> int:
    """How many tasks share the mini batches: one, unless the step runs where there are several machines."""
    ports, instances = work.context.ports, max(1, work.step.resources.instance_count)
    executor = ports.executors.get(ports.place_compute(work.step.compute))
    return executor.count_parts(settings.workers, instances) if isinstance(executor, Spreads) else 1


def _command(driver: Path, config: str) -> str:
    return f"exec python {shlex.quote(str(driver / SCRIPTS[0]))} {shlex.quote(str(driver / config))}"


def _part_of(task: Task, driver: Path, config: Mapping[str, Any], part: tuple[int, int]) -> Part:
    """One of several tasks: every so many-th mini batch, and its share of what the step reserves."""
    number, parts = part
    summary = Path(config["summary"]).with_name(f"parallel_summary_{number}.json")
    name = f"parallel_{number}.json"
    write_atomic(driver / name, json.dumps({**config, "part": part, "summary": str(summary)}))
    whole = task.resources
    own = replace(
        whole,
        instance_count=1,
        cpus=max(1.0, whole.cpus * whole.instance_count / parts),
        gpus=whole.gpus * whole.instance_count / parts,
    )
    found = replace(
        task,
        ticket=Ticket(f"{task.ticket}/part-{number}"),
        command=_command(driver, name),
        log=task.log.with_name(f"std_log_part_{number}.txt"),
        resources=own,
        left=(),  # what a killed run left of several parts is told from one another by nothing
        apart=True,
    )
    return Part(found, summary)


def _make_config(work: StepWork, settings: Parallel, paths: Mapping[str, str], workers: int) -> dict[str, Any]:
    step, folder, context = work.step, work.folder, work.context
    run_id = context.run_id(step.name)
    binding = step.inputs[settings.input]
    place = Path(paths[settings.input])
    append_to = settings.append_to and parse_template(settings.append_to).render(
        lambda r: look_up(r, step, paths, folder, run_id)
    )
    driver = folder.root / DRIVER
    return describe_data(place, getattr(binding, "type", "uri_folder"), settings) | {
        "input": settings.input,
        "entry_script": str(folder.cwd / settings.entry_script),
        "arguments": shlex.split(render_command(step, paths, folder, run_id)),
        "workers": workers,
        "partition_keys": list(settings.partition_keys),
        "max_retries": settings.max_retries,
        "timeout_s": settings.timeout_s,
        "overhead_s": settings.overhead_s,
        "init_s": INIT_S,
        "shutdown_s": SHUTDOWN_S,
        "mini_batch_error_threshold": settings.mini_batch_error_threshold,
        "error_threshold": settings.error_threshold,
        "allowed_failed_percent": settings.allowed_failed_percent,
        "logging_level": settings.logging_level,
        "append_to": append_to,
        "append_name": settings.append_name,
        "separator": settings.separator,
        "work": str(driver),
        "summary": str(folder.logs / SUMMARY),
    }


def _scoring_variables(work: StepWork, settings: Parallel, paths: Mapping[str, str]) -> dict[str, str]:
    """What a batch deployment's script looks for: its model, and where it may write files of its own."""
    if not settings.files_only:
        return {}
    folder = work.folder
    output = next(iter(work.step.outputs), None)
    found = {"AZUREML_BI_OUTPUT_PATH": str(folder.outputs / output)} if output else {}
    if settings.model is None or settings.model not in paths:
        return found
    place = Path(paths[settings.model])
    if place.is_file():
        return found | {"AZUREML_MODEL_DIR": str(place.parent)}
    # a model folder keeps its name below AZUREML_MODEL_DIR, and an input's mount is called after the input
    binding = work.step.inputs[settings.model]
    name = Path(binding.ref.uri).name if isinstance(binding, DataInput) else place.name
    model = folder.root / MODEL / name
    source = work.sources[settings.model]
    if source.kept:
        work.context.ports.artifacts.place(source.ref, model)
    else:  # real files: MLflow refuses links that lead out of a model's folder
        shutil.copytree(place, model)
    return found | {"AZUREML_MODEL_DIR": str(model.parent)}


def _lay_out_driver(work: StepWork, config: Mapping[str, Any]) -> Path:
    """The scripts lie in the step's own folder, so that they are wherever the step runs."""
    driver = work.folder.root / DRIVER
    driver.mkdir(exist_ok=True)
    for name in SCRIPTS:
        shutil.copyfile(Path(inside.__file__).parent / name, driver / name)
    write_atomic(driver / CONFIG, json.dumps(config))
    write_atomic(driver / KEY, work.identity.key)
    return driver


def _judge(end: TaskEnd, step: Step, summary_file: Path) -> StepEnd:
    """The task's end, in the words of the driver if it left any."""
    judged = judge(end, step)
    if end.canceled or not summary_file.is_file():
        return judged
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    if summary["error"]:
        return StepEnd(Status.FAILED, end.exit_code, summary["error"], end.usage)
    counts = f"{summary['completed']} of {summary['mini_batches']} mini batches completed"
    findings = (_notice_failed(step, summary),) if summary["failed"] else ()
    return StepEnd(judged.status, judged.exit_code, counts, judged.usage, findings)


def _notice_failed(step: Step, summary: Mapping[str, Any]) -> Finding:
    return Finding(
        FAILED_BATCHES,
        Severity.WARNING,
        f"{summary['failed']} of {summary['mini_batches']} mini batches of `{step.name}` failed"
        f" ({summary['failed_items']} of {summary['items']} items); the last: {summary['last']}",
        "Its log says why. Set `mini_batch_error_threshold` or `error_threshold` to fail the job instead.",
        step.at,
        f"jobs.{step.name}",
    )
