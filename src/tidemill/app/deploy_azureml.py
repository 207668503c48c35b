"""A version onto a managed online endpoint of Azure Machine Learning: the proven image, tried by name, then given the traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tidemill.app.bakes import FAILED, Keep, fail_bake, forget_bake, keep_bake
from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, release_bytes, sample_of
from tidemill.app.images import build_image
from tidemill.app.project import Project
from tidemill.app.serves import describe_server, elsewhere_variables
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_azureml import ask, begun_on_azure, shift_on_azure
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.base.failpoint import failpoint
from tidemill.base.hashing import digest_value
from tidemill.release.remote import IMAGE, SERVER, SETTINGS, AzureDeployment, azure_limits, read_azure, settings_tags
from tidemill.release.remote import MODEL_DIGEST as DIGEST
from tidemill.release.remote import MODEL_VERSION as VERSION
from tidemill.release.traffic import ALL, share_out
from tidemill.spec.deployment import OnlineDeployment
from tidemill.spec.project import Stage

Say = Callable[[str], None]
LONGEST = 32
SLOW_S = 600  # a deployment there takes minutes


def deploy_azureml(
    app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say
) -> Deployed:
    """Beside what serves, smoke tested by name, then the traffic in the stage's steps; what fails is taken away again."""
    target = open_endpoints(app, stage_name, stage)
    wish = _make_wish(app, project, candidate, stage_name, stage)
    traffic, there = target.traffic(wish.endpoint), target.deployments(wish.endpoint)
    serves = next((n for n, share in traffic.items() if share == ALL and n in there), "")
    tags = there.get(serves, {})
    if serves and _agree(tags, wish, DIGEST, SETTINGS):
        _keep_only(target, wish.endpoint, serves, stage)  # what an `up` that was killed left standing costs money
        wish = _with_image(replace(wish, name=serves), tags.get(IMAGE, ""))
        return _deployed(target, wish, stage_name, candidate, changed=False)
    sample = sample_of(project, candidate)
    if serves and _agree(tags, wish, DIGEST, SERVER):
        wish = _with_image(replace(wish, name=serves), tags.get(IMAGE, ""))
        evidence = _change_count(target, wish, stage, sample, say)
    else:
        wish = _beside(_with_image(wish, _build(app, project, candidate, stage_name, stage, say)), there, traffic)
        say(f"creating {wish.name} of endpoint {wish.endpoint}")
        about = release_bytes(project, candidate.version)
        keep = keep_bake(app, stage_name, stage, about)
        try:
            evidence = _release(target, wish, traffic, (stage, sample, keep), say)
        except BakeFailedError as exc:
            raise fail_bake(app, stage_name, about, exc) from exc
        forget_bake(app, stage_name)
    failpoint("traffic-switched")
    _keep_only(target, wish.endpoint, wish.name, stage)
    return _deployed(target, wish, stage_name, candidate, changed=True, evidence=evidence)


def _make_wish(app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage) -> AzureDeployment:
    """What the document and the stage ask for, the stage having the last word; the image is not known yet."""
    base, found, _ = load_documents(project)
    document, version, said = found or OnlineDeployment(), candidate.version, stage.model_fields_set
    wish = AzureDeployment(
        endpoint=endpoint_name(base, stage_name, {stage_name: stage}),
        name=f"{document.name or 'blue'}-{version.version}"[:LONGEST].rstrip("-"),
        image="",
        model=version.name,
        instance_type=stage.instance_type if "instance_type" in said else document.instance_type or stage.instance_type,
        instances=stage.replicas if "replicas" in said else document.instance_count or stage.replicas,
        environment=elsewhere_variables(project, stage),
        tags={VERSION: version.version, DIGEST: version.digest},
        limits=azure_limits(document),
    )
    server = (*describe_server(app, project), stage.base_image or "")
    return replace(wish, tags={**wish.tags, **settings_tags(wish, server)})


def _agree(tags: Mapping[str, str], wish: AzureDeployment, *names: str) -> bool:
    """Whether a deployment's tags are those of the wish."""
    return all(tags.get(n) == wish.tags[n] for n in names)


def _with_image(wish: AzureDeployment, image: str) -> AzureDeployment:
    return replace(wish, image=image, tags={**wish.tags, IMAGE: image})


def _beside(
    wish: AzureDeployment, there: Mapping[str, Mapping[str, str]], traffic: Mapping[str, int]
) -> AzureDeployment:
    """The wish under a name that is free, or its own already: the same version with other settings is proven beside the old, too."""
    tags = there.get(wish.name, {})
    serving = traffic.get(wish.name) == ALL
    if not serving and (not tags or _agree(tags, wish, DIGEST, SERVER, IMAGE)):
        return wish
    suffix = digest_value([wish.tags[SERVER], wish.image])[:6]
    return replace(wish, name=f"{wish.name[: LONGEST - 7].rstrip('-')}-{suffix}")


