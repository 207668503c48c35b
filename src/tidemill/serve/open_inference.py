"""Open Inference Protocol v2 over the same decoding and the same model as `/predict`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tidemill.serve.decode import Batch, decode
from tidemill.serve.engine import Engine
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import ModelSignature

DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
CLIENT_ERROR = 400
TENSOR_TYPES = {"BOOL", "BYTES", "FP16", "FP32", "FP64"} | {f"{u}INT{n}" for u in ("", "U") for n in (8, 16, 32, 64)}


def describe_server() -> dict[str, Any]:
    """The answer of `GET /v2`."""
    return {"name": "tidemill", "version": "2", "extensions": []}


def describe_model(engine: Engine) -> dict[str, Any]:
    """The answer of `GET /v2/models/NAME`."""
    outputs = [{"name": "prediction", "datatype": _output_type(engine), "shape": [-1]}]
    if engine.predictor.classes:
        shape = [-1, len(engine.predictor.classes)]
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": shape})
    return {
        "name": engine.info.name,
        "versions": [engine.info.version],
        "platform": engine.predictor.path,
        "inputs": _inputs(engine.signature),
        "outputs": outputs,
    }


def _output_type(engine: Engine) -> str:
    return "BYTES" if engine.predictor.classes else "FP64"


def _inputs(signature: ModelSignature) -> list[dict[str, Any]]:
    if signature.image:
        return [{"name": "pixels", "datatype": "UINT8", "shape": [-1, signature.image.values]}]
    if signature.columns:
        return [{"name": c.name, "datatype": DATATYPES[c.type], "shape": [-1, 1]} for c in signature.columns]
    return [{"name": "inputs", "datatype": "FP64", "shape": [-1, signature.width or -1]}]


def read_inference(signature: ModelSignature, body: Any) -> Batch:  # noqa: ANN401 - any JSON value
    """One tensor of rows, or one tensor a column; `RequestProblem` names the tensor that is wrong."""
    if isinstance(body, Mapping) and not isinstance(body.get("id", ""), str):
        raise RequestProblem("Expected text", loc=("body", "id"), status=CLIENT_ERROR)
    tensors = body.get("inputs") if isinstance(body, Mapping) else None
    if not isinstance(tensors, list) or not tensors:
        raise RequestProblem("Expected a list of tensors", loc=("body", "inputs"), status=CLIENT_ERROR)
    arrays = [_tensor(t, i) for i, t in enumerate(tensors)]
    names = {c.name for c in signature.columns}
    if names and (len(arrays) > 1 or arrays[0][0] in names):
        batch = _by_column(signature, arrays)
    elif len(arrays) > 1:
        raise RequestProblem("Expected one tensor", loc=("body", "inputs", 1), status=CLIENT_ERROR)
    else:
        rows = arrays[0][1]
        flat = rows.reshape(len(rows), -1) if rows.ndim > 1 and not _is_deep(signature) else rows
        batch = decode(signature, {"inputs": flat.tolist()})
    return Batch(batch.rows, single=False, warnings=batch.warnings)


def _is_deep(signature: ModelSignature) -> bool:
    """Whether rows may themselves have axes."""
    return not signature.columns and not signature.image


def _tensor(tensor: Any, at: int) -> tuple[str, Any]:  # noqa: ANN401
    """A tensor's name and array, its data in the shape it claims."""
    loc: tuple[str | int, ...] = ("body", "inputs", at)
    if not isinstance(tensor, Mapping):
        raise RequestProblem("Expected an object with name, shape, datatype and data", loc=loc, status=CLIENT_ERROR)
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n > 0 for n in shape):
        raise RequestProblem("Expected a list of whole numbers above zero", loc=(*loc, "shape"), status=CLIENT_ERROR)
    name, datatype = tensor.get("name"), tensor.get("datatype")
    if not isinstance(name, str):
        raise RequestProblem("Expected text", loc=(*loc, "name"), status=CLIENT_ERROR)
    if not isinstance(datatype, str) or datatype not in TENSOR_TYPES:
        names = ", ".join(sorted(TENSOR_TYPES))
        raise RequestProblem(f"Expected one of {names}", loc=(*loc, "datatype"), status=CLIENT_ERROR)
    try:
        data = np.asarray(tensor.get("data"))
        text = data.dtype.kind in "US" and datatype == "BYTES"
        if data.size != math.prod(shape) or (data.dtype.kind not in "biuf" and not text):
            raise RequestProblem(
                f"Expected {math.prod(shape)} values of {datatype}",
                loc=(*loc, "data"), status=CLIENT_ERROR,
            )  # fmt: skip
        return name, data.reshape(shape)
    except (ValueError, TypeError, OverflowError) as exc:
        raise RequestProblem(f"Not a tensor: {exc}", loc=(*loc, "data"), status=CLIENT_ERROR) from exc


def _by_column(signature: ModelSignature, arrays: list[tuple[str, Any]]) -> Batch:
    lengths = {a.size for _, a in arrays}
    if len(lengths) != 1:
        raise RequestProblem("Columns are of different lengths", loc=("body", "inputs"), status=CLIENT_ERROR)
    names = [name for name, _ in arrays]
    rows = zip(*(a.ravel().tolist() for _, a in arrays), strict=True)
    return decode(signature, [dict(zip(names, row, strict=True)) for row in rows])


def inference_answer(engine: Engine, answers: list[dict[str, Any]], request_id: str) -> dict[str, Any]:
    """The predictions as tensors."""
    labels = [a["prediction"] for a in answers]
    kind = "FP64" if all(isinstance(v, (int, float)) for v in labels) else "BYTES"
    data = labels if kind == "FP64" else [str(v) for v in labels]
    outputs: list[dict[str, Any]] = [{"name": "prediction", "datatype": kind, "shape": [len(labels)], "data": data}]
    if answers and "probabilities" in answers[0]:
        scores = [list(a["probabilities"].values()) for a in answers]
        flat = [s for row in scores for s in row]
        shape = [len(scores), len(scores[0])]
        outputs.append({"name": "probabilities", "datatype": "FP64", "shape": shape, "data": flat})
    found = {"model_name": engine.info.name, "model_version": engine.info.version, "outputs": outputs}
    return found | ({"id": request_id} if request_id else {})
