"""Names that nothing here has and that are nearly those of something here: a slip of the pen, not an asset on Azure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidemill.base.files import is_plain_file
from tidemill.base.findings import Finding
from tidemill.base.suggest import is_slip
from tidemill.spec.fields import DATA_TYPES
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import load
from tidemill.spec.references import AssetRef, parse_reference
from tidemill.spec.rules.context import Context

PROJECT_FILE = "tidemill.yaml"
KINDS = {"environment": (Kind.ENVIRONMENT,), "component": COMPONENTS, "data": (Kind.DATA,)}
MAPPED = {"environment": "environments", "data": "data"}
MODELS = tuple(t for t in DATA_TYPES if t.endswith("_model"))

Place = tuple[str | int, ...]


def check_near_names(context: Context) -> Iterator[Finding]:
    """Environments, components and data a document names. What is like nothing here may well be on Azure, and is left alone."""
    named = list(_references(context.loaded.data, ()))
    used = {ref.name for _, _, ref in named}
    known = {what: _known(context, what) for what in {what for _, what, _ in named}}
    for path, what, ref in named:
        others = [] if ref.name in known[what] else sorted(known[what] - used)
        near = [n for n in others if is_slip(ref.name, n)]
        if near:
            text = f"No {what} here is called `{ref.name}`, but one is called nearly so"
            yield context.finding("TM-R112", text, path, hint=f"Did you mean `{near[0]}`?")


def _references(node: Any, path: Place) -> Iterator[tuple[Place, str, AssetRef]]:  # noqa: ANN401 - any YAML value
    """Every asset of the workspace that is named, with what it is to be."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        what = key if key in {"environment", "component"} else ""
        if key == "path" and "inputs" in path and isinstance(node, Mapping) and node.get("type") not in MODELS:
            what = "data"
        ref = parse_reference(value) if what and isinstance(value, str) and value.startswith("azureml:") else None
        if isinstance(ref, AssetRef) and ref.registry is None:
            yield (*path, key), what, ref
        elif not isinstance(value, str):
            yield from _references(value, (*path, key))


def _known(context: Context, what: str) -> set[str]:
    """Names that documents of the repository declare, and those the project maps."""
    repository = context.get_repository()
    project = _project_of(repository.root) if what in MAPPED else {}
    mapped = project.get(MAPPED.get(what, ""))
    names = [*repository.names(KINDS[what]), *(map(str, mapped) if isinstance(mapped, Mapping) else ())]
    return {name.partition(":")[0] for name in names}


def _project_of(root: Path) -> Mapping[str, Any]:
    path = root / PROJECT_FILE
    data = load(path, kind=Kind.PROJECT).data if is_plain_file(path) else None
    return data if isinstance(data, Mapping) else {}
