"""scikit-learn models as they were trained: with columns by name where they ask for them, and classes of their own type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tidemill.serve.frames import frame_maker
from tidemill.serve.predictor import Answer, Array, Predict
from tidemill.serve.signature import NUMERIC, Column, ModelSignature

Prepare = Callable[[Array], Any]
WILFUL = {"SVC", "NuSVC", "FixedThresholdClassifier", "TunedThresholdClassifierCV"}


def with_columns(model: Any, signature: ModelSignature) -> ModelSignature:  # noqa: ANN401 - any estimator
    """The signature with what the model itself tells: its columns where none were kept, the words its encoders know."""
    if not class_values(model) and not signature.classes:
        signature = replace(signature, task="regression")
    columns = signature.columns or _own_columns(model, signature)
    if not columns:
        return signature
    known = dict(_categories(model))
    return replace(signature, kind="table", columns=tuple(_with_values(c, known) for c in columns))


def _own_columns(model: Any, signature: ModelSignature) -> tuple[Column, ...]:  # noqa: ANN401
    if signature.image or signature.shape:
        return ()
    words = {n for n, (values, _) in _categories(model) if any(isinstance(v, str) for v in values)}
    names = getattr(model, "feature_names_in_", ())
    return tuple(Column(str(n), "string" if n in words else "number") for n in names)


def _with_values(column: Column, known: Mapping[str, tuple[list[Any], bool]]) -> Column:
    values, closed = known.get(column.name, ([], False))
    if column.type != "string" or not values:
        return column
    words = tuple(v for v in values if isinstance(v, str))
    return replace(column, values=column.values or words, closed=closed and set(column.values) <= set(words))


def _categories(model: Any) -> Iterator[tuple[str, tuple[list[Any], bool]]]:  # noqa: ANN401
    """Columns that encoders saw: the values, and whether others make the model fail."""
    for step in _steps(model):
        for _, inner, names in getattr(step, "transformers_", ()):
            for encoder in _steps(inner):
                found = getattr(encoder, "categories_", None)
                if found is not None and not isinstance(names, slice) and len(found) == len(names):
                    closed = getattr(encoder, "handle_unknown", "") == "error"
                    yield from ((str(n), (list(v), closed)) for n, v in zip(names, found, strict=True))


def _steps(model: Any) -> list[Any]:  # noqa: ANN401
    """The parts of a pipeline, those of pipelines in it included; a model alone is one."""
    inner = getattr(model, "steps", None)
    return [model] if inner is None else [s for _, part in inner for s in _steps(part)]


def estimator(model: Any, signature: ModelSignature) -> Predict:  # noqa: ANN401
    """Probabilities where the model gives them, else its labels or values."""
    own = class_values(model)
    index = {label: i for i, label in enumerate(own)}
    prepare = _preparation(model, signature)

    itself = decides_itself(model)

    def classify(rows: Array) -> Answer:
        given = prepare(rows)
        probabilities = np.asarray(model.predict_proba(given))
        labels = [index[v] for v in model.predict(given).tolist()] if itself else probabilities.argmax(axis=1).tolist()
        return Answer(labels, probabilities)

    def label(rows: Array) -> Answer:
        return Answer([index.get(v, v) for v in np.asarray(model.predict(prepare(rows))).tolist()])

    def values(rows: Array) -> Answer:
        found = np.asarray(model.predict(prepare(rows)))
        return Answer((found.ravel() if found.size == len(found) else found).tolist())

    if signature.task == "regression" or not own:
        return values
    return classify if hasattr(model, "predict_proba") else label


def decides_itself(model: Any) -> bool:  # noqa: ANN401
    """Whether the label need not be the most probable class: thresholds of its own, or probabilities from another fit."""
    last = _steps(model)[-1]
    inner = getattr(last, "best_estimator_", None) or getattr(last, "estimator_", None)
    return type(last).__name__ in WILFUL or (inner is not None and decides_itself(inner))


def class_values(model: Any) -> Sequence[Any]:  # noqa: ANN401
    """The classes in the order of the model's outputs; none where it has several outputs."""
    own = getattr(model, "classes_", ())
    if isinstance(own, list) and any(np.ndim(c) for c in own):
        return ()
    found: list[Any] = np.asarray(own).tolist()
    return found


def _preparation(model: Any, signature: ModelSignature) -> Prepare:  # noqa: ANN401
    """Arrays as they are where the model takes them, else DataFrames, with the columns in the model's own order."""
    columns = signature.columns
    if not columns:
        return _as_it_is
    names, own = [c.name for c in columns], [str(n) for n in getattr(model, "feature_names_in_", ())]
    other = own if own != names and sorted(own) == sorted(names) else []
    if other or any(c.type not in NUMERIC for c in columns) or not _takes_arrays(model, len(columns)):
        return frame_maker(columns, other)
    return _as_it_is


def _takes_arrays(model: Any, width: int) -> bool:  # noqa: ANN401
    """Whether it answers to an array: a model that picks columns by their names, or code of the user's own, may not."""
    try:
        model.predict(np.zeros((1, width)))
    except Exception:  # noqa: BLE001 - whatever a model does with what it does not take
        return False
    return True


def _as_it_is(rows: Array) -> Array:
    return rows
