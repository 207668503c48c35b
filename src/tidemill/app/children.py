"""Steps and trials as jobs of their own: `<job>.<step>`, and `<job>_<n>` for the trials of a stand-alone sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.app.wiring import App
from tidemill.record.runs import get_settled
from tidemill.run.folders import StepFolder, job_folder
from tidemill.run.job import JobView
from tidemill.run.result import make_result

ARTIFACTS = "artifacts"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Child:
    """A step of a job, found by a name of its own."""

    name: str
    step: str
    parent: JobView
    folder: StepFolder

    def output(self, name: str) -> Path:
        """Where an output lies; `artifacts` is what Azure ML calls `./outputs`."""
        found = self.folder.outputs / name
        return self.folder.outputs / DEFAULT if name == ARTIFACTS and not found.exists() else found


def find_child(app: App, name: str) -> Child | None:
    """The step of that name; None when there is none."""
    for parent, rest in _splits(name):
        if app.store.job(parent) is None:
            continue
        view = get_settled(app.store, parent, app.is_driven)
        alone = next(iter(view.steps), "") if view.type != "pipeline" else ""
        step = f"{alone}{rest}" if rest.startswith("_") else rest
        if step in view.steps:
            return Child(name, step, view, job_folder(app.home, parent).step(step))
    return None


def _splits(name: str) -> Iterator[tuple[str, str]]:
    head, _, number = name.rpartition("_")
    if head and number.isdigit():
        yield head, f"_{number}"
    for place in range(len(name) - 1, 0, -1):
        if name[place] == ".":
            yield name[:place], name[place + 1 :]


def show_child(app: App, child: Child) -> dict[str, Any]:
    """A step as `job show` shows a job; a trial's values also as the tag Azure ML gives it."""
    view, step = child.parent, child.parent.steps[child.step]
    result = make_result(view, job_folder(app.home, view.name)).steps[child.step].as_json()
    parameters = step.about.get("parameters")
    tags = {"hyperparameters": json.dumps(parameters)} if parameters else {}
    owner = step.about.get("parent")
    parent = f"{view.name}.{owner}" if owner and view.type == "pipeline" else view.name
    return {
        "id": f"azureml:{child.name}", "name": child.name, "display_name": step.about.get("display_name") or child.step,
        "type": step.kind, "experiment_name": view.experiment_name, "parent_job_name": parent, "tags": tags,
        "started_at": step.started_at, "ended_at": step.ended_at, "source": view.source, **result,
    }  # fmt: skip
