"""Documents that are kept and shown, not run: computes, datastores, endpoints, schedules. Computes also have a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.spec.edits import Edits, apply_edits
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override, apply_overrides

KINDS: Mapping[str, tuple[Kind, ...]] = {
    "compute": (Kind.COMPUTE,),
    "datastore": (Kind.DATASTORE,),
    "schedule": (Kind.SCHEDULE,),
    "workspace": (Kind.WORKSPACE,),
    "batch-endpoint": (Kind.BATCH_ENDPOINT,),
    "batch-deployment": (Kind.BATCH_DEPLOYMENT,),
}
FIXED = ("name", "type", "created_at", "provisioning_state", "state")
RUNNING, STOPPED = "Running", "Stopped"


def create(
    app: App, noun: str, file: Path | None, overrides: Sequence[Override], name: str | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Keep a document, or change the one of that name; without a file, one made of `fields`."""
    if file is not None:
        data = load_valid(file, overrides=overrides, expect=KINDS[noun]).data
    else:
        before = app.store.get(noun, name) if name else None
        data = apply_overrides({**(before or {}), **fields}, overrides)
    chosen = name or data.get("name")
    if not chosen:
        raise UsageError(f"A {noun} needs a name", hint="Add `name:` to the document, or give --name.")
    kept = app.store.get(noun, chosen) or {}
    row = {
        **data,
        "name": chosen,
        "created_at": kept.get("created_at") or iso(SystemClock().now()),
        "provisioning_state": "Succeeded",
    }
    if noun == "compute":
        row["state"] = kept.get("state", RUNNING)
    app.store.put(noun, chosen, row)
    return dict(row)


def update(app: App, noun: str, name: str, fields: Mapping[str, Any], edits: Edits) -> dict[str, Any]:
    """Change a document that is kept; its name and what Tidemill says of it stay."""
    before = show(app, noun, name)
    after = apply_edits({**before, **fields}, edits)
    fixed = next((k for k in FIXED if before.get(k) != after.get(k)), None)
    if fixed is not None:
        raise UsageError(f"`{fixed}` of a {noun} cannot change", hint="Create another one.")
    app.store.put(noun, name, after)
    return dict(after)


def show(app: App, noun: str, name: str) -> dict[str, Any]:
    """The document; `NotFoundError` with a suggestion."""
    found = app.store.get(noun, name)
    if found is None:
        raise NotFoundError(
            f"There is no {noun} `{name}`",
            hint=did_you_mean(name, app.store.documents(noun)) or f"Create it: tidemill {noun} create -f FILE",
        )
    return dict(found)


def list_all(app: App, noun: str) -> list[dict[str, Any]]:
    """Every document, newest first."""
    return sorted(
        (dict(d) for d in app.store.documents(noun).values()), key=lambda d: str(d.get("created_at", "")), reverse=True
    )


def delete(app: App, noun: str, name: str) -> None:
    """Forget the document."""
    show(app, noun, name)
    app.store.delete(noun, name)


def set_state(app: App, name: str, state: str) -> tuple[dict[str, Any], bool]:
    """Start or stop a compute; whether it changed (starting a running one is a success)."""
    found = show(app, "compute", name)
    changed = found.get("state") != state
    row = {**found, "state": state}
    app.store.put("compute", name, row)
    return row, changed
