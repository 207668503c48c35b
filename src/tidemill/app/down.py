"""`down`: what `up` made is taken away again; models, jobs, images and the history stay."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidemill.app.bakes import forget_bake
from tidemill.app.deploy import endpoint_name, load_documents
from tidemill.app.releases import history, last_release, record_takedown, serving_release
from tidemill.app.turns import Say, releasing
from tidemill.app.wiring import App
from tidemill.base.errors import NotFoundError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.spec.project import Stage

GONE_S = 120.0
TARGETS = ("local", "kubernetes")  # whose endpoints `down` takes away


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint in a cluster, with the kind and name of all its objects there."""

    stage: str
    context: str
    namespace: str
    endpoint: str
    objects: tuple[str, ...]

    def __str__(self) -> str:
        kinds = [o.partition(" ")[0] for o in self.objects]
        counted = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
        return f"{self.endpoint} of stage {self.stage} in namespace {self.namespace} ({counted})"


def stop_local(app: App, names: Collection[str], stage: str | None) -> list[str]:
    """Stop and forget the endpoints of this machine (all, those named, or the stage's); which there were."""
    wanted = names or app.target.endpoints()
    if stage is not None:
        theirs = [e for n, s in _stages(app, stage) if s.target == "local" for e in _endpoints(app, n, s)]
        wanted = [n for n in wanted if n in theirs]
    return [name for name in wanted if app.target.delete(name)]


def require_known(app: App, names: Collection[str]) -> None:
    """`NotFoundError` for a name that no endpoint has or had, here or in the project; one that is down already is fine."""
    known = {*app.target.endpoints(), *(str(r["endpoint"]) for r in history(app))}
    known |= {e for n, s in _stages(app, None) for e in _endpoints(app, n, s)}
    known |= {load_documents(app.project)[0]} if app.project is not None else set()
    for name in names:
        if name not in known:
            raise NotFoundError(f"There is no endpoint `{name}`", hint=did_you_mean(name, known))


def find_standing(app: App, names: Collection[str], stage: str | None) -> list[Standing]:
    """The project's endpoints in clusters, or those of them that are named, of which anything is left."""
    found: dict[tuple[str, str, str], Standing] = {}
    for stage_name, wishes in _stages(app, stage):
        if wishes.target != "kubernetes":
            continue
        context = wishes.context or ""
        for namespace in _namespaces(app, stage_name, wishes):
            for endpoint in _endpoints(app, stage_name, wishes):
                place = (context, namespace, endpoint)
                if place in found or (names and endpoint not in names):
                    continue
                objects = app.kubernetes(context).belongings(namespace, endpoint)
                if objects:
                    found[place] = Standing(stage_name, context, namespace, endpoint, objects)
    return list(found.values())


def take_down(app: App, standing: Standing, say: Say) -> None:
    """Remove it from its cluster, and return when its pods are gone; an `up` that is under way ends first."""
    with releasing(app, say):
        app.kubernetes(standing.context).take_down(standing.namespace, standing.endpoint, timeout_s=GONE_S)
        forget_bake(app, standing.stage)


def note_down(app: App, names: Collection[str], stage: str | None, targets: Collection[str] = TARGETS) -> None:
    """Write into the history that a stage is down, where it says that something serves and nothing of it stands."""
    for name, wishes in _stages(app, stage):
        release = serving_release(app, name)
        if release is None or wishes.target not in targets:
            continue
        if (not names or release["endpoint"] in names) and not _stands(app, name, wishes, str(release["endpoint"])):
            record_takedown(app, release)


def _stands(app: App, name: str, stage: Stage, endpoint: str) -> bool:
    if stage.target == "local":
        return bool(app.target.desired(endpoint))
    target = app.kubernetes(stage.context or "")
    return any(target.belongings(namespace, endpoint) for namespace in dict.fromkeys(_namespaces(app, name, stage)))


def out_of_reach(app: App, names: Collection[str], stage: str | None) -> list[str]:
    """What was released to services whose endpoints `down` does not delete, in words."""
    rows = []
    for stage_name, wishes in _stages(app, stage):
        release = last_release(app, stage_name)
        if wishes.target in TARGETS or release is None:
            continue
        if not names or release["endpoint"] in names:
            rows.append(f"{release['endpoint']} of stage {stage_name} ({wishes.target}) stays: delete it there")
    return rows


def _stages(app: App, only: str | None) -> Sequence[tuple[str, Stage]]:
    stages: Mapping[str, Stage] = app.project.document.stages if app.project else {}
    if only is None:
        return list(stages.items())
    if only not in stages:
        raise UsageError(f"There is no stage `{only}`", hint=did_you_mean(only, stages))
    return [(only, stages[only])]


def _endpoints(app: App, name: str, stage: Stage) -> Iterator[str]:
    """What the stage's endpoint is called, and was when it was released to last."""
    if app.project is None:
        return
    others = app.project.document.stages if stage.target == "local" else {name: stage}
    yield endpoint_name(load_documents(app.project)[0], name, others)
    release = last_release(app, name)
    if release is not None:
        yield str(release["endpoint"])


def _namespaces(app: App, name: str, stage: Stage) -> Iterator[str]:
    """Where the stage is, and where it was when it was released to last."""
    project = app.project.document.name if app.project else ""
    yield project if stage.namespace is None else stage.namespace
    release = last_release(app, name)
    if release is not None and ".svc" in str(release["url"]):
        yield str(release["url"]).removeprefix("http://").split(".")[1]
