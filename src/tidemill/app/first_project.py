"""A `tidemill.yaml` to begin with, made of the documents that lie in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tidemill.base.errors import SpecError
from tidemill.spec.kinds import Kind, detect_kind
from tidemill.spec.source import read_source

LOOKED_AT = 200  # files; a first proposal need not search a whole disk
HIDDEN = (".", "_")
USUAL = ("pipeline", "job")
MODEL_TYPES = ("mlflow_model", "custom_model", "triton_model")
NO_JOB = "FILE.yml   # the job that trains; `tidemill run FILE.yml` has to work first"
NO_MODEL = "NAME   # as its register step calls it; without such a step {name: NAME, output: OUTPUT OF THE JOB}"


def propose_project(folder: Path) -> str:
    """The lines of a project file: what was found by its name, what was not in words that say what belongs there."""
    found = _documents(folder)
    kinds: dict[Kind, Path] = {}
    for path, (kind, _) in found.items():
        kinds.setdefault(kind, path)
    job = kinds.get(Kind.PIPELINE_JOB) or kinds.get(Kind.COMMAND_JOB)
    name = folder.absolute().name or "project"
    rows = {
        "name": name,
        "pipeline": str(job.relative_to(folder)) if job else NO_JOB,
        "model": _model_of(found[job][1], name) if job else NO_MODEL,
    }
    for field, kind in (("endpoint", Kind.ONLINE_ENDPOINT), ("deployment", Kind.ONLINE_DEPLOYMENT)):
        if kind in kinds:
            rows[field] = str(kinds[kind].relative_to(folder))
    rows["stages"] = "{staging: {target: local}}"
    return "\n".join(f"  {field}: {value}" for field, value in rows.items())


def _documents(folder: Path) -> dict[Path, tuple[Kind, Mapping[str, Any]]]:
    """The Azure ML documents of the folder and the folders in it, those that lie highest and have the usual names first."""
    found: dict[Path, tuple[Kind, Mapping[str, Any]]] = {}
    for path in _files(folder):
        try:
            data = read_source(path).data()
        except SpecError:
            continue  # `tidemill check` says what is wrong with it
        if isinstance(data, dict):
            found[path] = (detect_kind(data, path.name), data)
    return found


def _files(folder: Path) -> Iterable[Path]:
    here = [*folder.glob("*.y*ml"), *folder.glob("*/*.y*ml")]
    seen = [path for path in here if not any(part.startswith(HIDDEN) for part in path.relative_to(folder).parts)]
    return sorted(seen, key=lambda path: (len(path.parts), path.stem not in USUAL, path.name))[:LOOKED_AT]


def _model_of(job: Mapping[str, Any], name: str) -> str:
    """What `model:` says for a job: the name its register step gives, else the output that is a model."""
    steps = job.get("jobs")
    for step in steps.values() if isinstance(steps, dict) else ():
        inputs = step.get("inputs") if isinstance(step, dict) else None
        registered = inputs.get("model_name") if isinstance(inputs, dict) else None
        if isinstance(registered, str) and "${{" not in registered:
            return registered
    outputs = job.get("outputs")
    for output, about in outputs.items() if isinstance(outputs, dict) else ():
        if isinstance(about, dict) and about.get("type") in MODEL_TYPES:
            return f"{{name: {name}, output: {output}}}"
    return NO_MODEL
