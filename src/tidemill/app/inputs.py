"""Inputs that can be known not to be there before anything runs: paths of datastores kept here, folders with nothing in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.app.executors import LOCAL
from tidemill.app.wiring import App
from tidemill.base.errors import Location, UsageError
from tidemill.base.files import is_folder, is_there
from tidemill.base.findings import Finding
from tidemill.plan.graph import DataInput, DataRef, Plan, Step
from tidemill.run.ports import DataAccess
from tidemill.spec.codes import CODES
from tidemill.spec.load import Loaded

AZURE = "azureml"  # an executor where paths of datastores mean Azure's own
STORE = re.compile(r"azureml://.*?datastores/(?P<name>[^/]+)/paths/")
MISSING, EMPTY = "TM-R101", "TM-R109"


def input_findings(app: App, plan: Plan, loaded: Loaded, chosen: str = "") -> Iterator[Finding]:
    """What the steps that run on this side are to read and is not there. What another step of the plan writes is left out.

    `chosen` is the executor everything runs on, if one was named. Nothing outside this machine is asked.
    """
    steps = [s for s in all_steps(plan.steps) if _place(app, s, chosen) != AZURE]
    data = app.data
    written = [p for s in steps for o in s.outputs.values() if o.destination and (p := _local(data, o.destination))]
    seen: set[tuple[str, str]] = set()
    for step in steps:
        for name, binding in step.inputs.items():
            ref = binding.ref if isinstance(binding, DataInput) else None
            path = _local(data, ref.uri) if ref is not None else None
            if (
                ref is None
                or path is None
                or (ref.uri, name) in seen
                or any(_overlap(path, other) for other in written)
            ):
                continue
            seen.add((ref.uri, name))
            # the place is looked for in the whole document, so only when there is something to say of it
            if not is_there(path):
                yield _missing(app, ref, path, _where(loaded, ref, step))
            elif is_folder(path) and not any(not p.name.startswith(".") for p in path.iterdir()):
                text = f"Input `{name}` of `{step.name}` is an empty folder: {path}"
                hint = "Bring the data there, or name another folder."
                yield Finding(EMPTY, CODES[EMPTY].severity, text, hint, *_where(loaded, ref, step))


def all_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step, those of branches and loops among them."""
    for step in steps:
        yield step
        for block in step.blocks.values():
            yield from all_steps(block)


def _place(app: App, step: Step, chosen: str) -> str:
    """The kind of executor that runs a step."""
    computes = app.project.document.compute if app.project is not None else {}
    mapped = computes.get((step.compute or "").removeprefix("azureml:").partition("@")[0])
    return chosen or (mapped.executor if mapped is not None else LOCAL)


def _local(data: DataAccess, uri: str) -> Path | None:
    """The path of this machine a URI stands for; None for one that is elsewhere, or that a run will refuse in its own words."""
    try:
        return data.find_local(uri)
    except UsageError:
        return None


def _overlap(path: Path, other: Path) -> bool:
    return path == other or path in other.parents or other in path.parents


def _missing(app: App, ref: DataRef, path: Path, where: tuple[Location, str]) -> Finding:
    found = STORE.match(ref.uri)
    mapped = app.project.document.datastores if app.project is not None else {}
    hint = f"Looked for {path}. Put the data there."
    if found is not None and found["name"] in mapped:
        hint = f"Looked for {path}: tidemill.yaml maps the datastore to `{mapped[found['name']]}`."
    elif found is not None:
        hint = f"Looked for {path}. Put the data there, or map the datastore in tidemill.yaml: `datastores: {{{found['name']}: FOLDER_OR_URL}}`."
    what = f"data asset `azureml:{ref.asset}`: `{ref.uri}`" if ref.asset else f"`{ref.uri}`"
    return Finding(MISSING, CODES[MISSING].severity, f"There is no data at {what}", hint, *where)


def _where(loaded: Loaded, ref: DataRef, step: Step) -> tuple[Location, str]:
    """Where the document names the data; else the step that reads it."""
    folder = loaded.path.absolute().parent

    def is_it(text: str) -> bool:
        return text in {ref.uri, f"azureml:{ref.asset}"} or (
            ref.is_local and os.path.normpath(folder / text) == ref.uri
        )

    path = next(_places_of(loaded.data, is_it, ()), None)
    return (loaded.locate(path), ".".join(map(str, path))) if path is not None else (step.at, "")


def _places_of(node: Any, is_it: Callable[[str], bool], path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - any YAML value
    if isinstance(node, str) and is_it(node):
        yield path
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _places_of(value, is_it, (*path, key))
