"""A version onto this machine: beside the old one, proven, switched to, or taken away again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidemill.app.candidate import Candidate
from tidemill.app.conversions import conversions, prepare_conversion
from tidemill.app.project import Project
from tidemill.app.recording import capture_arguments
from tidemill.app.releases import held_back
from tidemill.app.server_python import serving_python
from tidemill.app.serving import keep_code, limit_arguments, probes, scoring_code
from tidemill.app.shift import BakeFailedError, shift_traffic
from tidemill.app.wiring import App
from tidemill.base.errors import BackendError, FailedError
from tidemill.base.failpoint import failpoint
from tidemill.base.files import locked, write_atomic
from tidemill.base.hashing import digest_tree, digest_value
from tidemill.plan.graph import EnvironmentRef
from tidemill.plan.resolve import environment_of
from tidemill.record.ports import ModelVersion
from tidemill.release.history import CODE
from tidemill.release.traffic import share_out
from tidemill.run.snapshot import take_snapshot
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.project import Stage
from tidemill.spec.references import AssetRef, FileRef, parse_reference

Say = Callable[[str], None]
SMOKE_S = 30.0
OK = 200
PIN = "azureml-model-deployment"
STICKY = "sticky_header"


@dataclass(frozen=True, slots=True)
class Deployed:
    """An endpoint after `up`; `changed` is False when it was so before."""

    endpoint: str
    stage: str
    url: str
    deployment: str
    model: str
    version: str
    changed: bool
    evidence: str = ""
    image: str = ""
    model_image: str = ""
    arguments: tuple[str, ...] = ()
    workload: Mapping[str, Any] = field(default_factory=dict)


def load_documents(project: Project) -> tuple[str, OnlineDeployment | None, str]:
    """Endpoint name, deployment document and auth mode; without documents, the project's name and a key."""
    endpoint_file, deployment_file = project.file("endpoint"), project.file("deployment")
    endpoint = load_valid(endpoint_file, expect=(Kind.ONLINE_ENDPOINT,)).document if endpoint_file else None
    deployment = load_valid(deployment_file, expect=(Kind.ONLINE_DEPLOYMENT,)).document if deployment_file else None
    name = (
        (endpoint.name if endpoint else None)
        or (deployment.endpoint_name if deployment else None)
        or project.document.name
    )
    return name, deployment, endpoint.auth_mode if endpoint else "key"


def asks_for_key(stage: Stage, auth_mode: str) -> bool:
    """Whether requests need a key: as the stage says, else as the endpoint's document does, which asks for one unless told."""
    return (stage.auth or auth_mode) != "none"


def endpoint_name(name: str, stage: str, stages: Mapping[str, Stage]) -> str:
    """The document's name; with a stage behind it where several stages share one target."""
    first = next(iter(stages), stage)
    return name if stage == first else f"{name}-{stage}"


def deploy_local(app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say) -> Deployed:
    """Start the version next to what serves, prove it through the real route, then switch and drain.

    Whatever fails leaves the previous version serving and raises `FailedError` with the evidence.
    """
    base, document, auth_mode = load_documents(project)
    endpoint = endpoint_name(base, stage_name, project.document.stages)
    with locked(app.home / "endpoints" / f"{endpoint}.lock"):
        before = app.target.desired(endpoint)
        sticky = _sticky(project)
        if before and before.get(STICKY, "") != sticky:
            before = {**before, STICKY: sticky}
            app.target.put(endpoint, before)
        tokens = endpoint_tokens(app, endpoint, "key" if asks_for_key(stage, auth_mode) else "none")
        wish = _stage_wish(app, project, candidate, stage, document, tokens)
        colour = document.name if document and document.name else "blue"
        name = _deployment_name(before.get("deployments", {}), f"{colour}-{candidate.version.version}", wish)
        if _serves_as(before, name, wish, stage):
            return _unchanged(app, endpoint, stage_name, name, candidate, before)
        sample = sample_of(project, candidate)
        prepare_conversion(app, candidate.version, wish["argv"], wish["env"])
        say(f"starting {name} of endpoint {endpoint}")
        serving = dict(before.get("deployments", {}))
        together = _desired(app, endpoint, stage, before, {**serving, name: wish}, before.get("traffic", {}))
        together |= {STICKY: sticky} if sticky else {}
        app.target.put(endpoint, together)
        failpoint("version-started")
        try:
            app.target.wait_healthy(endpoint, name, timeout_s=stage.start_timeout_s)
            evidence = smoke(app.target.observe(endpoint)["url"], name, sample, tokens)
        except (FailedError, BackendError) as exc:
            _undo(app, endpoint, before, name, wish)
            raise FailedError(
                exc.message, hint="The previous version is still serving." if serving else "Nothing is serving."
            ) from exc
        say(f"smoke test passed: {evidence}")
        try:
            shift_traffic(app.target, endpoint, together, name, stage, say)
        except BakeFailedError as exc:
            _undo(app, endpoint, before, name, wish)
            raise held_back(app, stage_name, release_bytes(project, candidate.version), exc) from exc
        failpoint("traffic-switched")
        app.target.wait_healthy(endpoint, name, timeout_s=stage.start_timeout_s)
        url = public_url(app.target.observe(endpoint)["url"], tokens)
        model, version = candidate.version.name, candidate.version.version
        return Deployed(endpoint, stage_name, url, name, model, version, changed=True, evidence=evidence)


