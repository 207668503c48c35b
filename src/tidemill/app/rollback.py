"""`rollback`: the previous release back as one thing (model, server, traffic), and the bad version held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from tidemill.app.bakes import FAILED, find_bake, forget_bake
from tidemill.app.deploy import asks_for_key, load_documents, scoring_digest
from tidemill.app.deploy_azureml import put_back_azureml, serving_on_azure
from tidemill.app.deploy_huggingface import put_back_huggingface
from tidemill.app.project import Project
from tidemill.app.releases import held, history, hold, holds, lift, previous_release, record_release
from tidemill.app.shift_kubernetes import enough_pods, usual_pods
from tidemill.app.signatures import trusted_keys, verify_image, verify_model
from tidemill.app.turns import releasing
from tidemill.app.unfinished import finish_bake
from tidemill.app.wiring import App
from tidemill.app.workloads import (
    MODEL_DIGEST,
    MODEL_NAME,
    describe_version,
    read_workload,
    stage_workload,
    with_model_image,
    workload_record,
)
from tidemill.base.errors import BackendError, FailedError, NotFoundError, UsageError
from tidemill.base.failpoint import failpoint
from tidemill.release.history import CODE, ROLLBACK, same_bytes
from tidemill.release.labels import keys_name
from tidemill.release.workload import Workload
from tidemill.spec.project import Stage

Say = Callable[[str], None]


def rollback(app: App, project: Project, stage_name: str, stage: Stage, *, reason: str, say: Say) -> Mapping[str, Any]:
    """Put back what served the stage before, and hold the present version until a person lifts it.

    `NotFoundError` when nothing served before; `FailedError` when the previous version does not start: then the present one stays.
    """
    with releasing(app, say):
        return put_back(app, project, stage_name, stage, reason=reason, say=say)


def put_back(app: App, project: Project, stage_name: str, stage: Stage, *, reason: str, say: Say) -> Mapping[str, Any]:
    """`rollback` for whoever has the lock. The hold comes first: killed anywhere after it, the next `up` finishes this."""
    releases = history(app, stage_name)
    if not releases:
        raise NotFoundError(f"Nothing was ever released to {stage_name}", hint="Release first: tidemill up")
    if FAILED in (find_bake(app, stage_name) or {}) and finish_bake(app, project, stage_name, stage, say):
        return releases[0]  # a version that did badly was being put back already
    present = roll_back_from(app, project, stage_name, stage, releases[0])
    previous = previous_release(app, stage_name, present)
    if previous is None:
        raise _nothing_before(app, stage_name, str(present["version"]))
    same_model = previous["digest"] == present["digest"]
    say(f"putting back {previous['model']}:{previous['version']}{' with the scoring code it had' * same_model}")
    if held(app, stage_name, present) is None:
        hold(app, stage_name, present, reason, instead=previous)
    failpoint("release-held")
    try:
        _verify(app, project, stage_name, stage, previous)
        if stage.target == "kubernetes":
            previous = {**previous, **_on_cluster(app, project, stage, previous, say)}
        elif stage.target == "azureml":
            put_back_azureml(app, stage_name, stage, previous)
        elif stage.target == "huggingface":
            put_back_huggingface(app, stage_name, stage, previous)
        else:
            _on_this_machine(app, stage, previous)
    except (FailedError, BackendError, UsageError):
        lift(app, stage_name, present)
        raise
    forget_bake(app, stage_name)
    failpoint("release-put-back")
    app.registry.set_label(previous["model"], stage_name, previous["version"])
    record_release(
        app, {**previous, "event": ROLLBACK, "evidence": f"rollback from version {present['version']}: {reason}"}
    )
    return previous


def _nothing_before(app: App, stage: str, version: str) -> NotFoundError:
    if holds(app, stage):
        return NotFoundError(
            f"Nothing served {stage} before version {version} that is not held back",
            hint=f"Lift the holds with: tidemill rollback --lift --stage {stage}",
        )
    return NotFoundError(
        f"No other version served {stage} before version {version}",
        hint=f"tidemill history --stage {stage} shows what did; tidemill down --stage {stage} takes this one away.",
    )


def roll_back_from(
    app: App, project: Project, stage_name: str, stage: Stage, recorded: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What a rollback takes away: what serves, unless that is what a rollback which was killed had put back already."""
    serves = what_serves(app, project, stage, recorded)
    if held(app, stage_name, recorded) is not None:
        before = previous_release(app, stage_name, recorded)
        if before is not None and same_bytes(before, serves):
            return recorded
    return serves


