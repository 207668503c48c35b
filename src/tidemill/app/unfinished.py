"""What a command that was killed in the last bake left: watched on for the time it had left, or undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a bake that was left open: what was seen, or why the version was put back."""

    release: Mapping[str, Any]
    seen: str = ""
    failure: FailedError | None = None


def finish_bakes(app: App, project: Project, stages: Mapping[str, Stage], say: Say) -> Mapping[str, Finished]:
    """Finish what was left open in each stage: what became of it, by stage."""
    found = {name: finish_bake(app, project, name, stage, say) for name, stage in stages.items()}
    return {name: done for name, done in found.items() if done is not None}


def finish_bake(app: App, project: Project, stage_name: str, stage: Stage, say: Say) -> Finished | None:
    """Go on with the bake by the limits it was begun with; a version that does badly is put back and held. None for nothing open."""
    begun = find_bake(app, stage_name)
    if begun is None:
        return None
    limits = stage.model_copy(update={name: begun[name] for name in LIMITS})
    bake = _open(app, project, stage_name, limits, begun, say)
    if bake is None or not bake.is_open():
        forget_bake(app, stage_name)
        return None
    reason, seen = str(begun.get(FAILED, "")), ""
    if not reason:
        left = _seconds_left(begun)
        name = begun["deployment"]
        say(f"{name} had all traffic when the last command was killed: watching the {left:.0f} s that are left")
        try:
            seen = bake.watch(left)
        except FailedError as exc:
            reason = exc.message
            app.store.put(BAKES, stage_name, {**begun, FAILED: reason})
    if reason:
        bake.put_back()
        failure = fail_bake(app, stage_name, begun, FailedError(reason))
        say(failure.message)
        return Finished(begun, failure=failure)
    say(seen)
    forget_bake(app, stage_name)
    return Finished(begun, seen)


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
