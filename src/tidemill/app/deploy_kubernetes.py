"""A version onto a cluster: package, push by digest, become ready beside the old one, prove it, switch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, cast

from tidemill.app.bakes import fail_bake, forget_bake, keep_bake
from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, release_bytes, sample_of
from tidemill.app.images import Images, build_images
from tidemill.app.project import Project
from tidemill.app.recording import tell_of_records
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.app.workloads import MODEL_DIGEST, describe_version, stage_workload, workload_record
from tidemill.base.clock import SystemClock
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.base.failpoint import failpoint
from tidemill.base.hashing import digest_value
from tidemill.release.labels import POD_ANNOTATION, SETTINGS_ANNOTATION
from tidemill.release.workload import Workload, find_problems
from tidemill.spec.project import Stage

Say = Callable[[str], None]


def deploy_kubernetes(
    app: App, project: Project, candidate: Candidate, stage_name: str, stage: Stage, say: Say
) -> Deployed:
    """Make the version serve in its namespace; what fails is taken away again and the previous version keeps serving."""
    base, document, _ = load_documents(project)
    endpoint = endpoint_name(base, stage_name, {stage_name: stage})
    version = candidate.version
    name = f"{document.name if document and document.name else 'blue'}-{version.version}"
    workload = make_workload(app, project, candidate, (stage_name, stage), endpoint=endpoint, deployment=name)
    target = app.kubernetes(stage.context or "")
    target.check_route(workload, mirror=stage.route.mirror)
    states = {s.deployment: s for s in target.observe(workload.namespace, endpoint)}
    serves = next((s for s in states.values() if s.serving), None)
    if serves is not None and _is_as_wished(target, serves, workload):
        _take_away(target, workload, states, serves.deployment)  # what an `up` that was killed left standing
        workload = replace(workload, deployment=serves.deployment)
        images = Images(serves.image, serves.model_image, serves.arguments)  # for the record, if it was never written
        return _deployed(images.onto(workload), candidate, stage_name, changed=False)
    say("building the image")
    images = build_images(app, project, candidate, stage, say)
    _prove_origin(app, project, stage_name, stage, images, say)
    workload = images.onto(workload)
    if serves is not None and _has_pods_of(serves, workload):
        workload = replace(workload, deployment=serves.deployment)
        evidence = _change_around(target, workload, serves, sample_of(project, candidate), say)
    else:
        workload = _beside(workload, states)
        asked = (stage_name, stage, sample_of(project, candidate), release_bytes(project, version))
        evidence = _bring_in(app, target, workload, serves, asked, say)
    target.prune(workload)
    _take_away(target, workload, states, workload.deployment)
    tell_of_records(target, workload, say, SystemClock())
    return _deployed(workload, candidate, stage_name, changed=True, evidence=evidence)


def _deployed(
    workload: Workload, candidate: Candidate, stage_name: str, *, changed: bool, evidence: str = ""
) -> Deployed:
    version = candidate.version
    return Deployed(
        workload.endpoint,
        stage_name,
        f"http://{workload.endpoint}.{workload.namespace}.svc",
        workload.deployment,
        version.name,
        version.version,
        changed=changed,
        evidence=evidence,
        image=workload.image,
        model_image=workload.model_image,
        arguments=workload.arguments,
        workload=workload_record(workload),
    )


def _is_as_wished(target: Any, serves: Any, workload: Workload) -> bool:  # noqa: ANN401 - its own small interface
    """Whether what serves is this model with these settings, and no traffic is half way between two versions."""
    same = all(serves.annotations.get(k) == workload.annotations[k] for k in (MODEL_DIGEST, SETTINGS_ANNOTATION))
    counted = serves.wanted == workload.replicas or workload.replicas <= serves.wanted <= workload.max_replicas
    return same and counted and serves.state == "Healthy" and target.settled(workload.namespace, workload.endpoint)


def _has_pods_of(state: Any, workload: Workload) -> bool:  # noqa: ANN401
    """Whether a version's pods are those of the workload, so that only what is around them has to change."""
    same = all(state.annotations.get(k) == workload.annotations[k] for k in (MODEL_DIGEST, POD_ANNOTATION))
    return same and state.image == workload.image


def _beside(workload: Workload, states: Mapping[str, Any]) -> Workload:
    """The workload under a name that is free, or its own already: the same version with other settings is proven beside the old, too."""
    there = states.get(workload.deployment)
    if there is None or (_has_pods_of(there, workload) and not there.serving):
        return workload
    suffix = digest_value([workload.annotations[POD_ANNOTATION], workload.image])[:6]
    return replace(workload, deployment=f"{workload.deployment}-{suffix}")


