"""A task in Azure ML's words: paths of this machine become references to inputs and outputs. Pure but for looking."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.backends.azure.layout import place_of, prelude
from tidemill.backends.containers import own_variables
from tidemill.run.ports import Task

INPUT, OUTPUT = "AZURE_ML_INPUT_", "AZURE_ML_OUTPUT_"
STORE = "workspaceblobstore"
UNWATCHED_S = 60
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_OF_AZURE = re.compile(
    rf"{INPUT}|{OUTPUT}|AZUREML_(?!MODEL_DIR$|BI_OUTPUT_PATH$)|TIDEMILL_|MLFLOW_|GIT_PYTHON_REFRESH$|PYSPARK_PYTHON$|PATH$|PYTHONPATH$|LANG$|LC_ALL$"
)
_MPIRUN = re.compile(r"mpirun --allow-run-as-root --oversubscribe -np (\d+) bash -c (.*)", re.DOTALL)
_PROCESS = {"OMPI_COMM_WORLD_RANK": "Mpi", "TF_CONFIG": "TensorFlow"}


@dataclass(frozen=True, slots=True)
class Translated:
    """What of a task goes where: `inputs` and `outputs` are paths of this machine by Azure's name for them.

    With `programs` what lies beside the working folder travels, too.
    """

    command: str
    variables: Mapping[str, str]
    inputs: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    mpi_processes: int = 0
    elsewhere: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    programs: bool = False


def translate(task: Task, elsewhere: Mapping[str, bool]) -> Translated:
    """The task as a command job. `elsewhere` says of each URI that jobs read where it is whether a file is there."""
    given = {_name(k, INPUT): v for k, v in task.env.items() if k.startswith(INPUT) and v in elsewhere}
    remote = {n: _input(uri, is_file=elsewhere[uri], mode=_mode(task, n)) for n, uri in given.items()}
    named = {k: v for k, v in task.env.items() if v.startswith("/")}
    inputs = {_name(k, INPUT): Path(v) for k, v in named.items() if k.startswith(INPUT) and Path(v).exists()}
    outputs = {_name(k, OUTPUT): Path(v) for k, v in named.items() if k.startswith(OUTPUT)}
    before = []
    for path in task.writes:  # what a command writes beside its folder, without it being an output of a document
        if f"../{path.name}" in task.command and path.parent == task.cwd.parent:
            outputs[path.name] = path
            before.append(f"ln -s ${{{{outputs.{path.name}}}}} ../{path.name} 2> /dev/null\n")
    texts = {str(p): f"${{{{inputs.{n}}}}}" for n, p in inputs.items()}
    texts |= {str(p): f"${{{{outputs.{n}}}}}" for n, p in outputs.items()}
    texts |= {uri: f"${{{{inputs.{n}}}}}" for n, uri in given.items()}
    texts[str(task.cwd)] = "."
    command, processes = _unwrap(_put(task.command, texts))
    programs = str(task.folder) in command
    if programs:
        texts = {str(task.folder): place_of(task)}
        command = prelude(task, inputs, outputs) + _put(task.command, texts)
    variables, withheld = _variables(task, texts)
    return Translated("".join(before) + command, variables, inputs, outputs, withheld, processes, remote, programs)


def _unwrap(command: str) -> tuple[str, int]:
    """A command and its number of MPI processes, which Azure ML starts on as many machines as there are: here `mpirun` does."""
    found = _MPIRUN.match(command)
    return (shlex.split(found[2])[0], int(found[1])) if found else (command, 0)


def _name(variable: str, prefix: str) -> str:
    return _NOT_A_NAME.sub("_", variable.removeprefix(prefix))


def _put(text: str, texts: Mapping[str, str]) -> str:
    """Longer paths first, since one may begin with another; a path ends where its last name does."""
    for path in sorted(texts, key=len, reverse=True):
        text = re.sub(rf"{re.escape(path)}(?![\w.-])", texts[path].replace("\\", r"\\"), text)
    return text


def _variables(task: Task, texts: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The step's own variables, and the names of those that hold secrets: a job's definition is no place for them."""
    found = {k: v for k, v in own_variables(task).items() if not _OF_AZURE.match(k)}
    searched = [p for p in task.env.get("PYTHONPATH", "").split(os.pathsep) if p and not p.startswith("/")]
    withheld = tuple(sorted(k for k, v in found.items() if any(s and s in v for s in task.secrets)))
    kept = {k: _put(v, texts) for k, v in found.items() if k not in withheld}
    return kept | ({"PYTHONPATH": os.pathsep.join(searched)} if searched else {}), withheld


