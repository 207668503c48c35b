"""A version onto a managed online endpoint of Azure Machine Learning: the proven image, tried by name, then given the traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, sample_of
from tidemill.app.images import build_image
from tidemill.app.project import Project
from tidemill.app.releases import held_back
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_azureml import ask, shift_on_azure
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.base.failpoint import failpoint
from tidemill.release.remote import AzureDeployment
from tidemill.release.traffic import share_out
from tidemill.spec.project import Stage

Say = Callable[[str], None]
DIGEST = "tidemill-model-digest"
VERSION = "tidemill-model-version"
IMAGE = "tidemill-image"
LONGEST = 32


def deploy_azureml(
    app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say
) -> Deployed:
    """Beside what serves, smoke tested by name, then the traffic in the stage's steps; what fails is taken away again."""
    target = _open(app, stage_name, stage)
    base, document, _ = load_documents(project)
    endpoint = endpoint_name(base, stage_name, {stage_name: stage})
    version = candidate.version
    name = f"{document.name if document and document.name else 'blue'}-{version.version}"[:LONGEST]
    traffic, there = target.traffic(endpoint), target.deployments(endpoint)
    if there.get(name, {}).get(DIGEST) == version.digest and traffic.get(name) == 100:  # noqa: PLR2004 - per cent
        _keep_only(target, endpoint, name, stage)  # what an `up` that was killed left standing costs money
        url, image = target.url(endpoint), there[name].get(IMAGE, "")
        return Deployed(endpoint, stage_name, url, name, version.name, version.version, changed=False, image=image)
    say("building the image")
    built = build_image(app, project, candidate, stage, say)
    key, keys = signing_key(project.folder, stage), trusted_keys(project, stage_name, stage)
    if key is not None:
        sign_image(app, built.reference, key)
    if keys:
        say(f"the image is signed by {verify_image(app, built.reference, keys)}")
    wish = _wish(endpoint, name, built.reference, version.name, (version.version, version.digest), stage)
    say(f"creating {name} of endpoint {endpoint}")
    try:
        evidence = _release(target, wish, traffic, stage, sample_of(project, candidate), say)
    except BakeFailedError as exc:
        raise held_back(app, stage_name, {"digest": version.digest, "version": version.version}, exc) from exc
    failpoint("traffic-switched")
    _keep_only(target, endpoint, name, stage)
    url = target.url(endpoint)
    return Deployed(
        endpoint, stage_name, url, name, version.name, version.version, changed=True, evidence=evidence, image=built.reference
    )  # fmt: skip


def put_back_azureml(app: App, stage_name: str, stage: Stage, previous: Mapping[str, Any]) -> None:
    """The previous image again, and all traffic onto it."""
    target = _open(app, stage_name, stage)
    endpoint, name = previous["endpoint"], previous["deployment"]
    told = (str(previous["version"]), str(previous["digest"]))
    wish = _wish(endpoint, name, previous["image"], previous["model"], told, stage)
    target.deploy(wish, timeout_s=stage.start_timeout_s)
    target.set_traffic(endpoint, {name: 100}, timeout_s=stage.start_timeout_s)
    _keep_only(target, endpoint, name, stage)


def serving_on_azure(app: App, stage_name: str, stage: Stage, endpoint: str) -> tuple[str, str, str]:
    """Name, model digest and version of the deployment with most of the traffic; empty when there is none."""
    target = _open(app, stage_name, stage)
    traffic, there = target.traffic(endpoint), target.deployments(endpoint)
    name = max((n for n in traffic if n in there and traffic[n] > 0), key=lambda n: traffic[n], default="")
    tags = there.get(name, {})
    return name, tags.get(DIGEST, ""), tags.get(VERSION) or name.rpartition("-")[2]


def _keep_only(target: Any, endpoint: str, name: str, stage: Stage) -> None:  # noqa: ANN401
    for other in target.deployments(endpoint):
        if other != name:
            target.delete(endpoint, other, timeout_s=stage.start_timeout_s)


def _open(app: App, stage_name: str, stage: Stage) -> Any:  # noqa: ANN401 - its own small interface
    needed = {"registry": stage.registry, "subscription": stage.subscription, "resource_group": stage.resource_group}
    needed["workspace"] = stage.workspace
    missing = [k for k, v in needed.items() if not v]
    if missing:
        raise UsageError(
            f"Stage {stage_name} (azureml) needs: {', '.join(missing)}",
            hint="`registry` is one the workspace may pull from, e.g. NAME.azurecr.io.",
        )
    return app.azure(stage.subscription or "", stage.resource_group or "", stage.workspace or "")


def _wish(endpoint: str, name: str, image: str, model: str, told: tuple[str, str], stage: Stage) -> AzureDeployment:
    """`told` are the model's version and digest."""
    return AzureDeployment(
        endpoint=endpoint, name=name, image=image, model=model, instance_type=stage.instance_type, instances=stage.replicas,
        environment=dict(stage.environment_variables or {}), tags={VERSION: told[0], DIGEST: told[1], IMAGE: image},
    )  # fmt: skip


def _release(
    target: Any,  # noqa: ANN401
    wish: AzureDeployment,
    traffic: Mapping[str, int],
    stage: Stage,
    sample: bytes | None,
    say: Say,
) -> str:
    """Up, asked, then given the traffic; undone when anything of it fails."""
    endpoint, name = wish.endpoint, wish.name
    others = {n: t for n, t in traffic.items() if n != name and t > 0}
    before = share_out(others, 100) if others else {}  # an `up` that was killed left some of it with the new one
    try:
        target.deploy(wish, timeout_s=max(stage.start_timeout_s, 600))
        evidence = ask(target, endpoint, name, sample)
        say(f"smoke test passed: {evidence}")
        seen = shift_on_azure(target, wish, before, stage, sample, say)
    except (FailedError, BackendError):
        if before:
            say(f"putting {', '.join(before)} back")
            target.set_traffic(endpoint, before, timeout_s=stage.start_timeout_s)
            target.delete(endpoint, name, timeout_s=stage.start_timeout_s)
        raise
    return "; ".join((evidence, *seen))
