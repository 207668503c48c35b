"""`up`: run if stale → gate → deploy → smoke test → switch → say what there is. A second time it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidemill.app.approvals import require_approvals, sign
from tidemill.app.candidate import Candidate, Noticed, make_candidate
from tidemill.app.deploy import Deployed, deploy_local, release_bytes
from tidemill.app.deploy_azureml import deploy_azureml
from tidemill.app.deploy_huggingface import deploy_huggingface
from tidemill.app.deploy_kubernetes import deploy_kubernetes
from tidemill.app.first_project import propose_project
from tidemill.app.gate import judge_candidate, rules_of
from tidemill.app.preflight import require_deployable
from tidemill.app.project import Project
from tidemill.app.releases import held, record_release, serving_release
from tidemill.app.rollback import put_back, roll_back_from
from tidemill.app.serves import check_recording
from tidemill.app.signatures import sign_model, signing_key, trusted_keys, verify_model
from tidemill.app.turns import releasing, training
from tidemill.app.unfinished import Finished, finish_bakes
from tidemill.app.wiring import App
from tidemill.base.errors import FailedError, UsageError
from tidemill.base.suggest import did_you_mean
from tidemill.record.ports import ModelVersion
from tidemill.release.gates import Verdict
from tidemill.release.history import CODE, same_bytes
from tidemill.release.sameness import differences
from tidemill.run.ports import RunObserver
from tidemill.spec.project import Stage

Say = Callable[[str], None]
FEW = 3


@dataclass(frozen=True, slots=True)
class UpResult:
    """What `up` did and found."""

    candidate: Candidate
    verdicts: tuple[Verdict, ...]
    deployed: tuple[Deployed, ...]
    notes: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything is other than before."""
        return self.candidate.ran or any(d.changed for d in self.deployed)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        version = self.candidate.version
        return {
            "changed": self.changed,
            "job": self.candidate.job.name,
            "model": {
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
                "metrics": dict(self.candidate.metrics),
            },
            "verdicts": [v.as_json() for v in self.verdicts],
            "endpoints": [
                {
                    "name": d.endpoint,
                    "stage": d.stage,
                    "url": d.url,
                    "deployment": d.deployment,
                    "version": d.version,
                    "changed": d.changed,
                }
                for d in self.deployed
            ],
            "notes": list(self.notes),
        }


def require_project(app: App) -> Project:
    """The project file; `UsageError` that says how to write one."""
    if app.project is None:
        raise UsageError(
            f"There is no tidemill.yaml in {app.settings.root}",
            hint=f"Save these lines as tidemill.yaml there, and add `gates:` when you know what a good model is:\n\n"
            f"{propose_project(app.settings.root)}",
        )
    return app.project


def chosen_stages(project: Project, until: str | None) -> Mapping[str, Stage]:
    """The stages in order, up to and with `until`."""
    stages = dict(project.document.stages) or {"staging": Stage()}
    if until is None:
        return stages
    if until not in stages:
        raise UsageError(f"There is no stage `{until}`", hint=did_you_mean(until, stages))
    names = list(stages)
    return {n: stages[n] for n in names[: names.index(until) + 1]}


def up(
    app: App,
    *,
    until: str | None,
    observers: Sequence[RunObserver],
    say: Say,
    relax_pins: bool = False,
    noticed: Noticed = lambda _: None,
) -> UpResult:
    """Make the project's declared state true. Two of these on one workspace take turns.

    `FailedError` (exit 1) when the job, a gate, an approval or the smoke test stops it; what served before still serves.
    """
    app.relax_pins = relax_pins
    project = require_project(app)
    stages = chosen_stages(project, until)
    require_deployable(project, stages)
    rules = rules_of(project, stages)
    check_recording(project, stages)
    with releasing(app, say):
        finished = {**finish_bakes(app, project, stages, say)}
    with training(app, say):
        candidate = make_candidate(app, project, observers, relax_pins=relax_pins, noticed=noticed)
        if candidate.ran:
            sign(app, candidate.version)
    with releasing(app, say):
        finished |= finish_bakes(app, project, stages, say)  # of one that was killed while this one trained
        release = release_bytes(project, candidate.version)
        verdicts: list[Verdict] = []
        deployed: list[Deployed] = []
        notes: list[str] = []
        for name, stage in stages.items():
            seen = _seen_before(finished.get(name), release)
            keep_out = held(app, name, release)
            if keep_out is not None:
                _finish_rollback(app, project, name, stage, keep_out, say)
                notes.append(_told_hold(name, keep_out))
                break
            found = judge_candidate(app, candidate, rules[name], name)
            verdicts += [v for v in found if v not in verdicts]
            _require(found, candidate, name)
            people = require_approvals(app, stage, name, candidate.version)
            _prove_origin(app, project, candidate.version, name, stage)
            notes += _old_weights(app, candidate.version, name)
            made = _deploy(app, project, candidate, name, stage, say)
            deployed.append(replace(made, evidence=made.evidence or seen))
            if deployed[-1].changed or not _is_recorded(app, name, release):
                _record(app, candidate, release, deployed[-1], found, people)
        return UpResult(candidate, tuple(verdicts), tuple(deployed), tuple(notes))