def job_body(task: Task, told: Translated, where: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """The job as `Jobs - Create Or Update` takes it.

    `where` has the ids of code, environment and compute, the addresses of the inputs, and the job's name.
    """
    outputs = {n: _output(where["job"], n, p) for n, p in told.outputs.items()}
    distribution = _distribution(task, told)
    # without one a command runs once, on one machine: also one that starts processes itself, as for Ray
    instances = max(1, task.resources.instance_count) if distribution else 1
    properties: dict[str, Any] = {
        "jobType": "Command",
        "displayName": task.env.get("AZUREML_RUN_DISPLAY_NAME") or str(task.step),
        "experimentName": task.env.get("AZUREML_EXPERIMENT_NAME") or "tidemill",
        "command": told.command,
        "environmentId": where["environment"],
        "environmentVariables": dict(told.variables),
        "inputs": {
            n: _input(where["inputs"][n], is_file=p.is_file(), mode=_mode(task, n)) for n, p in told.inputs.items()
        }
        | dict(told.elsewhere),
        "outputs": outputs,
        "resources": _resources(task, instances),
        "tags": {"tidemill-job": str(task.job), "tidemill-step": str(task.step), **tags},
    }
    for key in ("code", "compute"):
        if where.get(key):
            properties[f"{key}Id"] = where[key]
    if task.timeout_s:  # we watch it ourselves; this is for a job nobody watches any more
        limit = math.ceil(task.timeout_s + UNWATCHED_S)
        properties["limits"] = {"jobLimitsType": "Command", "timeout": f"PT{limit}S"}
    if distribution:
        properties["distribution"] = distribution
    return {"properties": properties}


def search_body(task: Task, details: Mapping[str, Any], compute: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """An AutoML job as `Jobs - Create Or Update` takes it; Azure ML chooses its environment."""
    properties: dict[str, Any] = {
        "jobType": "AutoML",
        "displayName": task.env.get("AZUREML_RUN_DISPLAY_NAME") or str(task.step),
        "experimentName": task.env.get("AZUREML_EXPERIMENT_NAME") or "tidemill",
        "taskDetails": dict(details),
        "resources": _resources(task, max(1, task.resources.instance_count)),
        "tags": {"tidemill-job": str(task.job), "tidemill-step": str(task.step), **tags},
    }
    return {"properties": properties | ({"computeId": compute} if compute else {})}


def _resources(task: Task, instances: int) -> dict[str, Any]:
    given = {"shmSize": task.resources.shm_size, "instanceType": task.resources.instance_type}
    return {"instanceCount": instances} | {key: value for key, value in given.items() if value}


def output_place(job: str, name: str) -> str:
    """Where an output of a job lies in the default datastore."""
    return f"azureml/{job}/{name}"


def _input(uri: str, *, is_file: bool, mode: str) -> dict[str, str]:
    kind = "uri_file" if is_file else "uri_folder"
    return {"jobInputType": kind, "uri": uri, "mode": mode}


def _mode(task: Task, name: str) -> str:
    """A mount; for an input that the step may change, a copy of its own."""
    read_only = {_NOT_A_NAME.sub("_", n) for n in task.env.get("TIDEMILL_READ_ONLY", name).split(",")}
    return "ReadOnlyMount" if name in read_only else "Download"


def _output(job: str, name: str, path: Path) -> dict[str, str]:
    kind = "uri_folder" if path.is_dir() else "uri_file"
    end = "/" if kind == "uri_folder" else ""
    uri = f"azureml://datastores/{STORE}/paths/{output_place(job, name)}{end}"
    return {"jobOutputType": kind, "uri": uri, "mode": "ReadWriteMount"}


def _distribution(task: Task, told: Translated) -> dict[str, Any]:
    """What stands behind the processes that were planned for this machine; nothing when it is one."""
    first, count = task.processes[0], max(len(task.processes), told.mpi_processes)
    instances = max(1, task.resources.instance_count)
    if count == 1:
        return {}
    kind = (
        "Mpi" if told.mpi_processes else next((k for variable, k in _PROCESS.items() if variable in first), "PyTorch")
    )
    if kind == "TensorFlow":
        servers = sum('"type": "ps"' in p.get("TF_CONFIG", "") for p in task.processes)
        return {"distributionType": kind, "workerCount": count - servers, "parameterServerCount": servers}
    return {"distributionType": kind, "processCountPerInstance": max(1, count // instances)}
