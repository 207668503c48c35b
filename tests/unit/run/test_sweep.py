"""Sweeps run: trials are steps of their own, the best one's outputs are the sweep's."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, command, of, pipeline
from tidemill.backends.searchers.optuna import open_search
from tidemill.backends.trackers.mlflow import open_tracker
from tidemill.base.errors import InterruptedRun
from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import OutputSpec, Plan, Step, StepKind
from tidemill.record.runs import get_job, past_steps
from tidemill.run.context import RunOptions
from tidemill.run.runner import execute
from tidemill.run.state import Status
from tidemill.spec.expression import parse_template

LOG = 'log() { echo "{\\"name\\": \\"$1\\", \\"value\\": $2}" >> $TIDEMILL_STEP_FOLDER/metrics.jsonl; }; '
CHOICE = {"x": {"type": "choice", "values": [1, 2, 3, 4]}}


@pytest.fixture
def space(workspace: Workspace) -> Workspace:
    """A workspace whose steps are measured."""
    workspace.ports = dataclasses.replace(
        workspace.ports, tracker=open_tracker(workspace.home, ""), searches=open_search
    )
    return workspace


def sweep(text: str, *, name: str = "tune", total: int = 4, sampling: object = "grid", **more: object) -> Step:
    settings = {"outputs", "inputs", "deterministic"}
    limits = {"max_total_trials": total} | dict(more.pop("limits", {}))  # type: ignore[call-overload]
    body = {
        "search_space": CHOICE,
        "sampling_algorithm": sampling,
        "objective": {"goal": "maximize", "primary_metric": "acc"},
        "limits": limits,
    } | {k: v for k, v in more.items() if k not in settings}
    return Step(
        StepName(name),
        StepKind.SWEEP,
        command=parse_template(LOG + text),
        inputs={n: bind(v) for n, v in more.get("inputs", {}).items()},  # type: ignore[attr-defined]
        outputs={n: OutputSpec(t) for n, t in more.get("outputs", {}).items()},  # type: ignore[attr-defined]
        deterministic=bool(more.get("deterministic", True)),
        body=body,
    )


def alone(step: Step) -> Plan:
    return dataclasses.replace(pipeline(step), type="sweep")


SCORE = "log acc 0.${{search_space.x}}; "


def test_the_best_trial_gives_the_sweep_its_outputs_and_metrics(space: Workspace) -> None:
    text = SCORE + "echo ${{search_space.x}} > ${{outputs.model}}/w; echo ${{inputs.x}} > outputs/default.txt"
    after = command(
        "use", "cat ${{inputs.m}}/w > ${{outputs.o}}", inputs={"m": of("tune", "model")}, outputs={"o": "uri_file"}
    )
    result = space.run(pipeline(sweep(text, outputs={"model": "uri_folder"}), after))
    assert result.ok
    assert result.steps["use"].outputs["o"].read_text() == "4\n"
    tune = result.steps["tune"]
    assert (tune.outputs["default"] / "default.txt").read_text() == "4\n"
    assert tune.metrics == {"acc": 0.4}
    assert tune.properties["best_child_run_id"] == f"{result.name}.tune_3"
    assert json.loads(tune.properties["best_parameters"]) == {"x": 4}
    assert "best of 4 trials: tune_3, acc 0.4 with x=4" in tune.message


def test_every_trial_is_a_step_with_folder_log_and_parameters(space: Workspace) -> None:
    result = space.run(alone(sweep(SCORE + "echo run $AZUREML_RUN_ID")))
    trials = {n: s for n, s in result.steps.items() if s.parent == "tune"}
    assert list(trials) == ["tune_0", "tune_1", "tune_2", "tune_3"]
    assert trials["tune_1"].parameters == {"x": 2}
    assert f"run {result.name}_1" in trials["tune_1"].log.read_text()
    assert "tune_1: Completed, acc 0.2 (x=2)" in result.steps["tune"].log.read_text()


def test_minimizing_takes_the_smallest(space: Workspace) -> None:
    step = sweep(SCORE, objective={"goal": "minimize", "primary_metric": "acc"})
    assert space.run(pipeline(step)).steps["tune"].metrics == {"acc": 0.1}


def test_an_unchanged_sweep_is_reused_with_what_is_known_of_its_best_trial(space: Workspace) -> None:
    step = sweep(SCORE + "echo ${{search_space.x}} > ${{outputs.model}}/w", outputs={"model": "uri_folder"})
    first, second = space.run(pipeline(step)), space.run(pipeline(step))
    assert list(second.steps) == ["tune"]
    assert second.steps["tune"].reused
    assert (second.steps["tune"].outputs["model"] / "w").read_text() == "4\n"
    assert second.steps["tune"].properties == first.steps["tune"].properties


def test_a_longer_sweep_reuses_the_trials_of_the_shorter_one(space: Workspace) -> None:
    space.run(pipeline(sweep(SCORE, total=2, sampling="random")))
    result = space.run(pipeline(sweep(SCORE, total=4, sampling="random")))
    assert result.steps["tune_0"].reused
    assert result.steps["tune_1"].reused
    assert not result.steps["tune"].reused


def test_a_grid_smaller_than_the_limit_ends_when_it_is_exhausted(space: Workspace) -> None:
    result = space.run(pipeline(sweep(SCORE, total=50)))
    assert sum(s.parent == "tune" for s in result.steps.values()) == 4


@pytest.mark.parametrize("sampling", ["bayesian", {"type": "random", "rule": "sobol", "seed": 3}])
def test_optuna_draws_from_the_whole_space(space: Workspace, sampling: object) -> None:
    search = {"x": {"type": "uniform", "min_value": 2, "max_value": 3}, "k": {"type": "choice", "values": ["a", "b"]}}
    result = space.run(
        pipeline(
            sweep(
                "log acc ${{search_space.x}}; test -n ${{search_space.k}}",
                total=6,
                sampling=sampling,
                search_space=search,
            )
        )
    )
    drawn = [s.parameters for s in result.steps.values() if s.parent]
    assert len({d["x"] for d in drawn}) == 6
    assert all(2 <= d["x"] <= 3 for d in drawn)
    assert result.steps["tune"].metrics["acc"] == max(d["x"] for d in drawn)


def test_bayesian_sampling_learns_where_the_good_values_are(space: Workspace) -> None:
    search = {"x": {"type": "uniform", "min_value": 0, "max_value": 100}}
    text = 'log acc $(awk "BEGIN{print -(${{search_space.x}}-70)^2}")'
    step = sweep(
        text,
        total=30,
        sampling={"type": "bayesian", "seed": 1},
        search_space=search,
        limits={"max_concurrent_trials": 1},
    )
    result = space.run(pipeline(step))
    late = [s.parameters["x"] for s in result.steps.values() if s.parent][20:]
    assert sum(abs(x - 70) < 25 for x in late) >= 7


def test_a_metric_nobody_logged_is_an_error_that_names_the_ones_logged(space: Workspace) -> None:
    result = space.run(pipeline(sweep("log accuracy 0.5; log loss 0.1")))
    assert result.steps["tune"].status is Status.FAILED
    assert "logged the primary metric `acc`; logged were: accuracy, loss" in result.steps["tune"].message


def test_trials_that_log_nothing_are_told_how_to(space: Workspace) -> None:
    assert 'mlflow.log_metric("acc", …)' in space.run(pipeline(sweep("true"))).steps["tune"].message


def test_a_failed_trial_does_not_fail_the_sweep(space: Workspace) -> None:
    result = space.run(pipeline(sweep(SCORE + "test ${{search_space.x}} != 4")))
    assert result.ok
    assert result.steps["tune_3"].status is Status.FAILED
    assert result.steps["tune"].metrics == {"acc": 0.3}


def test_when_the_first_trials_all_fail_the_rest_is_not_tried(space: Workspace) -> None:
    result = space.run(
        pipeline(sweep("echo broken >&2; exit 3", total=40, search_space={"x": {"type": "randint", "upper": 40}}))
    )
    assert not result.ok
    assert sum(s.parent == "tune" for s in result.steps.values()) < 8
    assert re.search(r"tune_\d: its command ended with exit code 3 \(broken\)", result.steps["tune"].message)


def test_a_hopeless_trial_is_ended_early_and_stays_so_when_resumed(space: Workspace) -> None:
    text = "log acc 0.${{search_space.x}}; if [ ${{search_space.x}} = 1 ]; then sleep 3600; fi"
    search = {"x": {"type": "choice", "values": [9, 1]}}
    policy = {"type": "bandit", "slack_amount": 0.2}
    plan = pipeline(sweep(text, search_space=search, early_termination=policy, deterministic=False))
    result = space.run(plan)
    assert result.ok
    assert result.steps["tune_1"].status is Status.CANCELED
    assert "ended early: at value 1 its best 0.1 is behind" in result.steps["tune_1"].message
    past = past_steps(get_job(space.store, result.name))["tune_1"]
    assert past.completed is False
    assert past.about["ended_early"] in result.steps["tune_1"].message


def test_a_resumed_sweep_runs_only_what_had_not_completed(space: Workspace, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    text = (
        f"echo ran >> {tmp_path}/ran_${{{{search_space.x}}}}; [ ${{{{search_space.x}}}} -lt 3 ] || [ -e {gate} ] || sleep 60; "
        + SCORE
    )
    plan = pipeline(sweep(text, limits={"max_concurrent_trials": 1}, deterministic=False))
    job = JobName("sweeping")

    def interrupt() -> None:
        while not (tmp_path / "ran_3").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(InterruptedRun):
        execute(plan, job=job, ports=space.ports, options=RunOptions())
    gate.touch()
    result = space.resume(plan, job)
    assert result.ok
    assert [(tmp_path / f"ran_{n}").read_text().count("ran") for n in (1, 2, 3, 4)] == [1, 1, 2, 1]
    assert result.steps["tune_0"].reason == "completed before the job was resumed"
    assert get_job(space.store, job).steps["tune"].properties["best_child_run_id"] == f"{job}.tune_3"


def test_a_sweep_out_of_time_is_canceled_and_names_the_best_so_far(space: Workspace) -> None:
    text = SCORE + "[ ${{search_space.x}} = 1 ] || sleep 30"
    result = space.run(pipeline(sweep(text, limits={"timeout": 2, "max_concurrent_trials": 1})))
    assert result.steps["tune"].status is Status.CANCELED
    assert "did not end within 2 s; the best trial so far is tune_0" in result.steps["tune"].message


def test_a_trial_out_of_time_fails_alone(space: Workspace) -> None:
    text = SCORE + "[ ${{search_space.x}} -lt 4 ] || sleep 30"
    result = space.run(pipeline(sweep(text, limits={"trial_timeout": 1})))
    assert result.ok
    assert "did not end within 1 s" in result.steps["tune_3"].message


def test_no_more_trials_than_allowed_run_at_once(space: Workspace, tmp_path: Path) -> None:
    text = f"mkdir {tmp_path}/lock && sleep 0.1 && rmdir {tmp_path}/lock && " + SCORE.rstrip("; ")
    assert space.run(pipeline(sweep(text, limits={"max_concurrent_trials": 1}))).ok


def test_a_step_called_like_a_trial_keeps_its_name(space: Workspace) -> None:
    result = space.run(pipeline(sweep(SCORE, total=1), command("tune_0", "true")))
    assert result.ok
    assert {"tune", "tune_0", "tune__0"} == set(result.steps)
