"""Previews: the whole stack of a branch in a namespace of its own, for a while, without a trace afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tidemill.app.candidate import make_candidate
from tidemill.app.deploy_kubernetes import deploy_kubernetes
from tidemill.app.project import Project
from tidemill.app.turns import releasing, training
from tidemill.app.up import chosen_stages
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock, iso
from tidemill.base.errors import ConflictError, NotFoundError, UsageError
from tidemill.base.hashing import digest_value
from tidemill.run.ports import RunObserver
from tidemill.spec.project import Stage

Say = Callable[[str], None]
LABEL, PROJECT, EXPIRES = "tidemill.dev/preview", "tidemill.dev/preview-of", "tidemill.dev/expires"
IMAGE, NAME = "tidemill.dev/preview-images", "tidemill.dev/preview-name"
GONE_S = 120.0
LONGEST = 40
_TTL = re.compile(r"(\d+)([mhd])\Z")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def create_preview(
    app: App, project: Project, name: str, ttl: str, observers: Sequence[RunObserver], say: Say
) -> dict[str, Any]:
    """Run what is stale and deploy it beside everything else; again with the same ID it is brought up to date."""
    lifetime = read_ttl(ttl)
    stage_name, stage = _cluster_stage(project)
    slug = _slug(name)
    namespace = f"{_slug(project.document.name)[:20].rstrip('-')}-preview-{slug}"
    alone = _alone(stage, namespace, slug)
    target = app.kubernetes(stage.context or "")
    _its_own(target, slug, namespace, name)
    expires = SystemClock().now() + lifetime
    with training(app, say):
        candidate = make_candidate(app, project, observers)
    with releasing(app, say):
        repository = f"{alone.registry}/{candidate.version.name}"
        labels = {LABEL: slug, PROJECT: _slug(project.document.name), EXPIRES: str(int(expires.timestamp()))}
        target.mark_namespace(namespace, labels, {IMAGE: repository, NAME: name}, owner=LABEL)
        made = deploy_kubernetes(app, project, candidate, f"preview of {stage_name}", alone, say)
    return {
        "id": slug,
        "namespace": namespace,
        "url": f"http://{alone.ingress_host}" if alone.ingress_host else made.url,
        "model": f"{made.model}:{made.version}",
        "expires": iso(expires),
    }


def list_previews(app: App, project: Project) -> list[dict[str, Any]]:
    """The previews of this project that the cluster has, with how long they may stay."""
    _, stage = _cluster_stage(project)
    now = SystemClock().now()
    rows = []
    for found in app.kubernetes(stage.context or "").find_namespaces(PROJECT, _slug(project.document.name)):
        expires = datetime.fromtimestamp(int(found.labels.get(EXPIRES, "0")), UTC)
        state = "ending" if found.ending else "expired" if expires <= now else "up"
        rows.append({"id": found.labels[LABEL], "namespace": found.name, "state": state, "expires": iso(expires)})
    return rows


def delete_previews(app: App, project: Project, names: Sequence[str], *, expired: bool, say: Say) -> list[str]:
    """Take down those named, or all that are past their time, until nothing of them is left; `NotFoundError` for one that is not there."""
    _, stage = _cluster_stage(project)
    target = app.kubernetes(stage.context or "")
    rows = {r["id"]: r for r in list_previews(app, project)}
    wanted = [_slug(n) for n in names] + [i for i, r in rows.items() if expired and r["state"] == "expired"]
    missing = [w for w in wanted if w not in rows]
    if missing:
        raise NotFoundError(f"There is no preview `{missing[0]}`", hint=f"There are: {', '.join(rows) or 'none'}.")
    for name in (n for n in names if n != _slug(n)):  # the ID itself is nobody's name
        _its_own(target, _slug(name), rows[_slug(name)]["namespace"], name)
    for name in dict.fromkeys(wanted):
        (found,) = (n for n in target.find_namespaces(LABEL, name) if n.name == rows[name]["namespace"])
        say(f"taking down {found.name}")
        target.drop_namespace(found.name, timeout_s=GONE_S)
        if found.annotations.get(IMAGE) and not app.builder.remove(found.annotations[IMAGE]):
            say(f"the registry does not allow deleting: images stay in {found.annotations[IMAGE]}")
    return list(dict.fromkeys(wanted))


def read_ttl(text: str) -> timedelta:
    """`90m`, `24h` or `3d`."""
    found = _TTL.match(text)
    if found is None or not int(found[1]):
        raise UsageError(f"`{text}` is no time to live", hint="Write 90m, 24h or 3d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _cluster_stage(project: Project) -> tuple[str, Stage]:
    """The first stage on a cluster: a preview is deployed as it would be."""
    found = next(((n, s) for n, s in chosen_stages(project, None).items() if s.target == "kubernetes"), None)
    if found is None or not found[1].registry:
        raise UsageError(
            "A preview needs a stage with `target: kubernetes` and a `registry` in tidemill.yaml",
            hint="See docs/guides/kubernetes.md.",
        )
    return found


def _alone(stage: Stage, namespace: str, slug: str) -> Stage:
    """The stage's wishes for something small that nobody waits for: one pod, no port or name of the real one."""
    asked = stage.route.host or stage.ingress_host
    host = f"{slug}.{asked}" if asked else None
    changes = {
        "namespace": namespace, "registry": f"{stage.registry}/previews/{slug}", "replicas": 1, "max_replicas": None,
        "capture": "off", "strategy": "blue-green", "bake_s": 0, "node_port": None, "frontend_replicas": None, "ingress_host": host,
        "route": stage.route.model_copy(update={"host": None, "mirror": False}),
    }  # fmt: skip
    return stage.model_copy(update=changes)


def _its_own(target: Any, slug: str, namespace: str, name: str) -> None:  # noqa: ANN401 - a cluster
    """Refuse another branch's preview: names that differ only in what a cluster cannot have come to the same ID."""
    owners = {n.annotations.get(NAME, name) for n in target.find_namespaces(LABEL, slug) if n.name == namespace}
    if owners - {name}:
        raise ConflictError(
            f"The preview `{slug}` is of `{owners.pop()}`, not of `{name}`",
            hint=f"Rename the branch, or say which is meant by its ID: {slug}.",
        )


def _slug(text: str) -> str:
    """A branch's name as a cluster can have it; one that had to be cut stays its own."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not slug:
        raise UsageError(
            f"`{text}` cannot name a preview", hint="Use letters and digits: a branch, a pull request's number."
        )
    return slug if len(slug) <= LONGEST - 20 else f"{slug[: LONGEST - 27].rstrip('-')}-{digest_value(text)[:6]}"
