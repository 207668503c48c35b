"""Online endpoints in az's words, on this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidemill.app.deploy import PIN, endpoint_tokens, sticky_header
from tidemill.app.down import note_down
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import BackendError, FailedError, NotFoundError, UsageError
from tidemill.base.files import locked, write_atomic
from tidemill.base.suggest import did_you_mean
from tidemill.release.keypair import renewed
from tidemill.spec.edits import Edits, apply_edits
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.overrides import Override

START_S = 120.0
CALL_S = 60.0
ALL = 100
SERVER_ERROR = 500
ENDPOINT, DEPLOYMENT = "online-endpoint", "online-deployment"
EDITABLE = ("description", "tags", "properties", "traffic", "mirror_traffic")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
Desired = dict[str, Any]


def check_name(name: str, what: str) -> str:
    """A name as Azure takes it, which is also that of a folder and a log here; else a `UsageError`."""
    if NAME.fullmatch(name) is None:
        raise UsageError(
            f"`{name}` is no name for {what}",
            hint="3 to 32 letters, digits and hyphens, a letter first and no hyphen last.",
        )
    return name


def create_endpoint(
    app: App,
    file: Path | None,
    name: str | None,
    overrides: Sequence[Override],
    *,
    auth_mode: str | None = None,
    known: bool = False,
) -> dict[str, Any]:
    """An endpoint that listens; requests are answered from its first deployment on. With `known` it must be there already."""
    document = load_valid(file, overrides=overrides, expect=(Kind.ONLINE_ENDPOINT,)).document if file else None
    chosen = name or (document.name if document else None)
    if not chosen:
        raise UsageError("An endpoint needs a name", hint="Add `name:` to the document, or give --name.")
    check_name(chosen, "an endpoint")
    if known:
        require_endpoint(app, chosen)
    before = app.store.get(ENDPOINT, chosen) or {}
    mode = auth_mode or (document.auth_mode if document else before.get("auth_mode", "key"))
    said = {k: getattr(document, k) for k in ("description", "tags", "properties") if getattr(document, k, None)}
    row = {"name": chosen, "auth_mode": mode, "created_at": iso(SystemClock().now()), **said}
    app.store.put(ENDPOINT, chosen, row)
    about = {
        "tokens": str(endpoint_tokens(app, chosen, mode) or ""),
        "sticky_header": sticky_header(row.get("properties")),
    }
    change(app, chosen, lambda desired: {**desired, **about})
    if document is not None and document.traffic and app.target.desired(chosen).get("deployments"):
        set_traffic(app, chosen, document.traffic, document.mirror_traffic)
    return show_endpoint(app, chosen)


def change(app: App, name: str, edit: Callable[[Desired], Desired]) -> Desired:
    """What is asked of an endpoint, edited by one process at a time; what was asked before. It listens where it did, if it can."""
    empty = {"host": "127.0.0.1", "port": 0, "deployments": {}, "traffic": {}, "mirror_traffic": {}, "tokens": ""}
    with locked(app.home / "endpoints" / name / "change.lock"):
        before: Desired = app.target.desired(name)
        wanted = edit({**empty, **before})
        wanted["port"] = wanted["port"] or _port(app, name)
        try:
            app.target.put(name, wanted)
        except BackendError:
            if app.target.observe(name)["state"] != "Failed" or app.store.get(ENDPOINT, name) is None:
                raise
            app.target.put(name, {**wanted, "port": 0})  # another program has the port, which nobody asked for
        if app.target.desired(name)["port"] != _port(app, name):
            app.target.put(name, {**wanted, "port": _port(app, name)})
    return before


def _port(app: App, endpoint: str) -> int:
    url = app.target.observe(endpoint).get("url", "")
    return int(url.rpartition(":")[2]) if url else 0


def revive(app: App, name: str) -> bool:
    """Whether an endpoint that ended with the machine, or was killed, had to be started again."""
    desired = app.target.desired(name)
    if not desired or app.target.observe(name).get("pid"):
        return False
    change(app, name, lambda found: found)
    return True


def _keep_sticky(app: App, name: str) -> None:
    """Requests of one key go to one deployment: by the header that the endpoint's properties name, at once."""
    header = sticky_header((app.store.get(ENDPOINT, name) or {}).get("properties"))
    if app.target.desired(name).get("sticky_header", "") != header:
        change(app, name, lambda desired: {**desired, "sticky_header": header})


