"""Models as az shows them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidemill.app.sources import find_source
from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.record.ports import ModelRequest, ModelVersion
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override, apply_overrides


def create_model(  # noqa: PLR0913 - one argument for each option of the command
    app: App,
    file: Path | None,
    overrides: Sequence[Override],
    *,
    name: str | None,
    version: str | None,
    path: str | None,
    kind: str | None,
) -> dict[str, Any]:
    """Register a local model by document or by name and path."""
    document = load_valid(file, overrides=overrides, expect=(Kind.MODEL,)).document if file else None
    said: dict[str, Any] = {} if file else apply_overrides({}, overrides)
    folder = file.absolute().parent if file else Path.cwd()
    chosen, where = name or (document.name if document else None), path or (document.path if document else None)
    if not chosen or not where:
        raise UsageError(
            "A model needs a name and a path", hint="tidemill model create --name NAME --path FOLDER, or -f FILE"
        )
    source = find_source(app, where, folder)
    request = ModelRequest(
        chosen, source, kind or (document.type if document else None) or "custom_model", version or (document.version if document else None),
        (document.description if document else said.get("description")) or "",
        tags={k: str(v) for k, v in ((document.tags if document else said.get("tags")) or {}).items()},
    )  # fmt: skip
    return as_json(app.registry.register(request))


def list_models(app: App, name: str | None, *, archived: bool, limit: int | None) -> list[dict[str, Any]]:
    """Versions, most recently created first: `[0].version` is the newest."""
    return [as_json(v) for v in app.registry.list(name, archived=archived)][:limit]


def download_model(app: App, name: str, version: str, folder: Path) -> Path:
    """Copy a version's files into `folder/<name>`, as az does."""
    found = app.registry.get(name, version)
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    if found.path.is_file():
        shutil.copyfile(found.path, target / found.path.name)
    else:
        shutil.copytree(found.path, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return target


def as_json(version: ModelVersion) -> dict[str, Any]:
    """In az's words."""
    return {
        "name": version.name,
        "version": version.version,
        "type": version.type,
        "path": str(version.path),
        "description": version.description,
        "tags": dict(version.tags),
        "properties": dict(version.properties),
        "job_name": version.job,
        "metrics": dict(version.metrics),
        "digest": version.digest,
        "labels": list(version.labels),
        "creation_context": {"created_at": version.created_at},
        "id": f"azureml:{version.name}:{version.version}",
        "archived": version.archived,
    }