def _change_around(target: Any, workload: Workload, serves: Any, sample: bytes | None, say: Say) -> str:  # noqa: ANN401
    """Other numbers, addresses or a frontend around the pods that serve; a number that cannot be had is taken back."""
    say(f"changing the settings of {workload.deployment}, its pods stay")
    target.apply(workload, serving=workload.deployment)
    try:
        target.wait_ready(workload, timeout_s=workload.start_timeout_s)
    except FailedError:
        if 0 < serves.wanted < workload.replicas:
            target.scale(workload.namespace, workload.name, serves.wanted)
            target.let_scale(workload.namespace, workload.name)
        raise
    serving = f"{workload.deployment} serves on, with the new settings around it; the request failed on its way there."
    return smoke_in_cluster(target, workload, sample, before_switch=False, otherwise=serving)


def _bring_in(
    app: App,
    target: Any,  # noqa: ANN401
    workload: Workload,
    serves: Any,  # noqa: ANN401
    asked: tuple[str, Stage, bytes | None, Mapping[str, Any]],
    say: Say,
) -> str:
    """Ready beside what serves, proven, then the traffic; what does badly under it is held back."""
    stage_name, stage, sample, about = asked
    target.apply(workload, serving=serves.deployment if serves else "")
    failpoint("version-started")
    try:
        target.wait_ready(workload, timeout_s=stage.start_timeout_s)
        if not serves:
            target.switch(workload)
        otherwise = "The previous version is still serving." if serves else "Nothing is serving."
        evidence = smoke_in_cluster(target, workload, sample, before_switch=bool(serves), otherwise=otherwise)
    except (FailedError, BackendError):
        target.delete_version(workload)
        raise
    try:
        moved = shift_on_cluster(target, workload, serves, stage, say, keep_bake(app, stage_name, stage, about))
    except BakeFailedError as exc:
        raise fail_bake(app, stage_name, about, exc) from exc
    forget_bake(app, stage_name)
    failpoint("traffic-switched")
    return "; ".join((evidence, *moved))


def _prove_origin(app: App, project: Project, stage_name: str, stage: Stage, images: Images, say: Say) -> None:
    """Sign what was pushed with the key at hand; refuse what is not signed where the stage requires it."""
    key, keys = signing_key(project.folder, stage), trusted_keys(project, stage_name, stage)
    for reference in images.references:
        if key is not None:
            sign_image(app, reference, key)
        if keys:
            say(f"the image is signed by {verify_image(app, reference, keys)}")


def _take_away(target: Any, workload: Workload, states: Mapping[str, Any], name: str) -> None:  # noqa: ANN401 - its own small interface
    """Every version but `name`."""
    for old in states:
        if old != name:
            target.delete_version(replace(workload, deployment=old))


def make_workload(
    app: App, project: Project, candidate: Candidate, asked: tuple[str, Stage], *, endpoint: str, deployment: str
) -> Workload:
    """The stage's wishes in a cluster's terms; `UsageError` before anything is built when they cannot be met."""
    stage_name, stage = asked
    if not stage.registry:
        raise UsageError(
            f"Stage {stage_name} (kubernetes) needs a `registry`",
            hint=f"Example: registry: ghcr.io/me, or --set stages.{stage_name}.registry=127.0.0.1:5000",
        )
    version = candidate.version
    about = describe_version(version.name, version.version, version.digest, candidate.job.name)
    image = f"{stage.registry}/{version.name}@sha256:{'0' * 64}"
    workload = stage_workload(
        app, project, stage, endpoint=endpoint, deployment=deployment, image=image, annotations=about
    )
    problems = find_problems(workload)
    if problems:
        raise UsageError(
            "\n  ".join([f"Stage {stage_name} cannot be deployed:", *problems]),
            hint=f"Nothing was sent to the cluster. Correct stages.{stage_name} in {project.path}, or the deployment's document.",
        )
    return workload


def smoke_in_cluster(
    target: Any,  # noqa: ANN401
    workload: Workload,
    sample: bytes | None,
    *,
    before_switch: bool,
    otherwise: str,
) -> str:
    """A real request to the version through the API server's proxy; before the switch to its pod, else to the Service.

    `otherwise` tells what serves when it fails.
    """
    path, body = ("/score", sample) if sample is not None else ("/readyz", None)
    kind = {"content-type": "application/json"}

    def ask(path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if before_switch:
            return cast("tuple[int, bytes]", target.request_pod(workload, path, body=body, headers=headers))
        found = target.request(workload.namespace, workload.endpoint, path, body=body, headers=headers)
        return cast("tuple[int, bytes]", found)

    status, answer = ask(path, body, {**kind, **target.key_headers(workload)})
    if workload.token_secret and ask("/version", None, {})[0] != HTTPStatus.UNAUTHORIZED:
        raise FailedError(
            "The smoke test failed: the version answers requests without the endpoint's key",
            hint="Its image knows no keys; release it again, or say `auth: none` for the stage.",
        )
    text = answer[:300].decode(errors="replace")
    if status != HTTPStatus.OK:
        raise FailedError(f"The smoke test failed: {path} answered HTTP {status}: {text}", hint=otherwise)
    return f"{path} answered {text[:120]}"