def _stage_wish(
    app: App,
    project: Project,
    candidate: Candidate,
    stage: Stage,
    document: OnlineDeployment | None,
    tokens: Path | None,
) -> dict[str, Any]:
    """What the version's deployment is to be, with what the stage adds to its document."""
    folder = document_folder(project)
    python = serving_environment(app, document, folder) or candidate.environment
    wish = make_wish(app, folder, candidate.version, python, document, tokens)
    wish["argv"] += capture_arguments(app.home / "captured" / candidate.version.name, document, stage)
    wish["env"] |= dict(stage.environment_variables or {})
    return wish


def _deployment_name(there: Mapping[str, Any], name: str, wish: Mapping[str, Any]) -> str:
    """The name it runs under already, else a free one: the same version with other settings is proven beside the old, too."""
    running = next((n for n, d in there.items() if d == wish), None)
    return running or (name if name not in there else f"{name}-{digest_value(wish)[:6]}")


def _serves_as(before: Mapping[str, Any], name: str, wish: Mapping[str, Any], stage: Stage) -> bool:
    """Whether the version alone serves, started so, at the address the stage asks for."""
    asked = {"host": stage.host or "127.0.0.1", "port": stage.port or None}
    there = all(before.get(key) == value for key, value in asked.items() if value)
    return there and before.get("deployments") == {name: wish} and before.get("traffic") == {name: 100}


def _unchanged(
    app: App, endpoint: str, stage: str, name: str, candidate: Candidate, before: Mapping[str, Any]
) -> Deployed:
    """Nothing to change; a daemon that was killed is started again."""
    running = app.target.observe(endpoint)["state"] not in {"Stopped", "Failed"}
    if not running:
        app.target.put(endpoint, before)
    app.target.wait_healthy(endpoint, name, timeout_s=60)
    tokens = Path(before["tokens"]) if before.get("tokens") else None
    url = public_url(app.target.observe(endpoint)["url"], tokens)
    return Deployed(endpoint, stage, url, name, candidate.version.name, candidate.version.version, changed=not running)


def _desired(
    app: App,
    endpoint: str,
    stage: Stage,
    before: Mapping[str, Any],
    deployments: Mapping[str, Any],
    traffic: Mapping[str, int],
) -> dict[str, Any]:
    """What the daemon is asked for; a port once taken is kept, so that the address stays the same."""
    port = stage.port if stage.port is not None else before.get("port", 0)
    if not port:
        url = app.target.observe(endpoint).get("url", "")
        port = int(url.rpartition(":")[2]) if url else 0
    tokens = next((d["tokens"] for d in deployments.values() if d.get("tokens")), "")
    return {
        "host": stage.host or "127.0.0.1",
        "port": port,
        "deployments": dict(deployments),
        "traffic": dict(traffic),
        "mirror_traffic": {},
        "tokens": tokens,
    }


def _undo(app: App, endpoint: str, before: Mapping[str, Any], name: str, wish: Mapping[str, Any]) -> None:
    """As it was, without the version itself where an `up` that was killed had left it half way."""
    there = before.get("deployments", {})
    kept = {n: d for n, d in there.items() if n != name}
    if there.get(name) == wish and (kept or before.get("traffic") != {name: 100}):
        others = {n: t for n, t in before.get("traffic", {}).items() if n in kept and t > 0}
        others = others or dict.fromkeys(list(kept)[:1], 100)  # it had all the traffic, and was not proven under it
        before = {**before, "deployments": kept, "traffic": share_out(others, 100)} if others else {}
    if before:
        app.target.put(endpoint, before)
    else:
        app.target.delete(endpoint)


