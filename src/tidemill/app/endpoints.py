"""Online endpoints and deployments in az's words, on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidemill.app.conversions import prepare_conversion
from tidemill.app.deploy import PIN, endpoint_tokens, make_wish, serving_environment, sticky_header
from tidemill.app.down import note_down
from tidemill.app.recording import capture_arguments
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import BackendError, FailedError, NotFoundError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.hashing import digest_file, digest_tree, hash_folder
from tidemill.base.suggest import did_you_mean
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelVersion
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.edits import Edits, apply_edits
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.model import Model
from tidemill.spec.overrides import Override, parse_override
from tidemill.spec.project import Stage
from tidemill.spec.references import AssetRef, FileRef, parse_reference

START_S = 120.0
CALL_S = 60.0
ALL = 100
ENDPOINT, DEPLOYMENT = "online-endpoint", "online-deployment"
EDITABLE = ("description", "tags", "properties", "traffic", "mirror_traffic")


def create_endpoint(
    app: App, file: Path | None, name: str | None, overrides: Sequence[Override], *, auth_mode: str | None = None
) -> dict[str, Any]:
    """Declare an endpoint; it listens from its first deployment on."""
    document = load_valid(file, overrides=overrides, expect=(Kind.ONLINE_ENDPOINT,)).document if file else None
    chosen = name or (document.name if document else None)
    if not chosen:
        raise UsageError("An endpoint needs a name", hint="Add `name:` to the document, or give --name.")
    mode = auth_mode or (document.auth_mode if document else "key")
    said = {k: getattr(document, k) for k in ("description", "tags", "properties") if getattr(document, k, None)}
    row = {"name": chosen, "auth_mode": mode, "created_at": iso(SystemClock().now()), **said}
    app.store.put(ENDPOINT, chosen, row)
    _keep_sticky(app, chosen)
    if document is not None and document.traffic and app.target.desired(chosen):
        set_traffic(app, chosen, document.traffic, document.mirror_traffic)
    return show_endpoint(app, chosen)


def _keep_sticky(app: App, name: str) -> None:
    """Requests of one key go to one deployment: by the header that the endpoint's properties name, at once."""
    desired, header = app.target.desired(name), sticky_header((app.store.get(ENDPOINT, name) or {}).get("properties"))
    if desired and desired.get("sticky_header", "") != header:
        app.target.put(name, {**desired, "sticky_header": header})


def show_endpoint(app: App, name: str) -> dict[str, Any]:
    """An endpoint with its traffic; `NotFoundError` with a suggestion."""
    declared = app.store.get(ENDPOINT, name)
    desired = app.target.desired(name)
    if declared is None and not desired:
        known = {*app.store.documents(ENDPOINT), *app.target.endpoints()}
        raise NotFoundError(f"There is no online endpoint `{name}`", hint=did_you_mean(name, known))
    observed = app.target.observe(name)
    url = observed.get("url", "")
    return {
        "name": name,
        "auth_mode": (declared or {}).get("auth_mode", "key" if desired.get("tokens") else "none"),
        "provisioning_state": "Succeeded",
        "state": observed["state"] if desired else "NoDeployment",
        "scoring_uri": f"{url}/score" if url else "",
        "openapi_uri": f"{url}/openapi.json" if url else "",
        "traffic": desired.get("traffic", {}),
        "mirror_traffic": desired.get("mirror_traffic", {}),
        "location": "local",
        **{k: v for k, v in (declared or {}).items() if k in EDITABLE},
    }


def update_endpoint(app: App, name: str, edits: Edits) -> dict[str, Any]:
    """Change what is said of an endpoint, or its traffic."""
    before = show_endpoint(app, name)
    after = apply_edits(before, edits)
    fixed = next((k for k in {**before, **after} if k not in EDITABLE and before.get(k) != after.get(k)), None)
    if fixed is not None:
        raise UsageError(f"`{fixed}` of an endpoint cannot change", hint=f"These can: {', '.join(EDITABLE)}.")
    kept = app.store.get(ENDPOINT, name) or {"name": name, "auth_mode": before["auth_mode"]}
    said = {k: after[k] for k in EDITABLE[:3] if k in after}
    app.store.put(ENDPOINT, name, {**{k: v for k, v in kept.items() if k not in EDITABLE}, **said})
    _keep_sticky(app, name)
    shares, copies = (after[k] if after[k] != before[k] else None for k in ("traffic", "mirror_traffic"))
    return set_traffic(app, name, shares, copies) if shares or copies else show_endpoint(app, name)


def list_endpoints(app: App) -> list[dict[str, Any]]:
    """Every endpoint."""
    names = {*app.store.documents(ENDPOINT), *app.target.endpoints()}
    return [show_endpoint(app, n) for n in sorted(names)]


