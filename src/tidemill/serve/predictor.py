"""A loaded model as one function from an array to predictions; the library is imported only when its model is loaded."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill.base.errors import SpecError, UsageError
from tidemill.serve.lean import import_sklearn
from tidemill.serve.signature import ModelSignature

Array = npt.NDArray[Any]
HEAD = 1 << 20  # bytes of a pickle in which most of the modules it needs are named
KERAS_FILES = ("*.keras", "*.h5", "data/**/*.keras", "data/**/*.h5")  # MLflow keeps them below data/


@dataclass(frozen=True, slots=True)
class Answer:
    """`labels` are class indices or values, one a row; `probabilities` has one column a class."""

    labels: Sequence[Any]
    probabilities: Array | None = None


Predict = Callable[[Array], Answer]


@dataclass(frozen=True, slots=True)
class Predictor:
    """`path` says which way answers are made: the library itself, or a faster one that was proven equal.

    `width` is how many values a row has where the model itself knows it, `signature` what it knows beyond its files.
    `values` are the classes as the model itself has them, numbers or truths, where nobody named them.
    """

    predict: Predict
    classes: tuple[str, ...]
    path: str
    native: Any = None
    width: int = 0
    signature: ModelSignature | None = None
    values: tuple[Any, ...] = ()


def load_predictor(signature: ModelSignature, *, allow_pickle: bool) -> Predictor:
    """Load by flavour; `UsageError` for a pickle nobody allowed, `SpecError` for a model of no known flavour."""
    flavor = flavor_of(signature)
    loader = LOADERS.get(flavor)
    if loader is None:
        raise SpecError(
            f"No way to load a model of flavour `{flavor or 'unknown'}` in {signature.folder}",
            hint=f"Known: {', '.join(LOADERS)}.",
        )
    return loader(signature, allow_pickle)


def flavor_of(signature: ModelSignature) -> str:
    """What the model's files say, or what they look like; empty when they look like nothing known."""
    if signature.params:  # only MLflow knows what to do with them
        return "python_function"
    return signature.flavor or _guess_flavor(signature.folder, signature.model_file)


def _guess_flavor(folder: Path, named: str) -> str:
    files = [folder / named] if named else list(folder.iterdir())
    for pattern, flavor in (
        ("*.keras", "keras"),
        ("*.onnx", "onnx"),
        ("*.joblib", "sklearn"),
        ("*.pkl", "sklearn"),
        ("*.pickle", "sklearn"),
        ("*.h5", "keras"),
    ):
        if any(file.match(pattern) for file in files):
            return flavor
    return ""


def _file(signature: ModelSignature, *patterns: str) -> Path:
    if signature.model_file:
        return signature.folder / signature.model_file
    for pattern in patterns:
        found = sorted(signature.folder.glob(pattern))
        if found:
            return found[0]
    raise SpecError(
        f"No {' or '.join(patterns)} in {signature.folder}", hint="Name it as `model_file` in serving.json."
    )