def make_wish(
    app: App,
    folder: Path,
    version: ModelVersion,
    environment: EnvironmentRef,
    document: OnlineDeployment | None,
    tokens: Path | None,
) -> dict[str, Any]:
    """How the version's server is started: in the environment it was trained in, unless the deployment names another."""
    python, env = serving_python(app, environment)
    argv = [
        str(python),
        "-m",
        "tidemill.serve",
        "--model",
        str(version.path),
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    argv += ["--name", version.name, "--version", version.version, "--allow-pickle", "--model-digest", version.digest]
    argv += ["--end-when-hung"]
    if document is None or document.code_configuration is None:
        argv += ["--converted", str(conversions(app))]
    if tokens is not None:
        argv += ["--token-file", str(tokens)]
    about: dict[str, Any] = {}
    if document is not None:
        code = scoring_code(folder, document)
        if code is not None:
            kept = keep_code(code, app.home / "code")
            argv += ["--code", str(kept.folder), "--script", kept.script]
        argv += limit_arguments(document, instances=max(1, document.instance_count or 1))
        about = probes(document) | {"instance_count": max(1, document.instance_count or 1)}
        env |= dict(document.environment_variables or {})
    about |= {
        "model": version.name,
        "version": version.version,
        "model_digest": version.digest,
        "tokens": str(tokens or ""),
    }
    return {"argv": argv, "env": env, "cwd": str(folder), **about}


def _sticky(project: Project) -> str:
    file = project.file("endpoint")
    return sticky_header(load_valid(file, expect=(Kind.ONLINE_ENDPOINT,)).document.properties) if file else ""


def sticky_header(properties: Mapping[str, Any] | None) -> str:
    """The request header whose value decides which deployment answers, of an endpoint's properties."""
    return str((properties or {}).get(STICKY) or "")


def document_folder(project: Project) -> Path:
    """What paths in the deployment's document are relative to."""
    file = project.file("deployment")
    return file.parent if file is not None else project.folder


def scoring_digest(project: Project) -> str:
    """What the scoring code of the deployment's document is: its bytes and where it begins; empty without one."""
    code = scoring_code(document_folder(project), load_documents(project)[1] or OnlineDeployment())
    return digest_value([code.script, digest_tree(take_snapshot(code.folder).entries)]) if code is not None else ""


def release_bytes(project: Project, version: ModelVersion) -> dict[str, str]:
    """What tells a release from others, as its records and holds say it: the model and the scoring code."""
    code = scoring_digest(project)
    return {"digest": version.digest, "version": version.version, **({CODE: code} if code else {})}


def serving_environment(app: App, document: OnlineDeployment | None, folder: Path) -> EnvironmentRef | None:
    """The environment a deployment's document names or describes; None where it lists no packages that could be installed here."""
    asked = document.environment if document is not None else None
    if isinstance(asked, Environment):
        found, where = asked, folder
    else:
        ref = parse_reference(asked) if asked else None
        if isinstance(ref, AssetRef):
            return app.assets.find_environment(ref.name, ref.version, ref.label)
        if not isinstance(ref, FileRef):
            return None
        path = ref.resolve(folder)
        found, where = load_valid(path, expect=(Kind.ENVIRONMENT,)).document, path.parent
    described = environment_of(found, where, found.name or "inline")
    return described if described.kind != "host" else None


def endpoint_tokens(app: App, endpoint: str, auth: str) -> Path | None:
    """The endpoint's keys, made once; None where the stage says `auth: none`."""
    if auth == "none":
        return None
    path = app.home / "endpoints" / endpoint / "tokens"
    if not path.exists():
        write_atomic(path, f"{secrets.token_urlsafe(32)}\n{secrets.token_urlsafe(32)}\n", mode=0o600)
    return path


def public_url(url: str, tokens: Path | None) -> str:
    """The address as people open it."""
    return f"{url}/?token={tokens.read_text(encoding='utf-8').split()[0]}" if tokens is not None else url


def sample_of(project: Project, candidate: Candidate) -> bytes | None:
    """The request a smoke test sends to the version."""
    return smoke_request(project, candidate.version.path)


def smoke_request(project: Project, model: Path) -> bytes | None:
    """The project's file, else the first golden row of the model in that folder."""
    named = project.file("sample_request")
    if named is not None:
        return named.read_bytes()
    for golden in model.rglob("golden.json"):
        inputs = json.loads(golden.read_text(encoding="utf-8")).get("inputs") or []
        if inputs:
            return json.dumps(inputs[0]).encode()
    return None


def smoke(url: str, deployment: str, sample: bytes | None, tokens: Path | None) -> str:
    """One real request through the router to the new version; `FailedError` with the answer when it is not good."""
    headers = {"content-type": "application/json", PIN: deployment}
    if tokens is not None:
        headers["authorization"] = f"Bearer {tokens.read_text(encoding='utf-8').split()[0]}"
    path, body = ("/score", sample) if sample is not None else ("/readyz", None)
    request = Request(f"{url}{path}", data=body, headers=headers)  # noqa: S310 - our own loopback address
    try:
        with urlopen(request, timeout=SMOKE_S) as answer:  # noqa: S310
            text = answer.read(2000).decode(errors="replace")
            return f"{path} answered {text[:120]}"
    except HTTPError as exc:
        raise FailedError(
            f"The smoke test failed: {path} answered HTTP {exc.code}: {exc.read(1000).decode(errors='replace')}"
        ) from exc
    except (URLError, TimeoutError, OSError) as exc:
        raise FailedError(f"The smoke test failed: {path} did not answer: {exc}") from exc
