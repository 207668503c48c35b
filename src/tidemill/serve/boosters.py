"""XGBoost and LightGBM boosters from their own files, which hold data and no code; what was pickled goes through pyfunc."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.serve.decode import Array
from tidemill.serve.predictor import Answer, Predictor, load_pyfunc
from tidemill.serve.signature import NUMERIC, ModelSignature

XGBOOST_FILES = (".ubj", ".json", ".xgb", ".bst", ".model")
LIGHTGBM_FILES = (".lgb", ".txt")


def load_xgboost(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001 - one shape for all loaders
    """The booster itself; a model of XGBoost's scikit-learn classes is one in its file, too."""
    file = _own_file(signature, "xgboost", XGBOOST_FILES)
    if file is None:
        return load_pyfunc(signature, allow_pickle)
    xgboost = importlib.import_module("xgboost")
    booster = xgboost.Booster(model_file=str(file))
    booster.set_param({"nthread": 1})
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    names = booster.feature_names
    order, rounds = _order(signature, names), _rounds(booster)

    def score(rows: Array) -> Array:
        given = rows.astype(np.float32) if order is None else rows[:, order].astype(np.float32)
        matrix = xgboost.DMatrix(given, feature_names=names, nthread=1)
        return np.asarray(booster.predict(matrix, iteration_range=rounds))

    return Predictor(_answers(score, objective), signature.classes, "xgboost", width=booster.num_features())


def load_lightgbm(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001
    """The booster from its text."""
    file = _own_file(signature, "lightgbm", LIGHTGBM_FILES)
    if file is None:
        return load_pyfunc(signature, allow_pickle)
    booster = importlib.import_module("lightgbm").Booster(model_file=str(file))
    objective = str(booster.dump_model(num_iteration=1).get("objective", "")).partition(" ")[0]

    order = _order(signature, booster.feature_name())

    def score(rows: Array) -> Array:
        given = rows if order is None else rows[:, order]
        return np.asarray(booster.predict(given.astype(np.float64), num_threads=1))

    return Predictor(_answers(score, objective), signature.classes, "lightgbm", width=booster.num_feature())


def _order(signature: ModelSignature, names: Sequence[str] | None) -> list[int] | None:
    """Where the model's columns are among the signature's; `None` where they are in the same order, or have other names."""
    own, given = list(names or ()), [c.name for c in signature.columns]
    return [given.index(n) for n in own] if own != given and sorted(own) == sorted(given) else None


def _rounds(booster: Any) -> tuple[int, int]:  # noqa: ANN401 - XGBoost's own type
    """The trees that answer: XGBoost's scikit-learn classes stop at the best iteration, a booster of its own takes all."""
    best = booster.attr("best_iteration") if booster.attr("scikit_learn") else None
    return (0, 0) if best is None else (0, int(best) + 1)


def _own_file(signature: ModelSignature, flavor: str, endings: tuple[str, ...]) -> Path | None:
    """The booster's own file; `None` for pickles, and for columns of text, which only a DataFrame can hold."""
    if any(c.type not in NUMERIC for c in signature.columns):
        return None
    data = signature.mlmodel.get("flavors", {}).get(flavor, {}).get("data") or signature.model_file
    found = [signature.folder / data] if data else sorted(f for e in endings for f in signature.folder.glob(f"*{e}"))
    return found[0] if found and found[0].suffix in endings and found[0].is_file() else None


def _answers(score: Callable[[Array], Array], objective: str) -> Callable[[Array], Answer]:
    """Probabilities where the objective gives them, class numbers, or values."""
    if objective in {"binary:logistic", "binary", "cross_entropy"}:
        return lambda rows: _classes(np.column_stack([1 - (second := score(rows)), second]))
    if objective in {"multi:softprob", "multiclass", "multiclassova"}:
        return lambda rows: _classes(score(rows))
    if objective == "multi:softmax":
        return lambda rows: Answer([int(v) for v in score(rows)])
    return lambda rows: Answer([float(v) for v in score(rows).ravel()])


def _classes(scores: Array) -> Answer:
    return Answer(scores.argmax(axis=1).tolist(), scores)