def what_serves(app: App, project: Project, stage: Stage, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """The release on record, with what serves in fact where an `up` was killed after the switch and before it wrote that down."""
    endpoint = recorded["endpoint"]
    if stage.target == "local":
        there = app.target.desired(endpoint)
        traffic, deployments = there.get("traffic", {}), there.get("deployments", {})
        name = max(traffic, key=lambda n: (traffic[n], n == recorded["deployment"]), default="")
        found = deployments.get(name, {})
        digest, version = found.get("model_digest"), found.get("version")
    elif stage.target == "kubernetes":
        namespace = str(recorded["url"]).removeprefix("http://").split(".")[1]
        states = app.kubernetes(stage.context or "").observe(namespace, endpoint)
        serves = next((s for s in states if s.serving), None)
        name = serves.deployment if serves else ""
        about = serves.annotations if serves else {}
        digest, version = about.get(MODEL_DIGEST), about.get(MODEL_NAME, "").rpartition(":")[2]
    elif stage.target == "azureml":
        name, digest, version = serving_on_azure(app, str(recorded["stage"]), stage, endpoint)
    else:
        return recorded
    if not digest or (digest, name) == (recorded["digest"], recorded["deployment"]):
        return recorded
    known = (r for r in history(app, recorded["stage"]) if (r["digest"], r["deployment"]) == (digest, name))
    code = next(known, {CODE: scoring_digest(project)}).get(CODE, "")
    return {**recorded, "deployment": name, "digest": digest, "version": version, CODE: code}


def _verify(app: App, project: Project, stage_name: str, stage: Stage, previous: Mapping[str, Any]) -> None:
    """What is put back is held to what the stage requires, too."""
    keys = trusted_keys(project, stage_name, stage)
    if keys:
        verify_model(app, app.registry.get(previous["model"], previous["version"]), keys)
        for image in (previous.get("image"), previous.get("model_image")):
            if image:
                verify_image(app, image, keys)


def _on_this_machine(app: App, stage: Stage, previous: Mapping[str, Any]) -> None:
    """Start the old version beside the present one, then switch: nobody waits for it."""
    endpoint, name = previous["endpoint"], previous["deployment"]
    present = app.target.desired(endpoint)
    wish = previous["desired"]["deployments"][name]
    app.target.put(endpoint, {**present, "deployments": {**present.get("deployments", {}), name: wish}})
    try:
        app.target.wait_healthy(endpoint, name, timeout_s=stage.start_timeout_s)
    except FailedError:
        app.target.put(endpoint, present)
        raise
    app.target.put(endpoint, {**present, "deployments": {name: wish}, "traffic": {name: 100}})


def _on_cluster(app: App, project: Project, stage: Stage, previous: Mapping[str, Any], say: Say) -> Mapping[str, Any]:
    """The previous version as it was released, settings and all; then nothing else of the endpoint is left. What is kept of it."""
    released = _released_workload(app, project, stage, previous)
    workload = _with_keys(released, project, stage)
    target = app.kubernetes(stage.context or "")
    there = target.observe(workload.namespace, workload.endpoint)
    serves = next((s for s in there if s.serving), None)
    pods = enough_pods(workload, usual_pods(serves) if serves else 0)
    target.apply(workload, serving=serves.deployment if serves else "")
    target.scale(workload.namespace, workload.name, pods)
    try:
        target.wait_ready(replace(workload, replicas=pods), timeout_s=stage.start_timeout_s)
        if workload.token_secret and not (previous.get("workload") or {}).get("token_secret"):
            say("it was released before the endpoint asked for keys: it asks for them now")
            _require_keys(target, workload)
    except (FailedError, BackendError):
        if serves is not None and serves.deployment != workload.deployment:
            target.delete_version(workload)
        raise
    target.let_scale(workload.namespace, workload.name)
    target.switch(workload)
    target.prune(workload)
    for state in target.observe(workload.namespace, workload.endpoint):
        if state.deployment != workload.deployment:
            target.delete_version(replace(workload, deployment=state.deployment))
    return {"workload": workload_record(workload)}


def _released_workload(app: App, project: Project, stage: Stage, previous: Mapping[str, Any]) -> Workload:
    if previous.get("workload"):
        return read_workload(previous["workload"])
    # released before releases kept their settings
    about = describe_version(previous["model"], previous["version"], str(previous["digest"]), str(previous["job"]))
    image = stage_workload(
        app,
        project,
        stage,
        endpoint=previous["endpoint"],
        deployment=previous["deployment"],
        image=previous["image"],
        annotations=about,
    )
    return with_model_image(image, previous)


def _with_keys(workload: Workload, project: Project, stage: Stage) -> Workload:
    """Whoever needs a key today needs it of an old version too: no rollback opens an endpoint."""
    if workload.token_secret or not asks_for_key(stage, load_documents(project)[2]):
        return workload
    return replace(workload, token_secret=keys_name(workload.endpoint))


def _require_keys(target: Any, workload: Workload) -> None:  # noqa: ANN401 - its own small interface
    """`FailedError` when a version's pod answers somebody who has no key."""
    status, _ = target.request_pod(workload, "/version", body=None, headers={})
    if status != HTTPStatus.UNAUTHORIZED:
        raise FailedError(
            f"Version {workload.version} answers requests without the endpoint's key: its image knows no keys",
            hint="What serves stays. Release a good version again (`tidemill up`), or say `auth: none` for the stage.",
        )
