"""Deployments behind online endpoints in az's words, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.app.conversions import prepare_conversion
from tidemill.app.deploy import endpoint_tokens, make_wish, serving_environment
from tidemill.app.endpoints import (
    ALL,
    DEPLOYMENT,
    ENDPOINT,
    START_S,
    Desired,
    change,
    check_name,
    no_deployment,
    require_endpoint,
    show_endpoint,
)
from tidemill.app.recording import capture_arguments
from tidemill.app.wiring import App
from tidemill.base.errors import UsageError
from tidemill.base.hashing import digest_file, digest_tree, hash_folder
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelVersion
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load_valid
from tidemill.spec.model import Model
from tidemill.spec.overrides import Override, parse_override
from tidemill.spec.project import Stage
from tidemill.spec.references import AssetRef, FileRef, parse_reference

Say = Callable[[str], None]
SAID = (
    "description",
    "tags",
    "properties",
    "type",
    "instance_type",
    "environment",
    "code_configuration",
    "request_settings",
    "scale_settings",
    "liveness_probe",
    "readiness_probe",
    "data_collector",
    "app_insights_enabled",
)


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """A deployment's document, and what is said besides."""

    file: Path
    overrides: tuple[Override, ...] = ()
    name: str | None = None
    endpoint: str | None = None
    all_traffic: bool = False


def create_deployment(app: App, request: DeploymentRequest, say: Say) -> dict[str, Any]:
    """Start a deployment beside those that are there; it gets traffic when asked to, or when it is the first."""
    loaded = load_valid(request.file, overrides=request.overrides, expect=(Kind.ONLINE_DEPLOYMENT,))
    document: OnlineDeployment = loaded.document
    chosen, where = request.name or document.name or "default", request.endpoint or document.endpoint_name
    if not where:
        raise UsageError(f"{request.file} names no endpoint", hint="Add `endpoint_name:`, or give --endpoint-name.")
    check_name(chosen, "a deployment")
    require_endpoint(app, where)
    if document.instance_count is not None and document.instance_count < 1:
        raise UsageError("The deployment asks for no instance", hint="Set `instance_count` to 1 or more.")
    source = request.file.absolute()
    wish = _wish(app, document, source.parent, where, say)
    before = change(app, where, lambda found: _with(found, "deployments", chosen, wish))
    try:
        app.target.wait_healthy(where, chosen, timeout_s=START_S)
    except BaseException:  # an interruption, too: what was begun is taken back
        change(app, where, lambda found: _as_before(found, before, chosen))
        raise
    if request.all_traffic or not before.get("deployments"):
        change(app, where, lambda found: {**found, "traffic": {chosen: ALL}})
    said = {k: loaded.data[k] for k in SAID if k in loaded.data}
    kept = {"source": str(source), "overrides": [o.text for o in request.overrides], "endpoint_name": where, **said}
    app.store.put(DEPLOYMENT, f"{where}/{chosen}", kept)
    return show_deployment(app, where, chosen)


def update_deployment(app: App, request: DeploymentRequest, say: Say) -> dict[str, Any]:
    """As `create_deployment`, of one that is there: it serves until the new one is ready."""
    document = load_valid(request.file, overrides=request.overrides, expect=(Kind.ONLINE_DEPLOYMENT,)).document
    chosen, where = request.name or document.name or "default", request.endpoint or document.endpoint_name
    if where:
        show_deployment(app, where, chosen)
    return create_deployment(app, request, say)


def _wish(app: App, document: OnlineDeployment, folder: Path, endpoint: str, say: Say) -> dict[str, Any]:
    """How the deployment's server is started."""
    _refuse_own_server(document)
    declared = app.store.get(ENDPOINT, endpoint) or {}
    tokens = endpoint_tokens(app, endpoint, declared.get("auth_mode", "key"))
    version = _model_of(app, document, folder)
    environment = serving_environment(app, document, folder)
    if environment is None and isinstance(document.environment, str):
        say(
            f"warning: the environment `{document.environment}` is not registered here; the deployment runs in this Python"
        )
    environment = environment or HOST_ENVIRONMENT
    wish = make_wish(app, folder, version, environment, document, tokens)
    wish["argv"] += capture_arguments(app.home / "captured" / version.name, document, _local_stage(app))
    prepare_conversion(app, version, wish["argv"], wish["env"])
    return wish


def _refuse_own_server(document: OnlineDeployment) -> None:
    """A container that brings its own server cannot be a process here; a model that is not in it can be served by ours."""
    asked = document.environment
    mlflow = isinstance(document.model, Model) and document.model.type == "mlflow_model"
    if not isinstance(asked, Environment) or asked.inference_config is None or document.code_configuration or mlflow:
        return
    raise UsageError(
        f"The deployment is served by its own image (`inference_config`), `{asked.image or 'a Dockerfile'}`; here there are no containers",
        hint="Without `inference_config` Tidemill's server answers: add `code_configuration`, or `type: mlflow_model` to the model.",
    )


def _with(desired: Desired, part: str, name: str, value: Any) -> Desired:  # noqa: ANN401
    return {**desired, part: {**desired.get(part, {}), name: value}}


def _as_before(desired: Desired, before: Mapping[str, Any], name: str) -> Desired:
    """The one deployment as it was; what others changed meanwhile stays."""
    was = before.get("deployments", {}).get(name)
    return _without(desired, name) if was is None else _with(desired, "deployments", name, was)


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
    version = (document.model.version if isinstance(document.model, Model) else None) or "1"
    return ModelVersion(name, version, "custom_model", path, digest, "")


def show_deployment(app: App, endpoint: str, name: str) -> dict[str, Any]:
    """One deployment of an endpoint."""
    require_endpoint(app, endpoint)
    found = app.target.desired(endpoint).get("deployments", {}).get(name)
    if found is None:
        raise no_deployment(app, endpoint, name)
    state = app.target.observe(endpoint).get("deployments", {}).get(name, {})
    kept = app.store.get(DEPLOYMENT, f"{endpoint}/{name}") or {}
    return {
        "name": name, "endpoint_name": endpoint, "model": f"azureml:{found['model']}:{found['version']}", "provisioning_state": "Succeeded",
        "state": state.get("state", "Stopped"), "traffic": state.get("traffic", 0), "restarts": state.get("restarts", 0), "instance_count": found.get("instance_count", 1),
        **{k: kept[k] for k in SAID if k in kept},
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
    change(app, endpoint, lambda found: _without(found, name))
    app.store.delete(DEPLOYMENT, f"{endpoint}/{name}")


def _without(desired: Desired, name: str) -> Desired:
    parts = ("deployments", "traffic", "mirror_traffic")
    return {**desired, **{key: {n: v for n, v in desired.get(key, {}).items() if n != name} for key in parts}}
