"""Documents that are kept and shown, not run: computes, datastores, endpoints, schedules. Computes also have a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.app.azure_cli import read_defaults
from tidemill.app.computes import begin, is_type, settle
from tidemill.app.registries import REGISTRY, forget
from tidemill.app.schedules import describe
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.base.ids import is_name
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
    "registry": (Kind.REGISTRY,),
    "connection": (Kind.CONNECTION,),
    "batch-endpoint": (Kind.BATCH_ENDPOINT,),
    "batch-deployment": (Kind.BATCH_DEPLOYMENT,),
}
FIXED = ("name", "type", "created_at", "provisioning_state", "state", "last_operation")
NO_FILE = ("schedule",)
DEFAULT_STORE = "workspaceblobstore"
# Parts of documents that let somebody in: which there are is kept, what they are is not.
SECRET_PARTS = ("credentials", "api_key")


def create(
    app: App, noun: str, file: Path | None, overrides: Sequence[Override], name: str | None, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """Keep a document, or change the one of that name; without a file, one made of `fields`. The row, and a note."""
    if file is not None:
        given = [Override((k,), v, f"{k}={v}") for k, v in fields.items()]
        data = load_valid(file, overrides=[*given, *overrides], expect=KINDS[noun]).data
    else:
        data = _without_document(app, noun, name, fields, overrides)
    chosen = name or data.get("name")
    if not chosen:
        raise UsageError(f"A {noun} needs a name", hint="Add `name:` to the document, or give --name.")
    if not is_name(chosen):
        raise UsageError(f"`{chosen}` cannot name a {noun}", hint="Use letters, digits, `-`, `_` and `.`.")
    kept = app.store.get(noun, chosen) or {}
    open_data, secrets = _without_secrets(data)
    row = {
        **open_data,
        "name": chosen,
        "created_at": kept.get("created_at") or iso(SystemClock().now()),
        "provisioning_state": "Succeeded",
        **({"source": str(file.absolute())} if file is not None and noun == "schedule" else {}),
    }
    if noun == "compute":
        row = begin(row, kept, SystemClock().now())
    app.store.put(noun, chosen, row)
    return show(app, noun, chosen), _note(noun, chosen, secrets)


def _note(noun: str, name: str, secrets: Sequence[str]) -> str:
    """What somebody should know who keeps this."""
    if noun == "schedule":
        return f"nothing starts it by itself here; now: tidemill schedule trigger -n {name}"
    return f"{', '.join(secrets)} of {noun} `{name}`: not kept; set them in the environment or .env" if secrets else ""


def _without_document(
    app: App, noun: str, name: str | None, fields: Mapping[str, Any], overrides: Sequence[Override]
) -> dict[str, Any]:
    before = (app.store.get(noun, name) if name else None) or {}
    if noun in NO_FILE and not before:
        raise UsageError(f"`{noun} create` needs a document", hint="-f FILE")
    data: dict[str, Any] = apply_overrides({**before, **fields}, overrides)
    if noun == "compute":
        data["type"] = str(data.get("type", "")).casefold()
        if not is_type(data["type"]):
            raise UsageError(
                f"`{fields.get('type', '')}` is no type of compute", hint="--type amlcompute or --type computeinstance"
            )
    return data


def _without_secrets(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document without the values that let somebody in, and the names of those."""
    found: dict[str, Any] = {}
    names: list[str] = []
    for key, value in data.items():
        if key == "$schema":
            continue
        found[key] = value
        if key in SECRET_PARTS and value:
            parts = [k for k in value if k != "type"] if isinstance(value, Mapping) else []
            names += [f"{key}.{part}" for part in parts] if parts else [key] if isinstance(value, str) else []
            found[key] = {**value, **dict.fromkeys(parts)} if isinstance(value, Mapping) else None
    return found, names


def update(app: App, noun: str, name: str | None, fields: Mapping[str, Any], edits: Edits) -> dict[str, Any]:
    """Change a document that is kept; its name and what Tidemill says of it stay."""
    before = show(app, noun, name)
    after = apply_edits({**before, **fields}, edits)
    fixed = next((k for k in FIXED if before.get(k) != after.get(k)), None)
    if fixed is not None:
        raise UsageError(f"`{fixed}` of a {noun} cannot change", hint="Create another one.")
    app.store.put(noun, before["name"], _without_secrets(after)[0])
    return show(app, noun, before["name"])


def show(app: App, noun: str, name: str | None) -> dict[str, Any]:
    """The document; `NotFoundError` with a suggestion."""
    implied = _implied(app, noun)
    chosen = name or next(iter(implied), "")
    found = app.store.get(noun, chosen) or implied.get(chosen)
    if found is None:
        raise NotFoundError(
            f"There is no {noun} `{chosen}`",
            hint=did_you_mean(chosen, {*app.store.documents(noun), *implied})
            or f"Create it: tidemill {noun} create -f FILE",
        )
    now = SystemClock().now()
    if noun == "compute":
        return settle(app, found, now)
    return describe(found, now) if noun == "schedule" else dict(found)


def _implied(app: App, noun: str) -> dict[str, dict[str, Any]]:
    """What there is without being created: the workspace itself, and the datastores of the project."""
    if noun == "workspace":
        defaults = read_defaults(app.settings)
        name = defaults.get("workspace") or app.settings.root.name
        about = {"location": "local", "resource_group": defaults.get("group", "local"), "kind": "default"}
        return {name: {"name": name, **about, "path": str(app.settings.root), "provisioning_state": "Succeeded"}}
    if noun == "datastore":
        mapped = app.project.document.datastores if app.project is not None else {}
        rows = {n: {"name": n, "type": "mapped", "path": str(p), "is_default": False} for n, p in mapped.items()}
        default = {
            "name": DEFAULT_STORE,
            "type": "azure_blob",
            "path": str(app.home / "datastores" / DEFAULT_STORE),
            "is_default": True,
        }
        return {**rows, DEFAULT_STORE: {**default, **rows.get(DEFAULT_STORE, {}), "is_default": True}}
    return {}


def list_all(app: App, noun: str) -> list[dict[str, Any]]:
    """Every document, newest first."""
    kept = sorted(app.store.documents(noun), key=lambda n: str(app.store.documents(noun)[n].get("created_at", "")))
    return [show(app, noun, n) for n in (*reversed(kept), *(i for i in _implied(app, noun) if i not in kept))]


def delete(app: App, noun: str, name: str | None) -> None:
    """Forget the document."""
    found = show(app, noun, name)
    if app.store.get(noun, found["name"]) is None:
        raise UsageError(
            f"The {noun} `{found['name']}` is there without being created", hint="There is nothing to delete."
        )
    app.store.delete(noun, found["name"])
    if noun == REGISTRY:
        forget(app, found["name"])
