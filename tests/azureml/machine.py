"""A machine of Azure ML: it takes a job, runs its command in processes of this machine, and keeps what that wrote."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.azureml.storage import Storage
from tests.ports import free_port

DATASTORES = {"workspaceblobstore": "azureml-blobstore-1", "workspaceartifactstore": "azureml"}
GRACE_S = 2.0
_REFERENCE = re.compile(r"\$\{\{(inputs|outputs)\.([A-Za-z0-9_]+)\}\}")
_PREFIX = {"inputs": "INPUT", "outputs": "OUTPUT"}
_URI = re.compile(r"azureml://datastores/([^/]+)/paths/(.+)")


@dataclass
class Job:
    """What was submitted, and what became of it."""

    name: str
    properties: dict[str, Any]
    code: str
    status: str = "NotStarted"
    error: dict[str, Any] | None = None  # set by a test: the machine fails it for a reason of its own
    cancel: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def log(self) -> str:
        return f"{DATASTORES['workspaceartifactstore']}/ExperimentRun/dcid.{self.name}/user_logs"


def place_of(uri: str) -> str:
    """`container/path` of a URI of a datastore."""
    found = _URI.fullmatch(uri)
    assert found, f"this is not the address of something in a datastore: {uri}"
    return f"{DATASTORES[found[1]]}/{found[2]}"


def processes_of(properties: dict[str, Any]) -> int:
    """How many processes the command is started as."""
    distribution = properties.get("distribution") or {}
    if distribution.get("distributionType") == "TensorFlow":
        return int(distribution.get("workerCount", 1)) + int(distribution.get("parameterServerCount", 0))
    instances = int((properties.get("resources") or {}).get("instanceCount", 1))
    return instances * int(distribution.get("processCountPerInstance") or 1)


def run_job(job: Job, storage: Storage, hidden: dict[str, str]) -> None:
    """To its end. `hidden` are variables that Azure gives the processes."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        try:
            _run(job, storage, root, hidden)
        except AssertionError as exc:
            job.error = {"code": "UserError", "message": str(exc)}
            job.status = "Failed"
    for own in re.findall(r"/tmp/tidemill-[0-9a-f]{16}", job.properties["command"]):
        shutil.rmtree(own, ignore_errors=True)  # what is in /tmp goes with the job's container
    job.over.set()


def _run(job: Job, storage: Storage, root: Path, hidden: dict[str, str]) -> None:
    cwd = root / "wd"
    cwd.mkdir()
    if job.code:
        storage.fetch(job.code, cwd)
    paths = _mount(job, storage, root)
    for kept in ("outputs", "logs"):
        (cwd / kept).mkdir(exist_ok=True)
    command = _put(job.properties["command"], paths)
    variables = {f"AZURE_ML_{_PREFIX[k.partition('.')[0]]}_{k.partition('.')[2]}": str(p) for k, p in paths.items()}
    given = {k: _put(v, paths) for k, v in job.properties["environmentVariables"].items()}
    env = {"PATH": os.environ["PATH"], "HOME": str(root), **hidden, **variables, "AZUREML_RUN_ID": job.name, **given}
    job.started, job.status = datetime.now(UTC), "Running"
    failed = _await(job, storage, cwd, command, env)
    job.ended = datetime.now(UTC)
    for key, path in paths.items():
        kind, name = key.split(".", 1)
        if kind == "outputs" and path.exists():
            storage.save(place_of(job.properties["outputs"][name]["uri"]), path)
    for kept in ("outputs", "logs"):
        storage.save(f"{job.log.removesuffix('/user_logs')}/{kept}", cwd / kept)
    if job.error:
        job.status = "Failed"
    elif job.cancel.is_set():
        job.status = "Canceled"
    elif failed:
        words = f"Execution failed. User process 'bash' exited with status code {failed}. Please check log file 'user_logs/std_log.txt' for error details."
        job.error = {"code": "UserError", "message": words}
        job.status = "Failed"
    else:
        job.status = "Completed"


def _put(text: str, paths: dict[str, Path]) -> str:
    return _REFERENCE.sub(lambda m: str(paths[f"{m[1]}.{m[2]}"]), text)


def _mount(job: Job, storage: Storage, root: Path) -> dict[str, Path]:
    paths = {}
    for name, given in job.properties["inputs"].items():
        place = place_of(given["uri"])
        last = place.rstrip("/").rpartition("/")[2]
        target = root / "in" / name / (last if given["jobInputType"] == "uri_file" else "")
        paths[f"inputs.{name}"] = storage.fetch(place, target)
    for name, given in job.properties["outputs"].items():
        path = root / "out" / name
        path.parent.mkdir(exist_ok=True)
        if given["jobOutputType"] == "uri_folder":
            path.mkdir()
        paths[f"outputs.{name}"] = path
    return paths


def _await(job: Job, storage: Storage, cwd: Path, command: str, env: dict[str, str]) -> int:
    """The exit code of the first process that failed, else 0; the others are ended then. Meanwhile their words appear in storage."""
    count = processes_of(job.properties)
    logs = [cwd.parent / (f"std_log_process_{i}.txt" if count > 1 else "std_log.txt") for i in range(count)]
    started = []
    meeting = (
        {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)} if count > 1 else {}
    )
    for rank, log in enumerate(logs):
        with log.open("wb") as out:
            ranked = meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if meeting else {}
            started.append(
                subprocess.Popen(
                    ["bash", "-c", command], cwd=cwd, env=env | ranked, stdout=out, stderr=out, start_new_session=True
                )
            )
    asked_at, failed = 0.0, 0
    while any(p.poll() is None for p in started):
        failed = failed or next((p.returncode for p in started if p.poll()), 0)
        asked_at = asked_at or (time.monotonic() if failed or job.cancel.is_set() else 0.0)
        if asked_at:
            _signal(started, signal.SIGTERM if time.monotonic() - asked_at < GRACE_S else signal.SIGKILL)
        _show(job, storage, logs)
        time.sleep(0.02)
    _show(job, storage, logs)
    return failed or next((p.returncode for p in started if p.returncode), 0)


def _signal(started: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, number)


def _show(job: Job, storage: Storage, logs: list[Path]) -> None:
    with storage.lock:
        for log in logs:
            storage.blobs[f"{job.log}/{log.name}"] = log.read_bytes()
