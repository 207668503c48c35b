"""A version onto a managed online endpoint of Azure Machine Learning: the proven image, tried by name, then given the traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, sample_of
from tidemill.app.images import build_image
from tidemill.app.project import Project
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.release.remote import AzureDeployment
from tidemill.release.traffic import traffic_steps
from tidemill.spec.project import Stage

Say = Callable[[str], None]
DIGEST = "tidemill-model-digest"
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
        return Deployed(endpoint, stage_name, target.url(endpoint), name, version.name, version.version, changed=False)
    say("building the image")
    image = build_image(app, candidate, stage, say)
    key, keys = signing_key(project.folder, stage), trusted_keys(project, stage_name, stage)
    if key is not None:
        sign_image(app, image.reference, key)
    if keys:
        say(f"the image is signed by {verify_image(app, image.reference, keys)}")
    wish = _wish(endpoint, name, image.reference, version.name, version.digest, stage)
    say(f"creating {name} of endpoint {endpoint}")
    evidence = _release(target, wish, traffic, stage, sample_of(project, candidate), say)
    for old in there:
        if old != name:
            target.delete(endpoint, old, timeout_s=stage.start_timeout_s)
    url = target.url(endpoint)
    return Deployed(
        endpoint, stage_name, url, name, version.name, version.version, changed=True, evidence=evidence, image=image.reference
    )  # fmt: skip


def put_back_azureml(app: App, stage_name: str, stage: Stage, previous: Mapping[str, Any]) -> None:
    """The previous image again, and all traffic onto it."""
    target = _open(app, stage_name, stage)
    endpoint, name = previous["endpoint"], previous["deployment"]
    wish = _wish(endpoint, name, previous["image"], previous["model"], previous["digest"], stage)
    others = [d for d in target.deployments(endpoint) if d != name]
    target.deploy(wish, timeout_s=stage.start_timeout_s)
    target.set_traffic(endpoint, {name: 100}, timeout_s=stage.start_timeout_s)
    for other in others:
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


def _wish(endpoint: str, name: str, image: str, model: str, digest: str, stage: Stage) -> AzureDeployment:
    return AzureDeployment(
        endpoint=endpoint, name=name, image=image, model=model, instance_type=stage.instance_type, instances=stage.replicas,
        environment=dict(stage.environment_variables or {}), tags={DIGEST: digest},
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
    before = {n: t for n, t in traffic.items() if n != name and t > 0}
    try:
        target.deploy(wish, timeout_s=max(stage.start_timeout_s, 600))
        evidence = _ask(target, endpoint, name, sample)
        say(f"smoke test passed: {evidence}")
        for shares in traffic_steps(stage.strategy, before, name, stage.steps or ()):
            target.set_traffic(endpoint, shares, timeout_s=stage.start_timeout_s)
            say(f"{name} takes {shares[name]} % of the traffic")
            _ask(target, endpoint, "", sample)
    except (FailedError, BackendError):
        if before:
            target.set_traffic(endpoint, before, timeout_s=stage.start_timeout_s)
            target.delete(endpoint, name, timeout_s=stage.start_timeout_s)
        raise
    return evidence


def _ask(target: Any, endpoint: str, name: str, sample: bytes | None) -> str:  # noqa: ANN401
    if sample is None:
        return "up; there is no sample request to ask"
    status, answer = target.score(endpoint, name, sample)
    text = answer[:300].decode(errors="replace")
    if status != HTTPStatus.OK:
        raise FailedError(
            f"The smoke test failed: HTTP {status}: {text}", hint="The previous version is still serving."
        )
    return f"answered {text[:120]}"
