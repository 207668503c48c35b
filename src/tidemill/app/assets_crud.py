"""Data, components and environments as assets of the workspace: created from documents, listed, shown, archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from tidemill.app.assets import body_of
from tidemill.app.sources import JOBS, find_source
from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_value
from tidemill.base.suggest import did_you_mean
from tidemill.record.assets import AssetRequest
from tidemill.record.ports import AssetRow
from tidemill.spec.data import AssetType
from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override, apply_overrides
from tidemill.spec.references import FileRef, UrlRef, parse_reference

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
            tags=document.tags or {},
        )
    request = AssetRequest(
        kind,
        chosen,
        version or document.version,
        path,
        getattr(document, "type", kind) or kind,
        document.description or "",
        document.tags or {},
        body_of(loaded.data),
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
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Register a local file or folder by its bytes, so that a version never changes; or an address, as it is."""
    if kind not in {None, *get_args(AssetType)}:
        raise UsageError(f"`{kind}` is no type of data", hint=did_you_mean(str(kind), get_args(AssetType)))
    ref = parse_reference(path)
    if path.startswith(JOBS):
        ref = FileRef(str(find_source(app, path, folder)))
    if isinstance(ref, UrlRef):
        request = AssetRequest("data", name, version, None, kind or "uri_folder", description, tags or {}, url=path)
        return as_json(app.rows.register(request))
    where = ref.resolve(folder) if isinstance(ref, FileRef) else folder / path
    found = "uri_file" if where.is_file() else "uri_folder"
    return as_json(
        app.rows.register(AssetRequest("data", name, version, where, kind or found, description, tags or {}))
    )


def create_from_fields(
    app: App, kind: str, name: str, version: str | None, fields: Sequence[Override], folder: Path
) -> dict[str, Any]:
    """Register what options say instead of a document; their paths are relative to `folder`."""
    data: dict[str, Any] = apply_overrides({"name": name}, fields)
    if kind == "data":
        if not data.get("path"):
            raise UsageError("Which data?", hint="--path FILE or FOLDER")
        said: dict[str, Any] = {
            "kind": data.get("type"),
            "description": data.get("description") or "",
            "tags": data.get("tags"),
        }
        return create_data(app, name, data["path"], folder=folder, version=version, **said)
    if isinstance(data.get("conda_file"), str):
        data["conda_file"] = _there(folder / data["conda_file"])
    if isinstance(data.get("build"), dict):
        data["build"] = {**data["build"], "path": _there(folder / data["build"].get("path", ""))}
    file = app.home / "documents" / kind / f"{name}-{digest_value(data).rpartition(':')[2][:16]}.yml"
    write_atomic(file, yaml.safe_dump(data, sort_keys=False))
    return create_asset(app, kind, file, version=version)


def _there(path: Path) -> str:
    if not path.exists():
        raise UsageError(f"There is no `{path}`", hint="The path is relative to the current folder.")
    return str(path.absolute())


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
