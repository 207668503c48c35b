"""What may change about an asset, which is what is said about it; and dropping one that nothing uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.app.assets_crud import as_json
from tidemill.app.models import as_json as model_json
from tidemill.app.releases import history, last_release, previous_release
from tidemill.app.wiring import App
from tidemill.base.errors import ConflictError, UsageError
from tidemill.record.runs import get_job
from tidemill.spec.edits import Edits, apply_edits

CHANGEABLE = ("description", "tags")
MODEL = "model"
KEPT_DOCUMENTS = ("batch-deployment", "schedule")


def update_asset(
    app: App, kind: str, name: str, version: str | None, label: str | None, edits: Edits
) -> dict[str, Any]:
    """Change a version's description or tags; `UsageError` for anything else, because a version never changes."""
    if kind == MODEL:
        return _update_model(app, name, version or label or "latest", edits)
    row = app.rows.get(kind, name, version, label)
    said = _edited(as_json(row), edits, f"{kind} {name}:{row.version}")
    app.store.change_asset(kind, name, row.version, **said)
    return as_json(app.rows.get(kind, name, row.version))


def _update_model(app: App, name: str, version: str, edits: Edits) -> dict[str, Any]:
    found = app.registry.get(name, version)
    said = _edited(model_json(found), edits, f"model {name}:{found.version}")
    app.registry.describe(name, found.version, said["description"], sorted({*found.tags} - {*said["tags"]}))
    app.registry.set_tags(name, found.version, said["tags"])
    return model_json(app.registry.get(name, found.version))


def _edited(before: Mapping[str, Any], edits: Edits, what: str) -> dict[str, Any]:
    after = apply_edits(before, edits)
    fixed = next((k for k in {**before, **after} if k not in CHANGEABLE and before.get(k) != after.get(k)), None)
    if fixed is not None:
        raise UsageError(
            f"`{fixed}` of {what} cannot change; only {' and '.join(CHANGEABLE)} can",
            hint="A version never changes: create another version.",
        )
    if not isinstance(after.get("tags") or {}, dict):
        raise UsageError("`tags` are pairs", hint="--set tags.owner=me")
    return {
        "description": str(after.get("description") or ""),
        "tags": {str(k): str(v) for k, v in (after.get("tags") or {}).items()},
    }


def archive_asset(
    app: App, kind: str, name: str, version: str | None, label: str | None, *, archived: bool
) -> list[str]:
    """Hide a version, or all of a name, from lists, or bring it back; the versions it was."""
    versions = _versions(app, kind, name, version)
    if label is not None and version is None:
        found = app.registry.get(name, label) if kind == MODEL else app.rows.get(kind, name, None, label)
        versions = [found.version]
    for each in versions:
        if kind == MODEL:
            app.registry.archive(name, each, archived=archived)
        else:
            app.rows.archive(kind, name, each, archived=archived)
    return versions


def delete_asset(app: App, kind: str, name: str, version: str | None) -> list[str]:
    """Drop a version, or all of a name; `ConflictError` when something relies on one. The versions that are gone."""
    versions = _versions(app, kind, name, version)
    for each in versions:
        user = next(_uses(app, kind, name, each), None)
        if user:
            raise ConflictError(
                f"{kind} `{name}:{each}` is in use: {user}",
                hint=f"Nothing was deleted. To hide it from lists: tidemill {kind} archive -n {name} -v {each}",
            )
    for each in versions:
        if kind == MODEL:
            app.registry.delete(name, each)
        else:
            app.rows.delete(kind, name, each)
    return versions


def _versions(app: App, kind: str, name: str, version: str | None) -> list[str]:
    if version is not None:
        found = app.registry.get(name, version) if kind == MODEL else app.rows.get(kind, name, version)
        return [found.version]
    if kind == MODEL:
        known = [v.version for v in app.registry.list(name, archived=True)]
        return known or [app.registry.get(name, "latest").version]
    return [r.version for r in app.rows.list(kind, name, archived=True)] or [app.rows.get(kind, name).version]


def _uses(app: App, kind: str, name: str, version: str) -> Iterator[str]:
    """What relies on a version, in words: releases that serve or could be put back, endpoints, kept documents."""
    newest = _versions(app, kind, name, None)[0] == version
    label = r"|@latest\b" if newest else ""
    named = re.compile(rf"(?<![\w.-]){re.escape(name)}(:{re.escape(version)}(?![\w.-]){label})")
    for release in _releases(app):
        what = f"stage `{release['stage']}` serves {release['model']}:{release['version']}, or would after a rollback"
        if kind == MODEL and (release["model"], str(release["version"])) == (name, version):
            yield what
        elif kind != MODEL and _made_with(app, release, named):
            yield f"it went into what stage `{release['stage']}` serves ({release['model']}:{release['version']})"
    for endpoint in app.target.endpoints() if kind == MODEL else ():
        for each, about in app.target.desired(endpoint).get("deployments", {}).items():
            if (about.get("model"), str(about.get("version"))) == (name, version):
                yield f"endpoint `{endpoint}` serves it in deployment `{each}`"
    for collection in KEPT_DOCUMENTS:
        for key, document in app.store.documents(collection).items():
            if named.search(json.dumps(document, default=str)):
                yield f"{collection} `{key}` names it"


def _releases(app: App) -> Iterator[Mapping[str, Any]]:
    for stage in dict.fromkeys(str(r["stage"]) for r in history(app)):
        yield from (r for r in (last_release(app, stage), previous_release(app, stage)) if r is not None)


def _made_with(app: App, release: Mapping[str, Any], named: re.Pattern[str]) -> bool:
    """Whether the job that trained the released model names the asset."""
    found = next(
        (v for v in app.registry.list(release["model"], archived=True) if v.version == str(release["version"])), None
    )
    if found is None or not found.job or app.store.job(found.job) is None:
        return False
    view = get_job(app.store, found.job)
    return bool(named.search(json.dumps([dict(view.inputs), [s.about for s in view.steps.values()]], default=str)))
