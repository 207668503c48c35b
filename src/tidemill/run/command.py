"""Runs a command step: snapshot, inputs, variables, processes."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tidemill.base.failpoint import failpoint
from tidemill.base.files import remove_tree
from tidemill.plan.graph import READ_ONLY, READ_ONLY_MODES, VALUE_TYPES, Step
from tidemill.run.context import RunContext, step_variables
from tidemill.run.distribution import count_ports, make_processes, wrap_ray
from tidemill.run.folders import StepFolder
from tidemill.run.ports import PreparedEnvironment, Task, TaskEnd
from tidemill.run.staging import Source, lay_out, literal_paths, place_input, render_command
from tidemill.run.state import Status
from tidemill.run.work import StepEnd, StepWork, ticket_of

EARLIER = "earlier_tries.txt"
_DENIED = "Permission denied"


def run_command(work: StepWork) -> StepEnd:
    """Stage the step, run its command to the end, and say how that went."""
    step = work.step
    prepared = work.prepare()

    def renew() -> Task:
        if work.context.ports.tracker:
            work.context.ports.tracker.end(work.context.job, step, work.folder.root, ok=False)
        earlier = work.folder.logs / EARLIER
        before = b"".join(log.read_bytes() for log in (earlier, work.folder.log) if log.exists())
        remove_tree(work.folder.root)  # what the last attempt left must not pass for the next one's
        task = make_task(work, prepared, stage(work))
        earlier.write_bytes(before)
        return task

    end, tried = run_tries(work, make_task(work, prepared, stage(work)), renew)
    judged = judge(end, step)
    if judged.status is not Status.FAILED:
        return judged
    tries = f", in the last of {tried + 1} tries" if tried else ""
    return replace(judged, message=f"{judged.message}{tries}{_about_rights(work)}")


def run_tries(work: StepWork, task: Task, renew: Callable[[], Task]) -> tuple[TaskEnd, int]:
    """Run a task to its end, and what `renew` gives for it as often as the run's `retry` says: its end, and how often that was."""
    retry, tried = work.context.options.retry, 0
    end = work.run_task(task)
    while cause := retry.cause(end, read_tail(work.folder.log), tried):
        tried += 1
        work.say(f"{cause}: trying again ({tried})")
        if work.context.canceled.wait(retry.wait_s):
            break
        end = work.run_task(renew())
    return end, tried


def _about_rights(work: StepWork) -> str:
    """What to do about a copy of an input that may not be written: `cp` copies the rights of files as well."""
    named = [n for n in work.sources if _mode(work.step, n) in READ_ONLY_MODES]
    if not named or not any(_DENIED in line for line in read_tail(work.folder.log)):
        return ""
    inputs = ", ".join(f"`{n}`" for n in named)
    return f". If what it may not write is a copy of an input: give {inputs} `mode: download`, or use `cp --no-preserve=mode`"


def stage(work: StepWork) -> dict[str, str]:
    """Lay out the folders, the code and the inputs; what each input is to the command."""
    step, folder = work.step, work.folder
    lay_out(step, folder)
    snapshot, _ = work.context.snapshot(step)
    if snapshot:
        snapshot.copy_to(folder.cwd)
    placed = place_inputs(work.context, step, work.sources, folder)
    failpoint("step-staged")
    return literal_paths(step) | placed


def place_inputs(context: RunContext, step: Step, sources: Mapping[str, Source], folder: StepFolder) -> dict[str, str]:
    """Every input that is data, below `inputs/INPUT_<name>`."""
    placed = {}
    for name, source in sources.items():
        binding = step.inputs[name]
        mode, kind = _mode(step, name), getattr(binding, "type", "uri_folder")
        if kind in VALUE_TYPES and source.path is not None and source.path.is_file():
            placed[name] = source.path.read_text(encoding="utf-8").strip()  # a value another step gave
            continue
        placed[name] = place_input(name, source, folder, context.ports.artifacts, mode=mode, kind=kind)
    return placed


def _mode(step: Step, name: str) -> str:
    return getattr(step.inputs[name], "mode", READ_ONLY)


