"""A version onto a cluster: package, push by digest, become ready beside the old one, prove it, switch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, endpoint_name, load_documents, sample_of
from tidemill.app.images import Images, build_images
from tidemill.app.project import Project
from tidemill.app.releases import hold
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.app.signatures import sign_image, signing_key, trusted_keys, verify_image
from tidemill.app.wiring import App
from tidemill.app.workloads import describe_version, stage_workload
from tidemill.base.errors import BackendError, FailedError, UsageError
from tidemill.release.objects import Workload, check_workload
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
    workload = make_workload(project, candidate, endpoint, name, stage)
    target = app.kubernetes(stage.context or "")
    states = {s.deployment: s for s in target.observe(workload.namespace, endpoint)}
    url = f"http://{endpoint}.{workload.namespace}.svc"
    there = states.get(name)
    if (
        there is not None
        and there.serving
        and there.state == "Healthy"
        and there.annotations.get("tidemill.dev/model-digest") == version.digest
    ):
        _take_away(target, workload, states, name)  # what an `up` that was killed left standing
        return Deployed(endpoint, stage_name, url, name, version.name, version.version, changed=False)
    say("building the image")
    images = build_images(app, candidate, stage, say)
    _prove_origin(app, project, stage_name, stage, images, say)
    workload = images.onto(workload)
    serving = target.serving(workload.namespace, endpoint)
    target.apply(workload, serving=serving)
    try:
        target.wait_ready(workload, timeout_s=stage.start_timeout_s)
        if not serving:
            target.switch(workload)
        evidence = smoke_in_cluster(target, workload, sample_of(project, candidate), before_switch=bool(serving))
    except (FailedError, BackendError):
        if there is None:
            target.delete_version(workload)
        raise
    before = states.get(serving) if serving != name else None
    try:
        moved = shift_on_cluster(target, workload, before, stage, say)
    except BakeFailedError as exc:
        hold(app, stage_name, {"digest": version.digest, "version": version.version}, exc.message)
        raise FailedError(
            exc.message,
            hint=f"The previous version serves again, this one is held back. Lift: tidemill rollback --lift --stage {stage_name}",
        ) from exc
    _take_away(target, workload, states, name)
    return Deployed(
        endpoint,
        stage_name,
        url,
        name,
        version.name,
        version.version,
        changed=True,
        evidence="; ".join((evidence, *moved)),
        image=workload.image,
        model_image=workload.model_image,
        arguments=workload.arguments,
    )


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


def make_workload(project: Project, candidate: Candidate, endpoint: str, name: str, stage: Stage) -> Workload:
    """The stage's wishes in a cluster's terms; `UsageError` before anything is built when they cannot be met."""
    if not stage.registry:
        raise UsageError(
            "A kubernetes stage needs a `registry`",
            hint="Example: registry: ghcr.io/me, or --set stages.NAME.registry=127.0.0.1:5000",
        )
    version = candidate.version
    about = describe_version(version.name, version.version, version.digest, candidate.job.name)
    image = f"{stage.registry}/{version.name}@sha256:{'0' * 64}"
    workload = stage_workload(project, stage, endpoint, name, image, about)
    check_workload(workload)
    return workload


def smoke_in_cluster(target: Any, workload: Workload, sample: bytes | None, *, before_switch: bool) -> str:  # noqa: ANN401
    """A real request to the version through the API server's proxy; before the switch to its pod, else to the Service."""
    path, body = ("/score", sample) if sample is not None else ("/readyz", None)
    headers = {"content-type": "application/json"}
    if before_switch:
        status, answer = target.request_pod(workload, path, body=body, headers=headers)
    else:
        status, answer = target.request(workload.namespace, workload.endpoint, path, body=body, headers=headers)
    text = answer[:300].decode(errors="replace")
    if status != HTTPStatus.OK:
        raise FailedError(
            f"The smoke test failed: {path} answered HTTP {status}: {text}",
            hint="The previous version is still serving.",
        )
    return f"{path} answered {text[:120]}"
