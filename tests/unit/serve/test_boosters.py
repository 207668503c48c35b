"""XGBoost and LightGBM models answer as the library itself does, without a pickle and without MLflow's wrapper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tidemill.base.errors import UsageError
from tidemill.serve.engine import Engine, load_engine

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.needs_automl]
X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
BINARY, THREE, VALUE = (X[:, 0] > 0).astype(int), (X[:, 0] > 0).astype(int) + (X[:, 1] > 1), X[:, 0] * 2
COLUMNS = ["a", "b", "c"]
TASKS = [("binary", BINARY, ["no", "yes"]), ("three", THREE, ["x", "y", "z"]), ("value", VALUE, [])]


def folder(path: Path, flavor: str, data: str, classes: list[str]) -> Path:
    columns = [{"name": c, "type": "double"} for c in COLUMNS]
    path.mkdir(exist_ok=True)
    (path / "MLmodel").write_text(yaml.safe_dump({"flavors": {flavor: {"data": data}}}))
    (path / "serving.json").write_text(json.dumps({"columns": columns, "classes": classes}))
    return path


def engine(path: Path) -> Engine:
    return load_engine(path, name="m", version="1", deployment="", allow_pickle=False)


def compare(found: Engine, scores: Any, classes: list[str]) -> None:
    """The library's own scores, as the server tells them."""
    answer = found.predictor.predict(X.astype(np.float64))
    if not classes:
        assert np.allclose(answer.labels, scores, atol=1e-6)
        return
    wanted = np.asarray(scores)
    wanted = np.column_stack([1 - wanted, wanted]) if wanted.ndim == 1 else wanted
    assert np.allclose(np.asarray(answer.probabilities), wanted, atol=1e-6)
    told = [row["prediction"] for row in found.answers(answer)]
    assert told == [classes[i] for i in wanted.argmax(axis=1)]


@pytest.mark.parametrize(("task", "target", "classes"), TASKS)
def test_an_xgboost_booster_answers_as_the_library(tmp_path: Path, task: str, target: Any, classes: list[str]) -> None:
    xgboost = pytest.importorskip("xgboost")
    objective = {"binary": "binary:logistic", "three": "multi:softprob", "value": "reg:squarederror"}[task]
    options = {"objective": objective, "nthread": 1, **({"num_class": 3} if task == "three" else {})}
    matrix = xgboost.DMatrix(X, target, feature_names=COLUMNS)
    booster = xgboost.train(options, matrix, 5)
    path = folder(tmp_path / "m", "xgboost", "model.ubj", classes)
    booster.save_model(path / "model.ubj")
    found = engine(path)
    assert found.predictor.path == "xgboost"
    compare(found, booster.predict(matrix), classes)


@pytest.mark.parametrize(("task", "target", "classes"), TASKS)
def test_a_lightgbm_booster_answers_as_the_library(tmp_path: Path, task: str, target: Any, classes: list[str]) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    objective = {"binary": "binary", "three": "multiclass", "value": "regression"}[task]
    options = {"objective": objective, "verbose": -1, "num_threads": 1, **({"num_class": 3} if task == "three" else {})}
    booster = lightgbm.train(options, lightgbm.Dataset(X, target), 5)
    path = folder(tmp_path / "m", "lightgbm", "model.lgb", classes)
    booster.save_model(path / "model.lgb")
    found = engine(path)
    assert found.predictor.path == "lightgbm"
    compare(found, booster.predict(X), classes)


def test_an_xgboost_classifier_that_stopped_early_answers_by_its_best_trees(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    target = (X[:, 0] + np.random.default_rng(0).normal(0, 2, len(X)) > 0).astype(int)
    half = len(X) // 2
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=3, learning_rate=0.5, n_jobs=1)
    model.fit(X[:half], target[:half], eval_set=[(X[half:], target[half:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    path = folder(tmp_path / "m", "xgboost", "model.ubj", ["no", "yes"])
    booster = model.get_booster()  # what `model.save_model` does, which in XGBoost 2 needs a scikit-learn of its time
    booster.set_attr(scikit_learn=json.dumps({"_estimator_type": "classifier"}))
    booster.save_model(path / "model.ubj")
    compare(engine(path), model.predict_proba(X)[:, 1], ["no", "yes"])


def test_columns_of_the_signature_in_another_order_are_put_into_the_boosters(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    own = list(reversed(COLUMNS))
    matrix = xgboost.DMatrix(X[:, ::-1], X[:, 0] * 3 + X[:, -1], feature_names=own)
    booster = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, matrix, 5)
    path = folder(tmp_path / "m", "xgboost", "model.ubj", [])
    booster.save_model(path / "model.ubj")
    compare(engine(path), booster.predict(matrix), [])


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_a_pickled_one_is_refused_unless_it_is_allowed(tmp_path: Path, flavor: str) -> None:
    path = folder(tmp_path / "m", flavor, "model.pkl", [])
    (path / "model.pkl").write_bytes(b"")
    with pytest.raises(UsageError, match="may hold pickles"):
        engine(path)