def _build(app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say) -> str:
    """The proven image by digest, signed and checked as the stage asks."""
    say("building the image")
    built = build_image(app, project, candidate, stage, say)
    key, keys = signing_key(project.folder, stage), trusted_keys(project, stage_name, stage)
    if key is not None:
        sign_image(app, built.reference, key)
    if keys:
        say(f"the image is signed by {verify_image(app, built.reference, keys)}")
    return built.reference


def _change_count(target: Any, wish: AzureDeployment, stage: Stage, sample: bytes | None, say: Say) -> str:  # noqa: ANN401
    """Another number of instances of what serves; nothing else of it changes."""
    say(f"{wish.name} gets {wish.instances} instances")
    target.deploy(wish, timeout_s=max(stage.start_timeout_s, SLOW_S))
    return ask(target, wish.endpoint, wish.name, sample)


def _deployed(
    target: Any,  # noqa: ANN401
    wish: AzureDeployment,
    stage_name: str,
    candidate: Candidate,
    *,
    changed: bool,
    evidence: str = "",
) -> Deployed:
    version = candidate.version
    return Deployed(
        wish.endpoint, stage_name, target.url(wish.endpoint), wish.name, version.name, version.version, changed=changed,
        evidence=evidence, image=wish.image, workload=wish.as_record(),
    )  # fmt: skip


def put_back_azureml(app: App, stage_name: str, stage: Stage, previous: Mapping[str, Any]) -> None:
    """The previous image again, and all traffic onto it."""
    target = open_endpoints(app, stage_name, stage)
    endpoint, name = previous["endpoint"], previous["deployment"]
    wish = _released(previous, stage)
    target.deploy(wish, timeout_s=stage.start_timeout_s)
    target.set_traffic(endpoint, {name: ALL}, timeout_s=stage.start_timeout_s)
    _keep_only(target, endpoint, name, stage)


def serving_on_azure(app: App, stage_name: str, stage: Stage, endpoint: str) -> tuple[str, str, str]:
    """Name, model digest and version of the deployment with most of the traffic; empty when there is none."""
    target = open_endpoints(app, stage_name, stage)
    traffic, there = target.traffic(endpoint), target.deployments(endpoint)
    name = max((n for n in traffic if n in there and traffic[n] > 0), key=lambda n: traffic[n], default="")
    tags = there.get(name, {})
    return name, tags.get(DIGEST, ""), tags.get(VERSION) or name.rpartition("-")[2]


def _keep_only(target: Any, endpoint: str, name: str, stage: Stage) -> None:  # noqa: ANN401
    for other in target.deployments(endpoint):
        if other != name:
            target.delete(endpoint, other, timeout_s=stage.start_timeout_s)


def open_endpoints(app: App, stage_name: str, stage: Stage) -> Any:  # noqa: ANN401 - its own small interface
    """The workspace of a stage; `UsageError` with everything the stage does not say."""
    needed = {"registry": stage.registry, "subscription": stage.subscription, "resource_group": stage.resource_group}
    needed["workspace"] = stage.workspace
    missing = [k for k, v in needed.items() if not v]
    if missing:
        raise UsageError(
            f"Stage {stage_name} (azureml) needs: {', '.join(missing)}",
            hint="`registry` is one the workspace may pull from, e.g. NAME.azurecr.io.",
        )
    return app.azure(stage.subscription or "", stage.resource_group or "", stage.workspace or "")


def _released(release: Mapping[str, Any], stage: Stage) -> AzureDeployment:
    """A release as it was, settings and all."""
    if release.get("workload"):
        return read_azure(release["workload"])
    return AzureDeployment(  # released before releases kept their settings
        endpoint=release["endpoint"], name=release["deployment"], image=release["image"], model=release["model"],
        instance_type=stage.instance_type, instances=stage.replicas, environment=dict(stage.environment_variables or {}),
        tags={VERSION: str(release["version"]), DIGEST: str(release["digest"]), IMAGE: release["image"]},
    )  # fmt: skip


def _release(
    target: Any,  # noqa: ANN401
    wish: AzureDeployment,
    traffic: Mapping[str, int],
    asked: tuple[Stage, bytes | None, Keep],
    say: Say,
) -> str:
    """Up, asked, then given the traffic; undone when anything of it fails."""
    stage, sample, keep = asked
    endpoint, name = wish.endpoint, wish.name
    others = {n: t for n, t in traffic.items() if n != name and t > 0}
    before = share_out(others, ALL) if others else {}  # an `up` that was killed left some of it with the new one
    try:
        target.deploy(wish, timeout_s=max(stage.start_timeout_s, SLOW_S))
        evidence = ask(target, endpoint, name, sample)
        say(f"smoke test passed: {evidence}")
        seen = shift_on_azure(target, wish, before, asked, say)
    except (FailedError, BackendError) as exc:
        if before:
            if isinstance(exc, BakeFailedError):
                keep({**begun_on_azure(wish, before), FAILED: exc.message})
                failpoint("bake-failed")
            say(f"putting {', '.join(before)} back")
            target.set_traffic(endpoint, before, timeout_s=stage.start_timeout_s)
            target.delete(endpoint, name, timeout_s=stage.start_timeout_s)
        raise
    return "; ".join((evidence, *seen))