def delete_endpoint(app: App, name: str) -> None:
    """Stop and forget an endpoint and its deployments."""
    show_endpoint(app, name)
    app.target.delete(name)
    app.store.delete(ENDPOINT, name)
    note_down(app, [name], None, ["local"])


def set_traffic(
    app: App, name: str, traffic: Mapping[str, int] | None, mirror: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Share requests among deployments; nothing is lost meanwhile. Azure's rules: 0 or 100 in sum, a mirror gets at most 50."""
    desired = app.target.desired(name)
    there = desired.get("deployments", {})
    for given in (traffic or {}), (mirror or {}):
        unknown = [n for n in given if n not in there]
        if unknown:
            raise UsageError(
                f"The endpoint `{name}` has no deployment `{unknown[0]}`", hint=did_you_mean(unknown[0], there)
            )
    if traffic is not None and sum(traffic.values()) not in {0, ALL}:
        raise UsageError(f"The traffic adds up to {sum(traffic.values())} %", hint="Let it add up to 100, or to 0.")
    if mirror is not None and any(v > ALL // 2 for v in mirror.values()):
        raise UsageError("A deployment can mirror at most 50 % of the traffic")
    changed = {
        **desired,
        **({"traffic": dict(traffic)} if traffic is not None else {}),
        **({"mirror_traffic": dict(mirror)} if mirror is not None else {}),
    }
    app.target.put(name, changed)
    return show_endpoint(app, name)


def parse_traffic(text: str) -> dict[str, int]:
    """`blue=90 green=10`."""
    pairs = [part.partition("=") for part in text.replace(",", " ").split()]
    if not pairs or not all(n and v.isdigit() for n, _, v in pairs):
        raise UsageError(f"`{text}` is no traffic", hint='Example: --traffic "blue=90 green=10"')
    return {n: int(v) for n, _, v in pairs}


def create_deployment(
    app: App, file: Path, overrides: Sequence[Override], *, name: str | None, endpoint: str | None, all_traffic: bool
) -> dict[str, Any]:
    """Start a deployment beside those that are there; it gets traffic when asked to, or when it is the first."""
    document: OnlineDeployment = load_valid(file, overrides=overrides, expect=(Kind.ONLINE_DEPLOYMENT,)).document
    chosen, where = name or document.name or "default", endpoint or document.endpoint_name
    if not where:
        raise UsageError(f"{file} names no endpoint", hint="Add `endpoint_name:`, or give --endpoint-name.")
    declared = app.store.get(ENDPOINT, where)
    tokens = endpoint_tokens(app, where, (declared or {}).get("auth_mode", "key"))
    folder = file.absolute().parent
    version = _model_of(app, document, folder)
    environment = serving_environment(app, document, folder) or HOST_ENVIRONMENT
    wish = make_wish(app, folder, version, environment, document, tokens)
    wish["argv"] += capture_arguments(app.home / "captured" / version.name, document, _local_stage(app))
    prepare_conversion(app, version, wish["argv"], wish["env"])
    before = app.target.desired(where)
    deployments = {**before.get("deployments", {}), chosen: wish}
    traffic = {chosen: ALL} if all_traffic or not before.get("deployments") else before.get("traffic", {})
    port = before.get("port") or _port(app, where)
    desired = {
        "host": "127.0.0.1",
        "port": port,
        "deployments": deployments,
        "traffic": before.get("traffic", {}),
        "mirror_traffic": before.get("mirror_traffic", {}),
        "tokens": str(tokens or ""),
        "sticky_header": sticky_header((declared or {}).get("properties")),
    }
    app.target.put(where, desired)
    try:
        app.target.wait_healthy(where, chosen, timeout_s=START_S)
    except FailedError:
        app.target.put(where, before) if before else app.target.delete(where)
        raise
    app.target.put(where, {**desired, "port": _port(app, where), "traffic": traffic})
    kept = {"source": str(file.absolute()), "overrides": [o.text for o in overrides], "endpoint_name": where}
    app.store.put(DEPLOYMENT, f"{where}/{chosen}", kept)
    return show_deployment(app, where, chosen)


def _local_stage(app: App) -> Stage | None:
    """The project's stage on this machine, whose `capture` counts here, too: what it masks is masked."""
    stages = app.project.document.stages.values() if app.project is not None else ()
    return next((stage for stage in stages if stage.target == "local"), None)


def deployment_source(app: App, endpoint: str, name: str) -> tuple[Path, list[Override]]:
    """The document a deployment was made from, and what was set besides."""
    show_deployment(app, endpoint, name)
    kept = app.store.get(DEPLOYMENT, f"{endpoint}/{name}") or {}
    if not kept or not Path(kept["source"]).exists():
        raise UsageError(f"The document of `{name}` is not known here", hint="Give one: -f FILE")
    return Path(kept["source"]), [parse_override(o) for o in kept["overrides"]]


def _port(app: App, endpoint: str) -> int:
    url = app.target.observe(endpoint).get("url", "")
    return int(url.rpartition(":")[2]) if url else 0


def _model_of(app: App, document: OnlineDeployment, folder: Path) -> ModelVersion:
    """A registered model, or the files an inline model names."""
    if isinstance(document.model, str):
        ref = parse_reference(document.model)
        if isinstance(ref, AssetRef):
            return app.registry.get(ref.name, ref.version or ref.label or "latest")
        path = ref.resolve(folder) if isinstance(ref, FileRef) else folder / document.model
    elif isinstance(document.model, Model) and document.model.path:
        path = (folder / document.model.path).absolute()
    else:
        raise UsageError("The deployment names no model", hint="Add `model: azureml:name@latest`.")
    if not path.exists():
        raise UsageError(f"There is no model at {path}")
    name = (document.model.name if isinstance(document.model, Model) else None) or path.name
    digest = digest_tree(hash_folder(path)) if path.is_dir() else digest_file(path)
    return ModelVersion(name, "1", "custom_model", path, digest, "")


def show_deployment(app: App, endpoint: str, name: str) -> dict[str, Any]:
    """One deployment of an endpoint."""
    found = app.target.desired(endpoint).get("deployments", {}).get(name)
    if found is None:
        known = app.target.desired(endpoint).get("deployments", {})
        raise NotFoundError(f"`{endpoint}` has no deployment `{name}`", hint=did_you_mean(name, known))
    state = app.target.observe(endpoint).get("deployments", {}).get(name, {})
    return {
        "name": name, "endpoint_name": endpoint, "model": f"azureml:{found['model']}:{found['version']}", "provisioning_state": "Succeeded",
        "state": state.get("state", "Stopped"), "traffic": state.get("traffic", 0), "restarts": state.get("restarts", 0), "instance_count": found.get("instance_count", 1),
    }  # fmt: skip


def list_deployments(app: App, endpoint: str) -> list[dict[str, Any]]:
    """Every deployment of an endpoint."""
    show_endpoint(app, endpoint)
    return [show_deployment(app, endpoint, n) for n in app.target.desired(endpoint).get("deployments", {})]


def delete_deployment(app: App, endpoint: str, name: str) -> None:
    """Drain and stop one deployment; `UsageError` while it has traffic."""
    show_deployment(app, endpoint, name)
    desired = app.target.desired(endpoint)
    if desired.get("traffic", {}).get(name):
        raise UsageError(
            f"`{name}` gets {desired['traffic'][name]} % of the traffic",
            hint="Give it to another deployment first: online-endpoint update --traffic …",
        )
    without = {
        key: {n: value for n, value in desired.get(key, {}).items() if n != name}
        for key in ("deployments", "traffic", "mirror_traffic")
    }
    app.target.put(endpoint, {**desired, **without})


def invoke(app: App, name: str, body: bytes, deployment: str | None) -> str:
    """Send a request to `/score` and return the answer; `FailedError` for any but 200."""
    shown = show_endpoint(app, name)
    if not shown["scoring_uri"]:
        raise FailedError(
            f"The endpoint `{name}` has no deployment", hint="tidemill up, or online-deployment create -f FILE"
        )
    if deployment:
        show_deployment(app, name, deployment)
    headers = {"content-type": "application/json", **({PIN: deployment} if deployment else {})}
    tokens = app.target.desired(name).get("tokens")
    if tokens:
        headers["authorization"] = f"Bearer {Path(tokens).read_text(encoding='utf-8').split()[0]}"
    try:
        with urlopen(Request(shown["scoring_uri"], data=body, headers=headers), timeout=CALL_S) as answer:  # noqa: S310 - our own loopback address
            text: str = answer.read().decode()
            return text
    except HTTPError as exc:
        raise FailedError(f"HTTP {exc.code}: {exc.read().decode(errors='replace')[:2000]}") from exc
    except (URLError, OSError) as exc:
        raise BackendError(f"The endpoint `{name}` does not answer: {exc}", hint="tidemill status") from exc


def credentials(app: App, name: str, *, renew: bool = False) -> dict[str, str]:
    """The endpoint's two keys; with `renew`, the first becomes the second and a new one comes first."""
    show_endpoint(app, name)
    path = endpoint_tokens(app, name, "key")
    if path is None:
        raise UsageError(f"`{name}` asks for no key")
    first, second = path.read_text(encoding="utf-8").split()[:2]
    if renew:
        first, second = secrets.token_urlsafe(32), first
        write_atomic(path, f"{first}\n{second}\n", mode=0o600)
    return {"primaryKey": first, "secondaryKey": second}
