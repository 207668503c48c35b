"""What executors on machines that share no files with this one have in common: what travels there, and back."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from tidemill.run.ports import Task

EMBEDDED = "sqlite:///"
TRACKED = "mlflow"
MEASURED = ("metrics.jsonl", "mlflow-run.json")


def travelling(task: Task) -> list[str]:
    """The paths a task needs elsewhere: its folder, what its Python searches, and data it reads where it lies.

    Inputs lie in its folder, as files or as links, which travel as what they point at.
    """
    words = [task.command, *task.argv, *task.env.values()]
    direct = [p for p in task.reads.values() if any(str(p) in word for word in words)]
    searched = [Path(p) for p in task.env.get("PYTHONPATH", "").split(os.pathsep) if p]
    own = set(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    found = [task.folder, *direct, *(p for p in searched if str(p) not in own)]
    kept: list[str] = []
    for path in sorted({str(p.absolute()) for p in found if p.exists()}):
        if not any(path.startswith(f"{k}/") for k in kept):
            kept.append(path)
    return kept


def detach_tracking(task: Task) -> Task:
    """The task with an MLflow store of its own in its folder, where the workspace's embedded one cannot be reached.

    What it logs there comes back with the folder, and the workspace's tracker takes it over when the step ends.
    """
    return replace(task, env={**task.env, **_own_store(task.env, task.folder)})


def _own_store(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    if not env.get("MLFLOW_TRACKING_URI", "").startswith(EMBEDDED):
        return {}
    own = folder.absolute() / TRACKED
    uri = f"{EMBEDDED}{own / 'mlflow.db'}"
    return {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "TIDEMILL_MLFLOW_ARTIFACTS": (own / "artifacts").as_uri(),
        "TIDEMILL_MLFLOW_LOCK": str(own / "create.lock"),
    }


def growing(task: Task) -> list[Path]:
    """The files of lines that a task appends to, which are had here while it runs: what it measures, and its MLflow run.

    Bad trials are ended early by the one, and the run of a task that is killed by the other.
    """
    return [*(task.folder / name for name in MEASURED), *task.grows]


def cut_to_lines(path: Path) -> int:
    """The bytes of a growing file's whole lines, and no more of it: who wrote it here may have been killed in one."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        return file.truncate(file.read().rfind(b"\n") + 1)


def unpack_below(stream: IO[bytes], folder: Path, there: str = "") -> None:
    """Take over what a task wrote, below its own folder (called `there` where it ran) and nowhere else; raises `tarfile.TarError` for what is torn.

    A link that leads out of the folder points at nothing here, and is such an error too.
    """
    inside = (there or str(folder.absolute())).lstrip("/")
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if not member.name.startswith(f"{inside}/"):
                continue
            member.name = member.name.removeprefix(f"{inside}/")
            target = folder / member.name
            if member.isdir() and target.is_dir():
                continue
            if member.issym() and member.linkname.startswith(f"/{inside}/"):
                member.linkname = os.path.relpath(member.linkname, f"/{inside}/{Path(member.name).parent}")
            if not member.isdir():
                target.unlink(
                    missing_ok=True
                )  # a file that came from the store is read-only, and not the step's to change
            tar.extract(member, folder, filter="data")
