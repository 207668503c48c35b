"""Whatever MLflow can load: rows as its signature types them, answers of any kind as JSON can hold them."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np

from tidemill.serve.frames import frame_maker
from tidemill.serve.params import by_params
from tidemill.serve.predictor import Answer, Array, Predictor, from_scores
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import ModelSignature

UNFIT = "Failed to enforce schema"  # MLflow's words for what is not as the signature says


def pyfunc_predictor(signature: ModelSignature) -> Predictor:
    """A model of any flavour, by MLflow."""
    model = importlib.import_module("mlflow.pyfunc").load_model(str(signature.folder))
    prepare = _preparation(signature)
    index = {name: i for i, name in enumerate(signature.classes)}

    def ask(rows: Array, **params: Any) -> Answer:  # noqa: ANN401 - what the signature names
        given = prepare(rows)
        try:
            found = model.predict(given, params=params) if params else model.predict(given)
        except Exception as exc:
            if type(exc).__name__ == "MlflowException" and str(exc).startswith(UNFIT):
                raise RequestProblem(str(exc).rpartition("Error: ")[2]) from exc
            raise
        scores = _scores(found)
        if scores is not None and signature.classes:
            return from_scores(scores, signature)
        return Answer([index.get(v, v) if isinstance(v, str) else v for v in one_a_row(found, len(rows))])

    def apart(rows: Array) -> Answer:
        labels: list[Any] = []
        for part, params in by_params(rows):
            labels += ask(part, **params).labels
        return Answer(labels)

    return Predictor(apart if signature.params else ask, signature.classes, "mlflow pyfunc", model)


def _preparation(signature: ModelSignature) -> Callable[[Array], Any]:
    if signature.columns:
        return frame_maker(signature.columns)
    dtype = np.dtype(signature.dtype) if signature.dtype else None
    return lambda rows: rows if dtype is None or rows.dtype == object else rows.astype(dtype)


def _scores(found: Any) -> Array | None:  # noqa: ANN401 - what a model may answer
    """A table of numbers with several columns, if it is one."""
    if isinstance(found, Mapping) and len(found) == 1:
        found = next(iter(found.values()))
    if not hasattr(found, "__array__"):
        return None
    scores = np.asarray(found)
    return scores if scores.ndim == 2 and scores.shape[1] > 1 and scores.dtype.kind in "iuf" else None  # noqa: PLR2004


def one_a_row(found: Any, rows: int) -> list[Any]:  # noqa: ANN401
    """The answers one by one: records of a table with several columns, else values or lists of them."""
    if hasattr(found, "columns") and hasattr(found, "to_dict"):
        names = [str(c) for c in found.columns]
        lists = [as_json(found.iloc[:, i].tolist()) for i in range(len(names))]
        return lists[0] if len(names) == 1 else [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]
    if isinstance(found, Mapping) and all(hasattr(v, "__len__") and len(v) == rows for v in found.values()):
        columns = {str(k): as_json(list(v)) for k, v in found.items()}
        if len(columns) == 1:
            return next(iter(columns.values()))
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if hasattr(found, "tolist"):
        array = np.asarray(found)
        found = array.ravel().tolist() if array.size == len(array.reshape(-1)) == rows else array.tolist()
    if isinstance(found, (list, tuple)):
        return [as_json(v) for v in found]
    return [as_json(found)]


def as_json(value: Any) -> Any:  # noqa: ANN401 - what a model may answer
    """A value JSON has: arrays as lists, moments as text, bytes in base64."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [as_json(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    return as_json(value.tolist()) if hasattr(value, "tolist") else str(value)
