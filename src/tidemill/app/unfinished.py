"""What a command that was killed in the last bake left: watched on for the time it had left, or undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tidemill.app.bakes import BAKES, FAILED, LIMITS, fail_bake, find_bake, forget_bake
from tidemill.app.deploy import smoke_request
from tidemill.app.deploy_azureml import open_endpoints
from tidemill.app.project import Project
from tidemill.app.shift_azureml import AzureBake
from tidemill.app.shift_kubernetes import ClusterBake
from tidemill.app.wiring import App
from tidemill.base.clock import SystemClock
from tidemill.base.errors import FailedError
from tidemill.spec.project import Stage

Say = Callable[[str], None]


def finish_bakes(
    app: App, project: Project, stages: Mapping[str, Stage], say: Say
) -> Mapping[tuple[str, str], FailedError]:
    """Finish what was left open in each stage: by stage and model digest, why a version was put back."""
    found = {name: finish_bake(app, project, name, stage, say) for name, stage in stages.items()}
    return {(name, digest): failure for name, (digest, failure) in found.items() if failure is not None}


def finish_bake(app: App, project: Project, stage_name: str, stage: Stage, say: Say) -> tuple[str, FailedError | None]:
    """Go on with the bake by the limits it was begun with; the version's digest, and why it was put back and is held."""
    begun = find_bake(app, stage_name)
    if begun is None:
        return "", None
    limits = stage.model_copy(update={name: begun[name] for name in LIMITS})
    bake = _open(app, project, stage_name, limits, begun, say)
    if bake is None or not bake.is_open():
        forget_bake(app, stage_name)
        return "", None
    reason = str(begun.get(FAILED, ""))
    if not reason:
        left = _seconds_left(begun)
        say(
            f"{begun['deployment']} had all traffic when the last command was killed: watching the {left:.0f} s that are left"
        )
        try:
            say(bake.watch(left))
        except FailedError as exc:
            reason = exc.message
            app.store.put(BAKES, stage_name, {**begun, FAILED: reason})
    if reason:
        bake.put_back()
        failure = fail_bake(app, stage_name, begun, FailedError(reason))
        say(failure.message)
        return str(begun["digest"]), failure
    forget_bake(app, stage_name)
    return str(begun["digest"]), None


def _open(app: App, project: Project, stage_name: str, stage: Stage, begun: Mapping[str, Any], say: Say) -> Any:  # noqa: ANN401 - either bake
    """The bake where it goes on; None where the stage went elsewhere meanwhile."""
    if stage.target == "kubernetes" and "workload" in begun:
        return ClusterBake(app.kubernetes(stage.context or ""), begun, stage, say)
    if stage.target == "azureml" and "before" in begun:
        version = app.registry.get(str(begun["model"]), str(begun["version"]))
        sample = smoke_request(project, version.path)
        return AzureBake(open_endpoints(app, stage_name, stage), begun, stage, sample, say)
    return None


def _seconds_left(begun: Mapping[str, Any]) -> float:
    passed = (SystemClock().now() - datetime.fromisoformat(str(begun["at"]))).total_seconds()
    whole = float(begun["bake_s"])
    return min(whole, max(0.0, whole - passed))
