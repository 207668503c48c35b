"""Registries: what several workspaces of Azure share is a part of this one here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidemill.app.assets_crud import as_json
from tidemill.app.models import as_json as model_json
from tidemill.app.settings import Settings
from tidemill.app.wiring import REGISTRIES, App, open_app
from tidemill.base.errors import NotFoundError
from tidemill.base.suggest import did_you_mean
from tidemill.record.assets import AssetRequest
from tidemill.record.ports import ModelRequest

REGISTRY = "registry"


@contextmanager
def open_scope(settings: Settings, registry: str | None) -> Iterator[App]:
    """The workspace, or the registry that `--registry-name` means."""
    with open_app(settings) as app:
        yield find_registry(app, registry) if registry else app


def find_registry(app: App, name: str) -> App:
    """A registry; `NotFoundError` when none of that name was created."""
    if app.store.get(REGISTRY, name) is None:
        hint = did_you_mean(name, app.store.documents(REGISTRY)) or f"Create it: tidemill registry create -n {name}"
        raise NotFoundError(f"There is no registry `{name}` here", hint=hint)
    return app.shared(name)


def forget(app: App, name: str) -> None:
    """Drop what a registry holds; the workspace's own assets stay."""
    shutil.rmtree(app.home / REGISTRIES / name, ignore_errors=True)


def share(app: App, kind: str, source: tuple[str, str], registry: str, target: tuple[str, str]) -> dict[str, Any]:
    """Copy one version from the workspace to a registry, by another name and number if wanted."""
    there = find_registry(app, registry)
    name, version = target
    if kind == "model":
        found = app.registry.get(*source)
        request = ModelRequest(
            name, found.path, found.type, version, found.description,
            metrics=found.metrics, tags=found.tags, properties=found.properties,
        )  # fmt: skip
        return model_json(there.registry.register(request))
    row = app.rows.get(kind, *source)
    url = row.path if "://" in row.path else ""
    path = None if url else Path(row.path)
    wish = AssetRequest(kind, name, version, path, row.type, row.description, row.tags, row.body, url)
    return as_json(there.rows.register(wish))
