"""Runs a sweep: draws trials, ends hopeless ones, and takes over the outputs of the best."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.base.suggest import did_you_mean
from tidemill.plan.graph import Step
from tidemill.run.collect import DEFAULT_OUTPUT
from tidemill.run.command import read_tail
from tidemill.run.context import PastStep
from tidemill.run.events import RunEvent, StepAdded, StepFinished, StepNoted, StepReused
from tidemill.run.job import ENDED_EARLY
from tidemill.run.state import Status
from tidemill.run.sweep_policy import Course, find_hopeless
from tidemill.run.sweep_search import make_search
from tidemill.run.sweep_settings import read_sweep
from tidemill.run.sweep_trial import Trial, make_trial_step, trial_name
from tidemill.run.work import StepEnd, StepWork, stop_step

LOOK_S = 0.2
HOPELESS_AFTER = 3
MAX_AT_ONCE = 64
TRIALS_FILE = "trials.json"


def run_sweep(work: StepWork) -> StepEnd:
    """Run every trial, each a step of its own; the best one's outputs and metrics become the sweep's."""
    sweep = _Sweeping(work)
    for path in (work.folder.cwd, work.folder.logs, work.folder.outputs):
        path.mkdir(parents=True, exist_ok=True)
    work.started()
    sweep.to_end()
    return sweep.judge()


class _Sweeping:
    """A sweep under way; all of it happens in the sweep's own thread, but the trials themselves."""

    def __init__(self, work: StepWork) -> None:
        self.work = work
        self.context = work.context
        self.sweep = read_sweep(work.step)
        self.search = make_search(self.sweep, work.context.ports)
        self.trials: list[Trial] = []
        self.running: dict[Future[RunEvent], Trial] = {}
        self.exhausted = False
        self.over = ""
        self._deadline = (
            self.context.clock.monotonic() + self.sweep.timeout_s if self.sweep.timeout_s is not None else math.inf
        )

    def to_end(self) -> None:
        """Keep as many trials running as may be, until there are no more to run."""
        at_once = self._at_once()
        with ThreadPoolExecutor(at_once, "trial") as pool:
            try:
                while True:
                    while len(self.running) < at_once and self._may_draw():
                        self._begin(pool)
                    if not self.running:
                        return
                    self._hear()
            except BaseException:
                self._stop_all("the sweep broke off")
                raise

    def _at_once(self) -> int:
        executor = self.context.ports.executors.get(self.context.ports.place_compute(self.work.step.compute))
        slots = self.context.options.parallel or (executor.slots if executor else 1)
        return max(1, min(self.sweep.concurrent, self.sweep.total, slots, MAX_AT_ONCE))

    def _may_draw(self) -> bool:
        return (
            not (self.over or self.exhausted or self.context.canceled.is_set()) and len(self.trials) < self.sweep.total
        )

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        """Draw the next trial and start it, unless it ended before the job was resumed."""
        number = len(self.trials)
        name = trial_name(self.context.plan, self.work.step.name, number)
        drawn = self.search.draw(number)
        if drawn is None:
            self.exhausted = True
            return
        past = self._past(name)
        values, point = (past.about["parameters"], past.about["point"]) if past else drawn
        trial = Trial(number, make_trial_step(self.sweep, self.work.step, name, values), values, point)
        self.trials.append(trial)
        self._introduce(trial)
        if past is not None and ENDED_EARLY in past.about:
            self._recall(trial, past)
        else:
            self.running[pool.submit(partial(self.work.drive_part, trial.step, trial.stop))] = trial

    def _past(self, name: str) -> PastStep | None:
        past = (self.context.options.resume or {}).get(name)
        return past if past and past.about.get("sweep") == self.work.identity.key else None

    def _introduce(self, trial: Trial) -> None:
        about = {
            "name": trial.name,
            "kind": "command",
            "parent": self.work.step.name,
            "display_name": trial.name,
            "parameters": dict(trial.values),
            "point": dict(trial.point),
            "sweep": self.work.identity.key,
        }
        self.context.emit(StepAdded(self.context.job, self.context.now(), step=trial.name, about=about))

    def _recall(self, trial: Trial, past: PastStep) -> None:
        """A trial that was ended early before the job was resumed stays so."""
        trial.status, trial.metrics = Status.CANCELED, past.metrics
        trial.score = _finite(past.metrics.get(self.sweep.metric))
        reason = str(past.about.get(ENDED_EARLY, "before the job was resumed"))
        trial.message = f"ended early: {reason}"
        self._note_early(trial, reason)
        now = self.context.now()
        self.context.emit(
            StepFinished(self.context.job, now, step=trial.name, status=trial.status, message=trial.message,
                         key=past.key, metrics=past.metrics)
        )  # fmt: skip
        self.search.learn(trial.number, trial.point, trial.score)

    def _hear(self) -> None:
        """Wait until a trial has ended, or it is time to look at those that run."""
        watched = self.sweep.policy is not None or self._deadline < math.inf
        done, _ = wait(self.running, LOOK_S if watched else None, FIRST_COMPLETED)
        for future in done:
            self._take(self.running.pop(future), future.result())
        if self.context.clock.monotonic() >= self._deadline and not self.over:
            self.over = f"it did not end within {self.sweep.timeout_s:g} s"
            self._stop_all(self.over)
        if self.sweep.policy is not None:
            self._end_hopeless()

    def _take(self, trial: Trial, event: RunEvent) -> None:
        if isinstance(event, StepReused):
            trial.status, trial.metrics, trial.outputs = Status.COMPLETED, event.metrics, event.outputs
        elif isinstance(event, StepFinished):
            trial.status, trial.metrics, trial.outputs = event.status, event.metrics, event.outputs
            trial.message = event.message
        trial.score = _finite(trial.metrics.get(self.sweep.metric))
        self.search.learn(trial.number, trial.point, trial.score)
        self._write(
            f"{trial.name}: {trial.status}, {self._say_score(trial)} ({trial.describe()}) {trial.message}".rstrip()
        )
        ended = [t for t in self.trials if t.status.is_final]
        limit = max(HOPELESS_AFTER, self._at_once())
        if len(ended) >= limit and all(t.score is None for t in ended) and len(ended) < self.sweep.total:
            self.over = f"the first {len(ended)} trials gave no value of `{self.sweep.metric}`"
            self._stop_all(self.over)

    def _end_hopeless(self) -> None:
        courses = {t.number: self._course(t) for t in self.trials}
        for number, reason in find_hopeless(self.sweep, courses).items():
            trial = self.trials[number]
            self._write(f"{trial.name}: ended early, {reason}")
            self._note_early(trial, reason)
            stop_step(self.context, trial.step, trial.stop, f"ended early: {reason}")
        for trial in self.trials:
            trial.judged = len(courses[trial.number].values)

    def _course(self, trial: Trial) -> Course:
        tracker = self.context.ports.tracker
        found = tracker.values(self.context.folder.step(trial.name).root, self.sweep.metric) if tracker else ()
        running = not trial.status.is_final and not trial.stop.asked.is_set()
        return Course([v for v in found if math.isfinite(v)], running, trial.judged)

    def _note_early(self, trial: Trial, reason: str) -> None:
        self._note(trial.step, {ENDED_EARLY: reason})

    def _note(self, step: Step, properties: Mapping[str, str]) -> None:
        self.context.emit(StepNoted(self.context.job, self.context.now(), step=step.name, properties=properties))

    def _stop_all(self, reason: str) -> None:
        for trial in self.running.values():
            stop_step(self.context, trial.step, trial.stop, reason)

    def _write(self, line: str) -> None:
        with self.work.folder.log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def _say_score(self, trial: Trial) -> str:
        return f"no {self.sweep.metric}" if trial.score is None else f"{self.sweep.metric} {trial.score:.6g}"

    def judge(self) -> StepEnd:
        """Take the best trial, or say why there is none."""
        best = self._best()
        if self.context.canceled.is_set():
            return StepEnd(Status.CANCELED, message="canceled")
        if best is None:
            return StepEnd(Status.FAILED, message=self._say_failure())
        self._report(best)
        if self.over:
            return StepEnd(
                Status.CANCELED, message=f"{self.over}; the best trial so far is {best.name}", metrics=best.metrics
            )
        self._adopt(best)
        return StepEnd(Status.COMPLETED, 0, metrics=best.metrics, message=self._say_best(best))

    def _best(self) -> Trial | None:
        best: Trial | None = None
        best_score = math.nan
        for trial in self.trials:
            if trial.status is not Status.COMPLETED or trial.score is None:
                continue
            if best is None or self.sweep.is_better(trial.score, best_score):
                best, best_score = trial, trial.score
        return best

    def _say_best(self, best: Trial) -> str:
        return f"best of {len(self.trials)} trials: {best.name}, {self._say_score(best)} with {best.describe()}"

    def _report(self, best: Trial) -> None:
        """What Azure ML keeps of a sweep, under its names, and what a person asks next."""
        self._write(self._say_best(best))
        self._note(
            self.work.step,
            {
                "best_child_run_id": self.context.run_id(best.name),
                "best_metric_status": "Succeeded",
                "primary_metric": self.sweep.metric,
                "score": repr(best.score),
                "best_parameters": json.dumps(dict(best.values)),
            },
        )
        rows = [_row(self.context.run_id(t.name), t) for t in self.trials]
        write_atomic(self.work.folder.root / TRIALS_FILE, json.dumps(rows, indent=1).encode())

    def _adopt(self, best: Trial) -> None:
        """The best trial's outputs appear as the sweep's, its `./outputs` too."""
        folder = self.work.folder
        for name, ref in best.outputs.items():
            own = name == DEFAULT_OUTPUT and name not in self.work.step.outputs
            try:
                self.context.ports.artifacts.place(ref, folder.cwd / "outputs" if own else folder.outputs / name)
            except KeyError as exc:
                raise FailedError(f"The outputs kept of `{best.name}` are damaged", hint="Run again.") from exc

    def _say_failure(self) -> str:
        """Why no trial can be called the best."""
        if self.over and any(t.score is not None for t in self.trials):
            return self.over
        completed = [t for t in self.trials if t.status is Status.COMPLETED]
        if completed:
            return _say_unlogged(self.sweep.metric, completed, len(self.trials))
        failed = [t for t in self.trials if t.status is Status.FAILED]
        if not failed:
            return self.over or "no trial completed"
        return f"all {len(failed)} trials that ran failed; {failed[0].name}: {failed[0].message}{self._tail(failed[0])}"

    def _tail(self, trial: Trial) -> str:
        lines = [line for line in read_tail(self.context.folder.step(trial.name).log) if line.strip()]
        return f" ({lines[-1].strip()})" if lines else ""


def _say_unlogged(metric: str, completed: Sequence[Trial], count: int) -> str:
    logged = sorted({name for t in completed for name in t.metrics})
    if metric in logged:
        return f"no trial logged a finite value of the primary metric `{metric}`"
    what = f"no trial of {count} logged the primary metric `{metric}`"
    if not logged:
        return f'{what}, nor any other: call mlflow.log_metric("{metric}", …) in the trial\'s script'
    hint = did_you_mean(metric, logged)
    return f"{what}; logged were: {', '.join(logged)}" + (f". {hint}" if hint.startswith("Did") else "")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _row(run_id: str, trial: Trial) -> dict[str, Any]:
    return {
        "name": run_id,
        "status": str(trial.status),
        "parameters": dict(trial.values),
        "metrics": dict(trial.metrics),
        "message": trial.message,
    }
