"""`render`: the objects `up` would apply to a stage, as files, without a cluster and without running anything."""

from __future__ import annotations

from pathlib import Path

from tidemill.app.deploy import asks_for_key, endpoint_name, load_documents
from tidemill.app.project import Project
from tidemill.app.releases import last_release, previous_release
from tidemill.app.wiring import App
from tidemill.app.workloads import describe_version, stage_workload, with_model_image
from tidemill.base.errors import BackendError, NotFoundError, UsageError
from tidemill.base.files import write_atomic
from tidemill.base.suggest import did_you_mean
from tidemill.release.labels import keys_name
from tidemill.release.objects import make_objects
from tidemill.release.rbac import make_rbac
from tidemill.release.render import HEADER, for_kubernetes, render
from tidemill.release.routes import Split
from tidemill.release.workload import Workload, find_problems
from tidemill.spec.project import Stage


def render_stage(  # noqa: PLR0913 - one argument for each option of the command
    app: App,
    project: Project,
    stage_name: str,
    stage: Stage,
    *,
    style: str,
    image: str,
    kubernetes: str,
    share: int = 0,
) -> dict[str, str]:
    """File name → text. The image is `image`, else that of what the stage serves; `UsageError` with every problem at once.

    With `share` the version gets so many per cent of the requests along the route, and what it follows the rest.
    """
    base, document, _ = load_documents(project)
    released = last_release(app, stage_name)
    chosen = image or (str(released.get("image") or "") if released else "")
    if not chosen:
        raise NotFoundError(
            f"Nothing with an image was released to {stage_name} yet",
            hint="Name one: tidemill render --image REGISTRY/NAME@sha256:…, or release: tidemill up",
        )
    colour = document.name if document and document.name else "blue"
    about, version, name = {}, "0", colour
    if released is not None and released.get("image") == chosen:
        version, name = str(released["version"]), str(released["deployment"])
        about = describe_version(released["model"], version, str(released["digest"]), str(released["job"]))
    endpoint = endpoint_name(base, stage_name, {stage_name: stage})
    workload = stage_workload(app, project, stage, endpoint=endpoint, deployment=name, image=chosen, annotations=about)
    if about:
        workload = with_model_image(workload, released or {})
    problems = find_problems(workload)
    if problems:
        words = "\n".join(f"  {p}" for p in problems)
        raise UsageError(f"Stage {stage_name} cannot be rendered:\n{words}", hint="Nothing was written.")
    if share:
        before = _followed(app, stage_name, workload)
        objects = make_objects(workload, serving=before, split=Split(workload.name, share))
    else:
        objects = make_objects(workload)
    version_of = kubernetes or stage.kubernetes or _version_here(app, stage)
    if version_of:
        objects = for_kubernetes(objects, version_of)
    return render(objects, style=style, name=endpoint, version=version)


def _version_here(app: App, stage: Stage) -> str:
    """Of the stage's cluster, if one is within reach; rendering needs none."""
    try:
        found: str = app.kubernetes(stage.context or "").version()
    except (BackendError, UsageError):
        return ""
    return found


def _followed(app: App, stage_name: str, workload: Workload) -> str:
    """The deployment that has the rest of the requests while the workload has a share."""
    if workload.route == "service":
        raise UsageError(
            "A share by weight needs a route by ingress or gateway", hint="Add `route:` to the stage in tidemill.yaml."
        )
    released = last_release(app, stage_name)
    if released is not None and released["deployment"] == workload.deployment:
        released = previous_release(app, stage_name)
    if released is None:
        raise NotFoundError(
            f"There is no other version in {stage_name} that would have the rest of the requests",
            hint="Leave --share out.",
        )
    return str(released["deployment"])


def render_rbac(project: Project, stage: Stage) -> dict[str, str]:
    """The account and role that may deploy to the stage's namespace, for an administrator to apply once."""
    base, _, auth_mode = load_documents(project)
    keys = keys_name(base) if asks_for_key(stage, auth_mode) else ""
    objects = make_rbac(stage.namespace or "", keys=keys)
    return render(objects, style="yaml", name="rbac", version="0")


def pick_stage(stages: dict[str, Stage], name: str | None) -> tuple[str, Stage]:
    """The stage of that name, else the first that goes to a cluster, else the first."""
    if name is not None:
        if name not in stages:
            raise UsageError(f"There is no stage `{name}`", hint=did_you_mean(name, stages))
        return name, stages[name]
    return next(((n, s) for n, s in stages.items() if s.target == "kubernetes"), next(iter(stages.items())))


def write_files(files: dict[str, str], folder: Path) -> list[Path]:
    """The files below `folder`; where each was put. What an earlier render left there and this one does not have goes."""
    paths = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text if path.suffix == ".txt" else HEADER + text)
        paths.append(path)
    for old in {*folder.glob("*.yaml"), *folder.glob("templates/*.yaml")} - {*paths}:
        if old.read_text(encoding="utf-8", errors="replace").startswith(HEADER):
            old.unlink()
    return paths
