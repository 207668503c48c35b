"""AutoML documents on Azure ML: what is submitted is what its interface takes, and the best model comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.azureml.automl import wrong_with
from tests.azureml.service import AzureML
from tidemill.backends.azure.automl import as_table, task_details
from tidemill.backends.executors.azureml import AzureExecutor
from tidemill.base.errors import FailedError
from tidemill.run.models import ModelSearch
from tidemill.run.ports import Task
from tidemill.testing.executors import make_task, submit

BODY: dict[str, Any] = {
    "task": "classification", "primary_metric": "AUC_weighted", "target_column_name": "sea", "n_cross_validations": 3,
    "limits": {"max_trials": "8", "timeout_minutes": 2, "max_concurrent_trials": 2, "max_nodes": 4, "exit_score": "0.9", "enable_early_termination": True},
    "training": {"allowed_training_algorithms": ["light_gbm", "LogisticRegression", "xg_boost_classifier", "svm"],
                 "enable_vote_ensemble": False, "stack_ensemble_settings": {"stack_meta_learner_type": "logistic_regression"}},
    "featurization": {"mode": "custom", "column_name_and_types": {"wind": "Numeric"},
                      "transformer_params": {"imputer": [{"fields": ["wind"], "parameters": {"strategy": "median"}}]}},
}  # fmt: skip
FORECAST: dict[str, Any] = {
    "task": "forecasting", "primary_metric": "normalized_root_mean_squared_error", "target_column_name": "height",
    "n_cross_validations": "auto",
    "forecasting": {"time_column_name": "day", "forecast_horizon": 7, "target_lags": [1, 7], "seasonality": "auto",
                    "time_series_id_column_names": "station", "target_rolling_window_size": 3, "use_stl": "season",
                    "short_series_handling_config": "pad", "cv_step_size": "2"},
    "training": {"blocked_training_algorithms": ["tcn_forecaster", "seasonal_naive"]},
}  # fmt: skip


def search(folder: Path, **more: object) -> Task:
    """A table of three rows, most of them calm."""
    table = folder.parent / "waves.csv"
    table.write_text("wind,sea\n1,calm\n2,rough\n3,calm\n")
    (folder / "model").mkdir(parents=True)
    return make_task(
        folder,
        "",
        compute="azureml:big",
        search=ModelSearch({**BODY, **more}, {"training_data": table}, folder / "model"),
    )


def test_the_document_is_submitted_as_an_automl_job_and_its_best_model_comes_back(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    end = submit(make(), search(tmp_path / "a")).wait()
    assert end.ok, end.message
    (job,) = azure.jobs.values()
    assert job.properties["jobType"] == "AutoML"
    assert job.properties["computeId"].endswith("/computes/big")
    assert (tmp_path / "a" / "model" / "answer.txt").read_text() == "calm"
    assert json.loads((tmp_path / "a" / "metrics.jsonl").read_text())["value"] == pytest.approx(2 / 3)
    assert end.usage["machine_s"] > 0


def test_what_the_service_finds_wrong_is_said_in_its_words(
    azure: AzureML, make: Callable[[], AzureExecutor], tmp_path: Path
) -> None:
    end = submit(make(), search(tmp_path / "a", target_column_name="depth")).wait()
    assert not end.ok
    assert "The target column depth is not in the training data" in end.message
    assert list(azure.jobs)


def test_every_setting_has_the_name_and_the_type_of_the_interface(azure: AzureML) -> None:
    place = "azureml://datastores/workspaceblobstore/paths/t/"
    azure.storage.blobs["azureml-blobstore-1/t/MLTable"] = b""
    told = task_details(BODY, {"training_data": place, "validation_data": place})
    assert wrong_with(told, azure.storage) == ""
    assert told["limitSettings"] == {
        "maxTrials": 8, "timeout": "PT2M", "maxConcurrentTrials": 2, "exitScore": 0.9, "enableEarlyTermination": True,
    }  # fmt: skip
    assert told["primaryMetric"] == "AUCWeighted"
    assert told["nCrossValidations"] == {"mode": "Custom", "value": 3}
    assert told["trainingSettings"]["allowedTrainingAlgorithms"] == [
        "LightGBM",
        "LogisticRegression",
        "XGBoostClassifier",
        "SVM",
    ]
    assert told["trainingSettings"]["stackEnsembleSettings"] == {"stackMetaLearnerType": "LogisticRegression"}
    assert told["featurizationSettings"]["transformerParams"]["Imputer"][0]["fields"] == ["wind"]
    told = task_details(FORECAST, {"training_data": place})
    assert wrong_with(told, azure.storage) == ""
    assert told["forecastingSettings"] == {
        "timeColumnName": "day", "forecastHorizon": {"mode": "Custom", "value": 7}, "targetLags": {"mode": "Custom", "values": [1, 7]},
        "seasonality": {"mode": "Auto"}, "timeSeriesIdColumnNames": ["station"], "targetRollingWindowSize": {"mode": "Custom", "value": 3},
        "useStl": "Season", "shortSeriesHandlingConfig": "Pad", "cvStepSize": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("t.csv", "read_delimited: {delimiter: ',', encoding: utf8, header: all_files_same_headers}"),
        ("t.tsv", 'read_delimited: {delimiter: "\\t", encoding: utf8, header: all_files_same_headers}'),
        ("t.parquet", "read_parquet"),
        ("t.jsonl", "read_json_lines"),
    ],
)
def test_a_table_that_is_no_mltable_becomes_one(tmp_path: Path, name: str, reader: str) -> None:
    file = tmp_path / name
    file.write_text("x")
    found = as_table(make_task(tmp_path / "a", ""), "training_data", file)
    text = (found / "MLTable").read_text()
    assert text == f"type: mltable\npaths:\n  - file: ./{name}\ntransformations:\n  - {reader}\n"
    assert (found / name).read_text() == "x"
    assert as_table(make_task(tmp_path / "a", ""), "training_data", found) == found


def test_files_of_a_kind_that_is_no_table_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.docx").write_text("x")
    with pytest.raises(FailedError, match=r"of a kind that AutoML does not read: \.docx"):
        as_table(make_task(tmp_path / "a", ""), "training_data", tmp_path / "t.docx")
