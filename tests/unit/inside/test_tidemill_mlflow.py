"""MLflow in a step, by a real MLflow."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.inside.conftest import StepOfTest
from tests.waiting import PATIENCE_S
from tidemill.base import proc


def runs(step: StepOfTest) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(step.home / "mlflow" / "mlflow.db")) as connection:
        return connection.execute("SELECT name, status, run_uuid FROM runs").fetchall()


def test_what_is_logged_without_a_run_reaches_the_steps_run_and_the_file_beside(step: StepOfTest) -> None:
    step.run("import mlflow; mlflow.log_metrics({'accuracy': 0.9, 'loss': 0.1}, step=2); mlflow.log_param('depth', 3)")
    step.run("import mlflow; mlflow.log_metric('accuracy', 0.95)")
    assert [(r["name"], r["value"], r["step"]) for r in step.rows()] == [
        ("accuracy", 0.9, 2), ("loss", 0.1, 2), ("accuracy", 0.95, 0),
    ]  # fmt: skip
    assert [(r["name"], r["value"]) for r in step.rows("params.jsonl")] == [("depth", "3")]
    assert [r[:2] for r in runs(step)] == [("job.train", "FINISHED")]


def test_users_addresses_and_experiments_give_way_to_the_jobs(step: StepOfTest) -> None:
    step.run(
        """
import mlflow
mlflow.set_tracking_uri("azureml://elsewhere"); mlflow.set_experiment("mine")
with mlflow.start_run(run_name="again") as first:
    mlflow.log_metric("a", 1)
with mlflow.start_run() as second:
    assert second.info.run_id == first.info.run_id
"""
    )
    assert [r[:2] for r in runs(step)] == [("again", "FINISHED")]


def test_nested_runs_are_children_and_their_metrics_are_not_the_steps(step: StepOfTest) -> None:
    step.run(
        """
import mlflow, os
with mlflow.start_run(nested=True) as child:
    mlflow.log_metric("accuracy", 0.1)
mlflow.log_metric("accuracy", 0.8)
parent = mlflow.active_run().info.run_id
with mlflow.start_run(nested=True) as other:
    mlflow.log_metric("accuracy", 0.2)
client = mlflow.MlflowClient()
for run in (child, other):
    assert client.get_run(run.info.run_id).data.tags["mlflow.parentRunId"] == parent == os.environ["MLFLOW_RUN_ID"]
"""
    )
    assert [r["value"] for r in step.rows()] == [0.8]
    assert len(runs(step)) == 3


def test_a_step_that_fails_leaves_a_failed_run(step: StepOfTest) -> None:
    step.run("import mlflow; mlflow.log_metric('a', 1); raise ValueError", fails=True)
    assert runs(step)[0][1] == "FAILED"
    other = replace(step, name="other")
    other.run("import mlflow, sys; mlflow.log_metric('a', 1); sys.exit(3)", fails=True)
    assert [r[1] for r in runs(step)] == ["FAILED", "FAILED"]


def test_importing_mlflow_makes_no_store(step: StepOfTest) -> None:
    step.run("import mlflow; mlflow.set_tracking_uri('x')")
    assert not (step.home / "mlflow" / "mlflow.db").exists()


def test_steps_that_start_at_once_share_a_new_store(step: StepOfTest) -> None:
    steps = [replace(step, name=f"s{n}") for n in range(3)]
    started = []
    for each in steps:
        each.folder.mkdir(parents=True)
        argv = [sys.executable, "-c", "import mlflow; mlflow.log_metric('a', 1); mlflow.log_text('x', 'x.txt')"]
        started.append(proc.start(argv, env=each.env, cwd=each.folder))
    assert [p.wait(PATIENCE_S) for p in started] == [0, 0, 0]
    assert sorted(r[0] for r in runs(step)) == ["job.s0", "job.s1", "job.s2"]
    assert len(list((step.home / "mlflow" / "artifacts").rglob("x.txt"))) == 3


@pytest.mark.slow
def test_a_database_of_another_mlflow_is_left_alone(step: StepOfTest) -> None:
    step.run("import mlflow; mlflow.log_metric('a', 1)")
    with closing(sqlite3.connect(step.home / "mlflow" / "mlflow.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    other = replace(step, name="other")
    other.run("import mlflow; mlflow.log_metric('b', 2)")
    assert [r["value"] for r in other.rows()] == [2]
    assert len(list((step.home / "mlflow").glob("mlflow-*.db"))) == 1