def show_endpoint(app: App, name: str) -> dict[str, Any]:
    """An endpoint with its traffic; `NotFoundError` with a suggestion."""
    require_endpoint(app, name)
    declared, desired = app.store.get(ENDPOINT, name), app.target.desired(name)
    observed = app.target.observe(name)
    url = observed.get("url", "")
    return {
        "name": name,
        "auth_mode": (declared or {}).get("auth_mode", "key" if desired.get("tokens") else "none"),
        "provisioning_state": "Succeeded",
        "state": observed["state"] if desired.get("deployments") else "NoDeployment",
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
    shutil.rmtree(app.home / "endpoints" / name, ignore_errors=True)  # its keys, too: the next of that name has others
    app.store.delete(ENDPOINT, name)
    for key in [k for k in app.store.documents(DEPLOYMENT) if k.partition("/")[0] == name]:
        app.store.delete(DEPLOYMENT, key)
    note_down(app, [name], None, ["local"])


def set_traffic(
    app: App, name: str, traffic: Mapping[str, int] | None, mirror: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Share requests among deployments; nothing is lost meanwhile. Azure's rules: 0 or 100 in sum, a mirror gets at most 50."""
    asked = {"traffic": traffic, "mirror_traffic": mirror}
    given: Desired = {k: dict(v) for k, v in asked.items() if v is not None}

    def edit(desired: Desired) -> Desired:
        there = desired["deployments"]
        for unknown in (n for shares in given.values() for n in shares if n not in there):
            raise UsageError(f"The endpoint `{name}` has no deployment `{unknown}`", hint=did_you_mean(unknown, there))
        return {**desired, **given}

    if traffic is not None and sum(traffic.values()) not in {0, ALL}:
        raise UsageError(f"The traffic adds up to {sum(traffic.values())} %", hint="Let it add up to 100, or to 0.")
    if mirror is not None and any(v > ALL // 2 for v in mirror.values()):
        raise UsageError("A deployment can mirror at most 50 % of the traffic")
    _refuse_broken(app, name, traffic or {})
    change(app, name, edit)
    return show_endpoint(app, name)


def _refuse_broken(app: App, name: str, traffic: Mapping[str, int]) -> None:
    """`FailedError` with its last words for a deployment that is to get more requests and cannot answer any."""
    before, observed = app.target.desired(name).get("traffic", {}), app.target.observe(name)
    for chosen, found in observed.get("deployments", {}).items():
        state = found.get("replaces") or found
        broken = state["state"] == "Unhealthy" or (state["state"] == "Starting" and state.get("last_error"))
        if broken and traffic.get(chosen, 0) > before.get(chosen, 0):
            raise FailedError(
                f"`{chosen}` is not ready, and would lose {traffic[chosen]} % of the requests: {state.get('last_error') or state['state']}",
                hint=f"tidemill online-deployment get-logs -e {name} -n {chosen}",
            )


def parse_traffic(text: str) -> dict[str, int]:
    """`blue=90 green=10`."""
    pairs = [part.partition("=") for part in text.replace(",", " ").split()]
    if not pairs or not all(n and v.isdecimal() for n, _, v in pairs):
        raise UsageError(f"`{text}` is no traffic", hint='Example: --traffic "blue=90 green=10"')
    return {n: int(v) for n, _, v in pairs}


def invoke(app: App, name: str, body: bytes, deployment: str | None) -> str:
    """Send a request to `/score` and return the answer; `FailedError` for any but 200."""
    show_endpoint(app, name)
    there = app.target.desired(name).get("deployments", {})
    if not there:
        raise FailedError(
            f"The endpoint `{name}` has no deployment", hint="tidemill up, or online-deployment create -f FILE"
        )
    if deployment and deployment not in there:
        raise no_deployment(app, name, deployment)
    if revive(app, name) or app.target.observe(name)["state"] == "Starting":
        _await_answers(app, name, deployment)
    headers = {"content-type": "application/json", **({PIN: deployment} if deployment else {})}
    tokens = app.target.desired(name).get("tokens")
    if tokens:
        headers["authorization"] = f"Bearer {Path(tokens).read_text(encoding='utf-8').split()[0]}"
    request = Request(f"{app.target.observe(name)['url']}/score", data=body, headers=headers)  # noqa: S310 - our own loopback address
    try:
        with urlopen(request, timeout=CALL_S) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
    except HTTPError as exc:
        who = exc.headers.get(PIN, "")
        logs = f"tidemill online-deployment get-logs -e {name} -n {who}" if who and exc.code >= SERVER_ERROR else ""
        raise FailedError(f"HTTP {exc.code}: {exc.read().decode(errors='replace')[:2000]}", hint=logs) from exc
    except (URLError, OSError) as exc:
        raise BackendError(f"The endpoint `{name}` does not answer: {exc}", hint="tidemill status") from exc


def require_endpoint(app: App, name: str) -> None:
    """`NotFoundError` for an endpoint that nobody made."""
    if app.store.get(ENDPOINT, name) is None and not app.target.desired(name):
        known = {*app.store.documents(ENDPOINT), *app.target.endpoints()}
        hint = did_you_mean(name, known) or f"Create it: tidemill online-endpoint create -n {name}"
        raise NotFoundError(f"There is no online endpoint `{name}`", hint=hint)


def no_deployment(app: App, endpoint: str, name: str) -> NotFoundError:
    """What to say of a deployment that is not there."""
    known = app.target.desired(endpoint).get("deployments", {})
    return NotFoundError(f"`{endpoint}` has no deployment `{name}`", hint=did_you_mean(name, known))


def _await_answers(app: App, name: str, deployment: str | None) -> None:
    """Until those that would answer are ready, after all of them were started again."""
    shares = {deployment: ALL} if deployment else app.target.desired(name).get("traffic", {})
    for each in (n for n, share in shares.items() if share):
        app.target.wait_healthy(name, each, timeout_s=START_S)


def credentials(app: App, name: str, *, renew: str = "") -> dict[str, str]:
    """The endpoint's two keys; with `renew`, after they were made anew as `release.keypair` says."""
    if show_endpoint(app, name)["auth_mode"] == "none":
        raise UsageError(f"`{name}` asks for no key")
    path = endpoint_tokens(app, name, "key")
    if path is None:
        raise UsageError(f"`{name}` asks for no key")
    first, second = path.read_text(encoding="utf-8").split()[:2]
    if renew:
        first, second = renewed(first, second, renew)
        write_atomic(path, f"{first}\n{second}\n", mode=0o600)
    return {"primaryKey": first, "secondaryKey": second}
