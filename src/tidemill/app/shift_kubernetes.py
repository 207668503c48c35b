"""Traffic onto a version in a cluster, watched at each step, and back when it does badly.

Shares are made by the route where something in the cluster divides its requests, else by numbers of pods:
see docs/decisions/0004-canary-by-pods.md and 0005-weights-where-something-weighs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tidemill.app.bakes import FAILED, Keep
from tidemill.app.shift import ENOUGH, BakeFailedError
from tidemill.app.workloads import read_workload, workload_record
from tidemill.base.clock import SystemClock
from tidemill.base.errors import FailedError
from tidemill.base.failpoint import failpoint
from tidemill.release.labels import REPLICAS_ANNOTATION
from tidemill.release.pod_counts import PodCounts, count_since, counts_record, read_counts_record
from tidemill.release.routes import Split
from tidemill.release.traffic import ALL, BakeLimits, judge_bake, share_pods, traffic_steps
from tidemill.release.workload import Workload, read_range
from tidemill.spec.project import Stage

Say = Callable[[str], None]
LOOK_S = 1.0


def shift_on_cluster(
    target: Any,  # noqa: ANN401 - its own small interface
    new: Workload,
    before: Any,  # noqa: ANN401
    stage: Stage,
    say: Say,
    keep: Keep = lambda _: None,
) -> tuple[str, ...]:
    """All traffic onto `new`, which is ready and proven; `before` is the state of what serves, None for nothing.

    What was seen at each step. `keep` writes down what going on with the last bake takes, and what became of it. `BakeFailedError` after the old version serves alone again and the new one is gone.
    The old version still stands when this returns: whoever called takes it away.
    """
    if before is None:
        target.switch(new)
        return ()
    old = replace(new, deployment=before.deployment, image=before.image, replicas=usual_pods(before))
    failpoint("version-proven")
    evidence = []
    kept = {"deployment": old.deployment, "image": old.image, "replicas": old.replicas}
    begun = {"workload": workload_record(new), "deployment": new.deployment, "old": kept}
    try:
        by_weight = _is_by_weight(target, new, stage, say)
        for split in _splits(stage, old.deployment, new):
            counts = target.counts(new) if stage.bake_s > 0 else {}
            if stage.bake_s > 0 and split.percent >= ALL:
                keep({**begun, "counts": counts_record(counts)})
            words = _take_step(target, old, new, split, stage, by_weight=by_weight)
            say(words)
            failpoint("traffic-shared")
            if stage.bake_s > 0:
                evidence.append(f"{words}, {_bake(target, new, stage, stage.bake_s, counts)}")
    except (BakeFailedError, FailedError) as exc:
        keep({**begun, FAILED: exc.message})
        failpoint("bake-failed")
        say(f"putting {old.deployment} back")
        _put_back(target, old, new, stage)
        raise BakeFailedError(exc.message) from exc
    return tuple(evidence)


def usual_pods(state: Any) -> int:  # noqa: ANN401
    """How many pods a version has when no traffic is being moved: a canary that was killed may have left it more."""
    wanted: int = max(state.wanted, 1)
    told = state.annotations.get(REPLICAS_ANNOTATION, "")
    least, most = read_range(told) if told else (1, wanted)
    return min(max(wanted, least), most)


def enough_pods(new: Workload, present: int) -> int:
    """With how many pods a version takes over: its own number, or as many as load has given the present one."""
    return max(new.replicas, min(present, new.max_replicas)) if new.is_autoscaled else new.replicas


def _percentages(stage: Stage, old: str, new: str) -> list[int]:
    """The new version's share at each step; a rolling update has both serve for a moment."""
    if stage.strategy == "rolling":
        return [ALL // 2, ALL]
    return [step[new] for step in traffic_steps(stage.strategy, {old: ALL}, new, stage.steps or ())]


def _is_by_weight(target: Any, new: Workload, stage: Stage, say: Say) -> bool:  # noqa: ANN401
    """Whether the route makes the shares; when nothing there would, the reason is said."""
    if new.route == "service":
        return False
    why = target.why_not_by_weight(new)
    if why and stage.route.mirror:
        raise FailedError(f"Requests cannot be mirrored: {why}")
    if why and stage.strategy != "blue-green":
        say(f"{why}: shares are made by numbers of pods")
    return not why


def _splits(stage: Stage, old: str, new: Workload) -> list[Split]:
    """What the new version gets at each step: copies of all requests first where that is asked for, then shares."""
    copies = [Split(new.name, mirror=True)] if stage.route.mirror else []
    return [*copies, *(Split(new.name, percent) for percent in _percentages(stage, old, new.deployment))]


def _take_step(
    target: Any,  # noqa: ANN401
    old: Workload,
    new: Workload,
    split: Split,
    stage: Stage,
    *,
    by_weight: bool,
) -> str:
    """Make the share true, and say what it came to."""
    if split.percent >= ALL:
        _set_pods(target, new, enough_pods(new, old.replicas), stage)
        target.let_scale(new.namespace, new.name)
        target.switch(new)
        if new.route != "service":
            target.settle(new)
        return f"{new.deployment} takes all traffic"
    if by_weight:
        doubt = target.divide(new, split)
        about = f" ({doubt})" if doubt else ""
        if split.mirror:
            return f"{new.deployment} gets a copy of every request along the {new.route}{about}"
        return f"{new.deployment} takes {split.percent} % of the traffic by weight on the {new.route}{about}"
    if stage.strategy == "rolling":
        stay, go = old.replicas, enough_pods(new, old.replicas)
    else:
        stay, go = share_pods(split.percent, old.replicas)
    _set_pods(target, old, stay, stage)
    _set_pods(target, new, go, stage)
    target.share(new, old.deployment)
    exact = round(100 * go / (stay + go))
    return f"{new.deployment} takes {exact} % of the traffic ({go} of {stay + go} pods; {split.percent} % asked for)"


def _set_pods(target: Any, workload: Workload, replicas: int, stage: Stage) -> None:  # noqa: ANN401
    target.scale(workload.namespace, workload.name, replicas)
    target.wait_ready(replace(workload, replicas=replicas), timeout_s=stage.start_timeout_s)


def _put_back(target: Any, old: Workload, new: Workload, stage: Stage) -> None:  # noqa: ANN401
    """As it was before the first step; the old version's pods were there all the time."""
    target.switch(old)
    if new.route != "service":
        target.settle(new)
    target.delete_version(new)
    _set_pods(target, old, old.replicas, stage)
    target.let_scale(old.namespace, old.name)


class ClusterBake:
    """The last bake of a promotion whose command was killed, gone on with by another."""

    def __init__(self, target: Any, begun: Mapping[str, Any], stage: Stage, say: Say) -> None:  # noqa: ANN401
        self._target, self._begun, self._stage, self._say = target, begun, stage, say
        self._new = read_workload(begun["workload"])
        self._old = replace(self._new, **begun["old"])

    def is_open(self) -> bool:
        """Whether both versions stand, and the new one has the traffic or is to lose it."""
        states = {s.deployment: s for s in self._target.observe(self._new.namespace, self._new.endpoint)}
        new = states.get(self._new.deployment)
        switched = new is not None and new.serving
        return self._old.deployment in states and (switched or bool(self._begun.get(FAILED)))

    def watch(self, seconds: float) -> str:
        """The rest of it; `FailedError` when the version does badly, and did meanwhile."""
        whole = Split(self._new.name, ALL)
        words = _take_step(self._target, self._old, self._new, whole, self._stage, by_weight=False)
        before = read_counts_record(self._begun["counts"])
        return f"{words}, {_bake(self._target, self._new, self._stage, seconds, before)}"

    def put_back(self) -> None:
        """The old version alone, as before the promotion."""
        self._say(f"putting {self._old.deployment} back")
        _put_back(self._target, self._old, self._new, self._stage)


def _bake(target: Any, new: Workload, stage: Stage, seconds: float, before: Mapping[str, PodCounts]) -> str:  # noqa: ANN401
    """Watch for that time; what is plainly bad is not waited out. `before` is what the version's pods had counted."""
    clock, limits = SystemClock(), BakeLimits(stage.max_error_rate, stage.max_latency_ms)
    deadline = clock.monotonic() + seconds
    while True:
        left = deadline - clock.monotonic()
        clock.sleep(max(0.0, min(LOOK_S, left)))
        found = count_since(before, target.counts(new))
        verdicts = judge_bake({}, found, limits)
        failed = [v for v in verdicts if not v.passed]
        plain = left <= 0 or found["died"] or verdicts[0].values["requests"] >= ENOUGH
        if failed and plain:
            words = "; ".join(f"{v.rule}: {v.evidence}" for v in failed)
            raise BakeFailedError(f"`{new.deployment}` did badly under traffic ({words})")
        if left <= 0:
            return f"watched for {seconds:.3g} s: " + ", ".join(v.evidence for v in verdicts)
