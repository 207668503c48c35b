"""Steps that bring programs of their own (parallel ones, say): the folder they count on is laid out there as it is here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from tidemill.backends.azure.blobs import files_below
from tidemill.base.hashing import digest_value
from tidemill.run.ports import Task

KNOWN = frozenset({"cwd", "inputs", "outputs", "logs"})
TRAVELS = ".tidemill"  # below the code, what travels with it
REWRITTEN = ".azureml"  # here, texts in which paths are those of there
TEXTS = frozenset({".json"})


def place_of(task: Task) -> str:
    """Where the step's folder is on Azure: a job has the machine for itself."""
    return f"/tmp/tidemill-{digest_value([task.job, task.step])[:16]}"  # noqa: S108 - inside the job's container


def beside(task: Task) -> list[tuple[str, Path]]:
    """Files the step's programs are in, by the names they have in the code; paths in their texts are those of there."""
    found = []
    for folder in sorted(p for p in task.folder.iterdir() if p.is_dir() and p.name not in {*KNOWN, REWRITTEN}):
        for name, path in files_below(folder):
            relative = f"{folder.name}/{name}"
            found.append((f"{TRAVELS}/{relative}", _rewritten(task, relative, path)))
    return found


def _rewritten(task: Task, relative: str, path: Path) -> Path:
    if path.suffix not in TEXTS:
        return path
    target = task.folder / REWRITTEN / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    for spelled in (str(task.folder), json.dumps(str(task.folder))[1:-1]):
        text = text.replace(spelled, place_of(task))
    target.write_text(text, encoding="utf-8")
    return target


def prelude(task: Task, inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> str:
    """Commands that lay the folder out: links to what Azure ML mounts, copies of what travelled."""
    place = place_of(task)
    lines = [
        f"rm -rf {place} && mkdir -p {place} logs",
        f'ln -s "$PWD" {place}/cwd && ln -s "$PWD/logs" {place}/logs',
        f"cp -R {TRAVELS}/. {place}/",
    ]
    for kind, paths in (("inputs", inputs), ("outputs", outputs)):
        for name, path in paths.items():
            if task.folder in path.parents:
                target = shlex.quote(f"{place}/{path.relative_to(task.folder)}")
                lines.append(f'mkdir -p "$(dirname {target})" && ln -s "${{{{{kind}.{name}}}}}" {target}')
    return "\n".join(lines) + "\n"