def _load_sklearn(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001 - one shape for all loaders
    flavor = signature.mlmodel.get("flavors", {}).get("sklearn", {})
    path = (
        signature.folder / flavor["pickled_model"]
        if "pickled_model" in flavor
        else _file(signature, "*.joblib", "*.pkl", "*.pickle")
    )
    if flavor.get("serialization_format") == "skops":
        skops = importlib.import_module("skops.io")
        model = skops.load(path, trusted=skops.get_untrusted_types(file=path) if allow_pickle else None)
    else:
        model = _unpickle(path, allow_pickle=allow_pickle)
    signature = _sklearn().with_columns(model, signature)
    return Predictor(
        _sklearn().estimator(model, signature),
        _names(model, signature),
        "scikit-learn",
        model,
        getattr(model, "n_features_in_", 0),
        signature,
        () if signature.classes else tuple(_sklearn().class_values(model)),
    )


def _unpickle(path: Path, *, allow_pickle: bool) -> Any:  # noqa: ANN401
    if not allow_pickle:
        raise UsageError(
            f"{path.name} is a pickle, which can run any code when it is loaded",
            hint="Serve it from the registry it was registered in, or say --allow-pickle if you made it yourself.",
        )
    with path.open("rb") as file:
        head = file.read(HEAD)
        if b"sklearn" in head:
            import_sklearn(head)
        file.seek(0)
        if path.suffix == ".joblib":
            return importlib.import_module("joblib").load(path)
        return pickle.load(file)  # noqa: S301 - allowed by name, above


def _names(model: Any, signature: ModelSignature) -> tuple[str, ...]:  # noqa: ANN401
    own = _sklearn().class_values(model)
    if not own or (signature.classes and len(signature.classes) == len(own)):
        return signature.classes
    return tuple(str(c) for c in own)


def _sklearn() -> Any:  # noqa: ANN401 - a module that imports this one
    return importlib.import_module("tidemill.serve.sklearn_models")


def _load_keras(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001
    keras = importlib.import_module("keras")
    model = keras.saving.load_model(_file(signature, *KERAS_FILES), compile=False, safe_mode=not allow_pickle)

    def predict(rows: Array) -> Answer:
        return from_scores(np.asarray(model(rows.astype(np.float32), training=False)), signature)

    return Predictor(predict, signature.classes, "keras", model)


def from_scores(scores: Array, signature: ModelSignature) -> Answer:
    """Class scores → labels and probabilities, one column means the probability of the second class; or values."""
    if signature.task == "regression":
        return Answer((scores.ravel() if scores.size == len(scores) else scores).tolist())
    if scores.ndim == 1 or scores.shape[1] == 1:
        second = scores.reshape(-1, 1)
        scores = np.hstack([1 - second, second])
    return Answer(scores.argmax(axis=1).tolist(), scores)


def _load_onnx(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001, ARG001
    raw = _file(signature, "*.onnx").read_bytes()
    return importlib.import_module("tidemill.serve.onnx_models").onnx_predictor(raw, signature)  # type: ignore[no-any-return]


def open_session(raw: bytes) -> tuple[Any, Any]:
    """An ONNX Runtime session on one thread, and one set of options for its calls: it would make some at every call."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(raw, options, providers=["CPUExecutionProvider"]), runtime.RunOptions()


def onnx_session(raw: bytes, signature: ModelSignature, labels: Sequence[Any] = ()) -> Predict:
    """A function over an ONNX Runtime session on one thread; the last output with two axes is the probabilities.

    A classifier whose label is not the most probable class has `labels`, its classes in order; its first output is one of them a row.
    """
    session, run = open_session(raw)
    name = session.get_inputs()[0].name
    scores_name = next((o.name for o in reversed(session.get_outputs()) if _has_two_axes(o)), "")
    if labels:
        index, first = {v: i for i, v in enumerate(labels)}, session.get_outputs()[0].name
        both = [first, *([scores_name] if scores_name else [])]

        def label(rows: Array) -> Answer:
            found, *scores = session.run(both, {name: rows.astype(np.float32)}, run)
            shares = np.asarray(scores[0]) if scores else None
            return Answer([index[v] for v in np.asarray(found).ravel().tolist()], shares)

        return label
    wanted = [scores_name or session.get_outputs()[0].name]

    def predict(rows: Array) -> Answer:
        (scores,) = session.run(wanted, {name: rows.astype(np.float32)}, run)
        return from_scores(np.asarray(scores), signature)

    return predict


def _has_two_axes(output: Any) -> bool:  # noqa: ANN401 - ONNX Runtime's own type
    """Whether an output is a table of numbers: labels have one axis, maps of scores none."""
    return output.type.startswith("tensor(") and "string" not in output.type and len(output.shape or ()) == 2  # noqa: PLR2004


def load_pyfunc(signature: ModelSignature, allow_pickle: bool) -> Predictor:  # noqa: FBT001
    """Whatever MLflow can load."""
    if not allow_pickle:
        raise UsageError(
            "An MLflow pyfunc model may hold pickles",
            hint="Serve it from the registry, or say --allow-pickle if you made it yourself.",
        )
    return importlib.import_module("tidemill.serve.pyfunc").pyfunc_predictor(signature)  # type: ignore[no-any-return]


def _boosters() -> Any:  # noqa: ANN401 - a module that imports this one
    return importlib.import_module("tidemill.serve.boosters")


LOADERS: dict[str, Callable[[ModelSignature, bool], Predictor]] = {
    "sklearn": _load_sklearn,
    "keras": _load_keras,
    "onnx": _load_onnx,
    "xgboost": lambda signature, allowed: _boosters().load_xgboost(signature, allowed),
    "lightgbm": lambda signature, allowed: _boosters().load_lightgbm(signature, allowed),
    "pytorch": load_pyfunc,
    "python_function": load_pyfunc,
}