def make_task(
    work: StepWork, prepared: PreparedEnvironment, paths: Mapping[str, str], *, command: str | None = None
) -> Task:
    """The command, rendered, with its whole environment."""
    context, step, folder = work.context, work.step, work.folder
    text = command if command is not None else render_command(step, paths, folder, context.run_id(step.name))
    ports = free_ports(count_ports(step.distribution, step.resources))
    processes = make_processes(step.distribution, step.resources, ports)
    if step.distribution and step.distribution.type == "mpi" and shutil.which("mpirun"):
        text = f"mpirun --allow-run-as-root --oversubscribe -np {len(processes)} bash -c {shlex.quote(text)}"
        processes = ({},)
    if step.distribution and step.distribution.type == "ray":
        text = wrap_ray(text, step.distribution, step.resources, ports[0])
    return Task(
        ticket=ticket_of(context, step),
        job=context.job,
        step=step.name,
        folder=folder.root,
        cwd=folder.cwd,
        command=text,
        env=make_env(work, prepared, paths),
        log=folder.log,
        environment=prepared,
        resources=step.resources,
        reads={name: s.path for name, s in work.sources.items() if s.path and not s.kept},
        writes=(folder.outputs, folder.logs, folder.cwd / "outputs"),
        processes=processes,
        timeout_s=step.timeout_s,
        secrets=context.options.secrets,
        compute=step.compute,
        left=context.options.left.get(work.identity.key, ()) if _goes_on(work) else (),
    )


def _goes_on(work: StepWork) -> bool:
    """Whether what a killed run started may stand for this step: its own job's, or one that might be reused."""
    return work.identity.reusable or work.context.options.resume is not None


def make_env(work: StepWork, prepared: PreparedEnvironment, paths: Mapping[str, str]) -> dict[str, str]:
    """The variables of a step's processes: the machine's, Azure ML's, the environment's, the step's own."""
    context, step, folder = work.context, work.step, work.folder
    env = step_variables(context, step)
    env |= {f"AZURE_ML_INPUT_{name}": text for name, text in paths.items()}
    env["TIDEMILL_READ_ONLY"] = ",".join(n for n in work.sources if _mode(step, n) in READ_ONLY_MODES)
    env |= {f"AZURE_ML_OUTPUT_{name}": str(folder.outputs / name) for name in step.outputs}
    bins = [str(p) for p in prepared.path_prefix] or [str(prepared.python.parent)]
    env["PATH"] = os.pathsep.join([*bins, env.get("PATH", os.defpath)])
    env = add_variables(env, prepared.env)
    if prepared.key != "host" and prepared.image is None:
        env = add_variables(env, own_packages(folder.root))
    if context.ports.tracker:
        env = add_variables(env, context.ports.tracker.begin(context.job, step, folder.root))
    return add_variables(env, step.environment_variables)


def own_packages(folder: Path) -> dict[str, str]:
    """What `pip install` in a command adds is the step's own, as in a container: others share the environment it runs in."""
    place = str(folder / "packages")
    return {"PIP_TARGET": place, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": place}


def add_variables(env: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """`env` and `more`; search paths of Python are joined, everything else is replaced."""
    joined = {**env, **more}
    if "PYTHONPATH" in env and "PYTHONPATH" in more:
        joined["PYTHONPATH"] = more["PYTHONPATH"] + os.pathsep + env["PYTHONPATH"]
    return joined


def free_ports(count: int) -> tuple[int, ...]:
    """Ports nobody listens on at present."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return tuple(s.getsockname()[1] for s in sockets)


def judge(end: TaskEnd, step: Step) -> StepEnd:
    """A task's end in a step's words."""
    if end.ok:
        return StepEnd(Status.COMPLETED, 0, usage=end.usage)
    if end.canceled:
        return StepEnd(Status.CANCELED, end.exit_code, "canceled", end.usage)
    if end.timed_out:
        return StepEnd(Status.FAILED, end.exit_code, f"it did not end within {step.timeout_s:g} s", end.usage)
    return StepEnd(Status.FAILED, end.exit_code, end.message or _say_exit(end.exit_code), end.usage)


def _say_exit(code: int | None) -> str:
    if code is None:
        return "its process was lost"
    if code < 0:
        return f"its process was killed by signal {-code}"
    return f"its command ended with exit code {code}"


def read_tail(log: Path, lines: int = 20) -> list[str]:
    """The last lines of a log, read from its end."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16)))
        return file.read().decode(errors="replace").splitlines()[-lines:]
