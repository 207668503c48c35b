"""ONNX models as they are: the types and widths of their inputs, labels and probabilities where they are classifiers, else their values."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tidemill.serve.predictor import Answer, Array, Predictor, from_scores, open_session
from tidemill.serve.signature import Column, ModelSignature

TYPES = {
    "tensor(float)": ("number", np.float32),
    "tensor(double)": ("number", np.float64),
    "tensor(int64)": ("integer", np.int64),
    "tensor(int32)": ("integer", np.int32),
    "tensor(bool)": ("boolean", np.bool_),
    "tensor(string)": ("string", np.object_),
}
USUAL = ("number", np.float32)
CLASSES = {"classlabels_strings", "classlabels_int64s", "classlabels_ints"}


def onnx_predictor(raw: bytes, signature: ModelSignature) -> Predictor:
    """Answers by ONNX Runtime, on one thread."""
    session, run = open_session(raw)
    signature = _with_inputs(session.get_inputs(), signature)
    feed = _feeder(session.get_inputs(), signature)
    outputs = session.get_outputs()
    scores = next((o.name for o in reversed(outputs) if "float" in o.type and len(o.shape or ()) == 2), "")  # noqa: PLR2004
    label = (
        outputs[0].name if outputs[0].type in {"tensor(string)", "tensor(int64)"} and outputs[0].name != scores else ""
    )
    own = _own_classes(raw) if label and not signature.classes else []
    index = {v: i for i, v in enumerate(own)}

    def named(rows: Array) -> Answer:
        (found,) = session.run([scores or outputs[0].name], feed(rows), run)
        return from_scores(np.asarray(found), signature)

    def labelled(rows: Array) -> Answer:
        found, *shares = session.run([label, *([scores] if scores and own else [])], feed(rows), run)
        labels = [index.get(v, v) for v in np.asarray(found).ravel().tolist()]
        fits = shares and np.shape(shares[0])[1] == len(own)
        return Answer(labels, np.asarray(shares[0]) if fits else None)

    def values(rows: Array) -> Answer:
        (found,) = session.run([outputs[0].name], feed(rows), run)
        array = np.asarray(found)
        return Answer((array.ravel() if array.size == len(array) else array).tolist())

    meant = signature.classes or signature.image or (signature.told and not label)
    predict: Callable[[Array], Answer] = named if meant else labelled if label else values
    if not meant and not label:
        signature = replace(signature, task="regression")
    classes = signature.classes or tuple(str(v) for v in own)
    return Predictor(predict, classes, "onnxruntime", signature=signature, values=tuple(own))


def _with_inputs(inputs: Sequence[Any], signature: ModelSignature) -> ModelSignature:
    """The shape of a row, or the columns, where the model's files do not tell."""
    if signature.columns or signature.image or signature.shape:
        return signature
    if len(inputs) > 1:
        columns = tuple(Column(i.name, TYPES.get(i.type, USUAL)[0]) for i in inputs)
        return replace(signature, kind="table", columns=columns)
    shape = tuple(n if isinstance(n, int) else -1 for n in (inputs[0].shape or ())[1:])
    return replace(signature, shape=shape)


def _is_label(output: Any) -> bool:  # noqa: ANN401 - ONNX Runtime's own type
    """Whether an output is one class a row."""
    one = len(output.shape or ()) < 2 or output.shape[1] == 1  # noqa: PLR2004
    return one and output.type in {"tensor(string)", "tensor(int64)"}


def _feeder(inputs: Sequence[Any], signature: ModelSignature) -> Callable[[Array], dict[str, Array]]:
    """Rows as the inputs take them: one tensor, or one a column."""
    kinds = [(i.name, TYPES.get(i.type, USUAL)[1]) for i in inputs]
    if len(kinds) == 1:
        name, kind = kinds[0]
        return lambda rows: {name: rows.astype(kind)}
    names = [c.name for c in signature.columns]
    places = {name: names.index(name) if name in names else i for i, (name, _) in enumerate(kinds)}
    return lambda rows: {name: rows[:, places[name], None].astype(kind) for name, kind in kinds}


def _own_classes(raw: bytes) -> list[Any]:
    """The classes in the order of the probabilities, as the classifier's node names them; none without the `onnx` package."""
    if importlib.util.find_spec("onnx") is None:
        return []
    graph = importlib.import_module("onnx").load_model_from_string(raw).graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in CLASSES and (attribute.strings or attribute.ints):
                return [s.decode() for s in attribute.strings] or list(attribute.ints)
    return []
