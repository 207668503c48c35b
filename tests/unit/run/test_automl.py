"""AutoML steps: what the driver is told, and what is said when FLAML is not here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, pipeline
from tidemill.base.errors import FailedError, UsageError
from tidemill.base.ids import StepName
from tidemill.plan.graph import OutputSpec, Step, StepKind
from tidemill.run.automl import read_settings, share_cores
from tidemill.run.parallel_data import describe_table

BODY = {"task": "classification", "target_column_name": "rough"}


def test_what_a_document_leaves_out_is_as_on_azure() -> None:
    found = read_settings(BODY)
    assert found["primary_metric"] == "accuracy"
    assert found["limits"] == {
        "timeout_s": 21600,
        "trial_timeout_s": None,
        "max_trials": 998,
        "early_stop": True,
        "exit_score": None,
        "concurrent": 1,
        "cores": 0,
    }
    assert set(found["ensembles"]) == {"vote", "stack"}


def test_limits_are_seconds_and_the_ensembles_are_trials_too() -> None:
    limits = {
        "timeout_minutes": 10,
        "trial_timeout_minutes": "2",  # text: it came from an input
        "max_trials": 5,
        "exit_score": 0.9,
        "enable_early_termination": False,
        "max_concurrent_trials": 4,
        "max_cores_per_trial": 2,
    }
    assert read_settings({**BODY, "limits": limits})["limits"] == {
        "timeout_s": 600,
        "trial_timeout_s": 120,
        "max_trials": 3,
        "early_stop": False,
        "exit_score": 0.9,
        "concurrent": 4,
        "cores": 2,
    }
    few = read_settings({**BODY, "limits": {"max_trials": 3}})
    assert few["ensembles"] == {}
    assert few["limits"]["max_trials"] == 3


@pytest.mark.parametrize(
    ("concurrent", "cores", "slots", "shared"),
    [
        (1, 0, 4, (1, 4)),  # Azure ML's defaults: one trial on all cores
        (4, 0, 4, (4, 1)),
        (4, 2, 4, (2, 2)),
        (3, 0, 8, (3, 2)),
        (8, 1, 2, (2, 1)),
        (2, 8, 4, (1, 4)),  # a trial may have more cores than there are
    ],
)
def test_trials_share_the_cores_of_the_step_and_never_use_more(
    concurrent: int, cores: int, slots: int, shared: tuple[int, int]
) -> None:
    found = share_cores({"concurrent": concurrent, "cores": cores}, slots)
    assert (found["workers"], found["jobs"]) == shared
    assert found["workers"] * found["jobs"] <= slots


def test_ensembles_are_made_unless_the_document_forbids_them() -> None:
    training = {"enable_vote_ensemble": False, "stack_ensemble_settings": {"stack_meta_learner_type": "elastic_net"}}
    found = read_settings({**BODY, "training": training})
    assert found["ensembles"] == {"stack": {"stack_meta_learner_type": "elastic_net"}}
    assert read_settings({**BODY, "task": "forecasting"})["ensembles"] == {}


def test_folds_left_to_automl_are_none() -> None:
    assert read_settings({**BODY, "n_cross_validations": "auto"})["n_cross_validations"] is None
    assert read_settings({**BODY, "n_cross_validations": 4})["n_cross_validations"] == 4


def test_a_table_is_described_by_its_mltable_else_by_its_files(tmp_path: Path) -> None:
    assert describe_table(tmp_path) == {"paths": [str(tmp_path)], "table": {}}
    text = "type: mltable\npaths: [{file: ./w.csv}]\ntransformations: [{read_delimited: {delimiter: ';'}}]\n"
    (tmp_path / "MLTable").write_text(text)
    found = describe_table(tmp_path)
    assert found["table"] == {"reader": "delimited", "delimiter": ";"}
    (tmp_path / "MLTable").write_text("type: mltable\npaths: [{file: 'https://far.example/w.csv'}]\n")
    with pytest.raises(FailedError, match="not in its folder"):
        describe_table(tmp_path)


def test_without_flaml_nothing_of_the_job_is_run(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "flaml" else find(n, *a))
    data = tmp_path / "w.csv"
    data.write_text("height,rough\n1,yes\n")
    step = Step(
        StepName("learn"),
        StepKind.AUTOML,
        inputs={"training_data": bind(data)},
        outputs={"best_model": OutputSpec("mlflow_model")},
        body=BODY,
    )
    with pytest.raises(UsageError, match="`learn` is an AutoML step, which needs FLAML") as caught:
        workspace.run(pipeline(step))
    assert caught.value.hint == "pip install 'tidemill[automl]'"
    assert not list(workspace.home.glob("jobs/*/learn"))