def _seen_before(bake: Finished | None, release: Mapping[str, Any]) -> str:
    """What was seen of the release in a bake that an earlier command left open; `FailedError` when it did badly there."""
    if bake is None or not same_bytes(bake.release, release):
        return ""
    if bake.failure is not None:
        raise bake.failure
    return bake.seen


def _is_recorded(app: App, stage: str, release: Mapping[str, Any]) -> bool:
    """Whether the history says that it serves; one that was killed before it could write this down left another there."""
    known = serving_release(app, stage)
    # records of before the scoring code was one of their words say nothing of it
    return known is not None and same_bytes({CODE: release.get(CODE, ""), **known}, release)


def _told_hold(stage: str, hold: Mapping[str, Any]) -> str:
    what = f"version {hold['version']}{' with this scoring code' if CODE in hold else ''}"
    other = "Change the code, or lift" if CODE in hold else "Lift"
    since = f"{stage}: {what} is held back since {hold['at']}: {hold['reason']}"
    return f"{since}. {other} it with: tidemill rollback --lift --stage {stage}"


def _old_weights(app: App, version: ModelVersion, stage: str) -> list[str]:
    """Says so when a new version brings no new model. It is released all the same: what stands around it may matter."""
    serving = serving_release(app, stage)
    if serving is None or serving["model"] != version.name or serving["version"] == version.version:
        return []
    same = serving["digest"] == version.digest
    others = () if same else differences(Path(serving["path"]), version.path)
    if others is None:
        return []
    count = len(others) - FEW
    more = [f"and {count} more"] if count > 0 else []
    rest = f"only {', '.join([*others[:FEW], *more])} differ" if others else "nothing differs"
    return [f"{stage}: version {version.version} has the weights of version {serving['version']}: {rest}"]


def _prove_origin(app: App, project: Project, version: ModelVersion, name: str, stage: Stage) -> None:
    """Sign with the key that is at hand; refuse what is not signed where the stage requires it."""
    key = signing_key(project.folder, stage)
    if key is not None:
        sign_model(app, version, key)
    keys = trusted_keys(project, name, stage)
    if keys:
        verify_model(app, version, keys)


def _finish_rollback(
    app: App, project: Project, name: str, stage: Stage, keep_out: Mapping[str, Any], say: Say
) -> None:
    """A rollback that was killed after its hold is carried on with."""
    serving = serving_release(app, name)
    if serving is None:
        return
    there = roll_back_from(app, project, name, stage, serving)
    if same_bytes({**there, **keep_out}, there):
        put_back(app, project, name, stage, reason=keep_out["reason"], say=say)


def _require(verdicts: Sequence[Verdict], candidate: Candidate, stage: str) -> None:
    failed = [v for v in verdicts if not v.passed]
    if failed:
        words = "\n".join(f"  not passed: {v.rule} ({v.evidence})" for v in failed)
        version = candidate.version
        raise FailedError(
            f"{version.name}:{version.version} does not pass the gates of {stage}:\n{words}",
            hint="What served before still serves. Train a better model, or change `gates:` in tidemill.yaml.",
        )


def _deploy(app: App, project: Project, candidate: Candidate, name: str, stage: Stage, say: Say) -> Deployed:
    if stage.target == "local":
        return deploy_local(app, project, candidate, name, stage, say)
    if stage.target == "kubernetes":
        return deploy_kubernetes(app, project, candidate, name, stage, say)
    if stage.target == "azureml":
        return deploy_azureml(app, project, candidate, name, stage, say)
    return deploy_huggingface(app, project, candidate, name, stage, say)


def _record(
    app: App,
    candidate: Candidate,
    release: Mapping[str, Any],
    deployed: Deployed,
    verdicts: Sequence[Verdict],
    people: Sequence[str],
) -> None:
    version = candidate.version
    app.registry.set_label(version.name, deployed.stage, version.version)
    record_release(
        app,
        {
            "stage": deployed.stage, "endpoint": deployed.endpoint, "deployment": deployed.deployment, "model": version.name,
            "path": str(version.path), "job": candidate.job.name, **release,
            "metrics": dict(candidate.metrics), "verdicts": [v.as_json() for v in verdicts], "evidence": deployed.evidence,
            "url": deployed.url.partition("?")[0], "image": deployed.image,
            "model_image": deployed.model_image, "arguments": list(deployed.arguments), "desired": app.target.desired(deployed.endpoint),
            "approved_by": list(people), "workload": dict(deployed.workload), **candidate.origin,
        },
    )  # fmt: skip
