"""Data, components and environments as assets of the workspace: created from documents, listed, shown, archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.record.assets import AssetRequest
from tidemill.record.ports import AssetRow
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override

KINDS: Mapping[str, tuple[Kind, ...]] = {
    "data": (Kind.DATA,),
    "component": COMPONENTS,
    "environment": (Kind.ENVIRONMENT,),
}


def create_asset(
    app: App,
    kind: str,
    file: Path,
    overrides: Sequence[Override] = (),
    *,
    name: str | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Register the asset a document declares. Without a version: by content, so that unchanged means no new version."""
    loaded = load_valid(file, overrides=overrides, expect=KINDS[kind])
    document = loaded.document
    chosen = name or document.name
    if not chosen:
        raise UsageError(f"{file} names no {kind}", hint="Add `name:`, or give --name.")
    path = file.absolute()
    if kind == "data":
        return create_data(
            app,
            chosen,
            document.path,
            folder=path.parent,
            version=version or document.version,
            kind=document.type,
            description=document.description or "",
        )
    request = AssetRequest(
        kind,
        chosen,
        version or document.version,
        path,
        getattr(document, "type", kind) or kind,
        document.description or "",
        document.tags or {},
        _body(loaded.data),
    )
    return as_json(app.rows.register(request))


def create_data(  # noqa: PLR0913 - one argument for each option of the command
    app: App,
    name: str,
    path: str,
    *,
    folder: Path,
    version: str | None = None,
    kind: str | None = None,
    description: str = "",
) -> dict[str, Any]:
    """Register a local file or folder: its bytes are kept, so a version never changes."""
    if "://" in path:
        raise UsageError(
            f"`{path}` is not on this machine", hint="Download it first, or map it under `data:` in tidemill.yaml."
        )
    where = (folder / path).absolute()
    found = "uri_file" if where.is_file() else "uri_folder"
    return as_json(app.rows.register(AssetRequest("data", name, version, where, kind or found, description)))


def explain_shadow(app: App, name: str) -> str:
    """A warning when the project file maps this name, because a mapping goes before what is registered; else empty."""
    if app.project is None:
        return ""
    mapped = next((k for k in app.project.document.data if k.partition(":")[0] == name), None)
    return (
        f"warning: jobs here will not use it: tidemill.yaml maps `{mapped}` to {app.project.document.data[mapped]}, "
        "and a mapping goes first. Change or remove the mapping."
        if mapped
        else ""
    )


def _body(data: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its version, so that content decides."""
    return {str(k): v for k, v in data.items() if k not in {"version", "$schema"}}


def list_assets(app: App, kind: str, name: str | None, *, archived: bool, limit: int | None) -> list[dict[str, Any]]:
    """Versions, most recently created first."""
    return [as_json(r) for r in app.rows.list(kind, name, archived=archived)][:limit]


def show_asset(app: App, kind: str, name: str, version: str | None, label: str | None) -> dict[str, Any]:
    """One version; `NotFoundError` with a suggestion."""
    return as_json(app.rows.get(kind, name, version, label))


def as_json(row: AssetRow) -> dict[str, Any]:
    """In az's words."""
    return {
        "name": row.name,
        "version": row.version,
        "type": row.type,
        "path": row.path,
        "description": row.description,
        "tags": dict(row.tags),
        "digest": row.digest,
        "creation_context": {"created_at": row.created_at},
        "id": f"azureml:{row.name}:{row.version}",
        "archived": row.archived,
        **(
            {
                k: v
                for k, v in row.body.items()
                if k in {"command", "inputs", "outputs", "environment", "image", "conda_file", "build", "display_name"}
            }
        ),
    }
