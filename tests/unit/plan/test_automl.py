"""AutoML documents: which algorithms are tried, and what is said of what cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plan.conftest import ListedAssets
from tidemill.base.errors import SpecError
from tidemill.plan.automl import estimators
from tidemill.plan.graph import Plan
from tidemill.plan.make import make_plan
from tidemill.spec.load import load_valid

HEAD = "type: automl\ntarget_column_name: rough\ntraining_data: {type: mltable, path: ./waves}\n"


def plan_of(folder: Path, more: str) -> Plan:
    (folder / "waves").mkdir()
    (folder / "waves" / "MLTable").write_text("type: mltable\npaths: [{file: ./w.csv}]\n")
    file = folder / "job.yml"
    file.write_text("$schema: https://azuremlschemas.azureedge.net/latest/autoMLJob.schema.json\n" + HEAD + more)
    return make_plan(load_valid(file), assets=ListedAssets())


@pytest.mark.parametrize("name", ["LightGBM", "light_gbm", "lightGBM"])
def test_an_algorithm_is_known_however_it_is_written(name: str) -> None:
    assert estimators("classification", {"allowed_training_algorithms": [name]}) == ("lgbm",)


def test_blocked_algorithms_are_left_out() -> None:
    found = estimators("regression", {"blocked_training_algorithms": ["light_gbm", "xg_boost_regressor"]})
    assert found == ("rf", "extra_tree", "histgb", "enet")


def test_an_algorithm_that_is_not_here_is_named_and_the_others_are_tried(tmp_path: Path) -> None:
    text = "task: classification\ntraining: {allowed_training_algorithms: [svm, light_gbm]}\n"
    (finding,) = plan_of(tmp_path, text).findings
    assert finding.code == "TM-N122"
    assert "`svm`" in finding.message


def test_no_algorithm_left_is_an_error_at_its_line(tmp_path: Path) -> None:
    text = "task: classification\ntraining: {allowed_training_algorithms: [svm]}\n"
    with pytest.raises(SpecError, match="No algorithm is left to try") as caught:
        plan_of(tmp_path, text)
    assert "lightgbm" in caught.value.hint
    assert caught.value.at is not None
    assert caught.value.at.line == 6


def test_every_setting_without_effect_is_named(tmp_path: Path) -> None:
    text = (
        "task: classification\npositive_label: calm\nfeaturization: {mode: auto, dataset_language: deu}\n"
        "training: {enable_onnx_compatible_models: true, enable_dnn_training: false}\n"
    )
    findings = plan_of(tmp_path, text).findings
    assert {f.path for f in findings} == {
        "positive_label",
        "featurization.dataset_language",
        "training.enable_onnx_compatible_models",
    }
    assert {f.at.line for f in findings if f.at} == {6, 7, 8}


def test_tasks_on_text_and_images_say_what_they_would_need(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"`text_classification` is not done here.*GPUs"):
        plan_of(tmp_path, "task: text_classification\n")


def test_a_forecast_names_what_it_does_not_use(tmp_path: Path) -> None:
    text = "task: forecasting\nvalidation_data_size: 0.2\nforecasting: {time_column_name: day, use_stl: season}\n"
    findings = plan_of(tmp_path, text).findings
    assert {f.path for f in findings} == {"validation_data_size", "forecasting.use_stl"}
