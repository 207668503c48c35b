"""Open Inference Protocol v2 over the same decoding and the same model as `/predict`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.serve.decode import LISTS, Batch, decode
from tidemill.serve.engine import Engine
from tidemill.serve.http import Request
from tidemill.serve.problems import RequestProblem
from tidemill.serve.samples import sample_request
from tidemill.serve.signature import ModelSignature

BINARY = "inference-header-content-length"
BYTES_A_ROW = 100  # or so: a body of so many rows is read beside the event loop
DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
CLIENT_ERROR = 400
TENSOR_TYPES = {"BOOL", "BYTES", "FP16", "FP32", "FP64"} | {f"{u}INT{n}" for u in ("", "U") for n in (8, 16, 32, 64)}


def describe_server() -> dict[str, Any]:
    """The answer of `GET /v2`."""
    return {"name": "tidemill", "version": "2", "extensions": []}


def describe_model(engine: Engine) -> dict[str, Any]:
    """The answer of `GET /v2/models/NAME`, its outputs as the model answers its sample."""
    return {
        "name": engine.info.name,
        "versions": [engine.info.version],
        "platform": engine.predictor.path,
        "inputs": _inputs(engine.signature),
        "outputs": [{**o, "shape": [-1, *o["shape"][1:]]} for o in _sample_outputs(engine)],
    }


def _sample_outputs(engine: Engine) -> list[dict[str, Any]]:
    try:
        batch = decode(engine.signature, sample_request(engine.signature))
        found = output_tensors(engine.answers(engine.predictor.predict(batch.rows)))
    except Exception:  # noqa: BLE001 - a made-up row that the model does not take
        found = [{"name": "prediction", "datatype": "BYTES", "shape": [1]}]
    return [{k: v for k, v in o.items() if k != "data"} for o in found]


def _inputs(signature: ModelSignature) -> list[dict[str, Any]]:
    if signature.image:
        return [{"name": "pixels", "datatype": "UINT8", "shape": [-1, signature.image.values]}]
    if signature.columns:
        return [
            {"name": c.name, "datatype": DATATYPES.get(c.type, "BYTES"), "shape": [-1, 1]} for c in signature.columns
        ]
    return [{"name": "inputs", "datatype": "FP64", "shape": [-1, signature.width or -1]}]


def read_inference_request(signature: ModelSignature, request: Request) -> tuple[Batch, str, list[str]]:
    """The rows, the request's id and the names of the outputs it asks for."""
    if request.header(BINARY):
        raise RequestProblem("Tensors in binary are not read here; send them as JSON", loc=("header", BINARY))
    body = request.json()
    wanted = wanted_outputs(body)
    batch = read_inference(signature, body)
    return batch, str(body.get("id", "")), wanted


def read_inference(signature: ModelSignature, body: Any) -> Batch:  # noqa: ANN401 - any JSON value
    """One tensor of rows, or one tensor a column; `RequestProblem` names the tensor that is wrong."""
    if isinstance(body, Mapping) and not isinstance(body.get("id", ""), str):
        raise RequestProblem("Expected text", loc=("body", "id"), status=CLIENT_ERROR)
    tensors = body.get("inputs") if isinstance(body, Mapping) else None
    if not isinstance(tensors, list) or not tensors:
        raise RequestProblem("Expected a list of tensors", loc=("body", "inputs"), status=CLIENT_ERROR)
    arrays = [_tensor(t, i) for i, t in enumerate(tensors)]
    given = [name for name, _ in arrays]
    if len(set(given)) < len(given):
        at = next(i for i, name in enumerate(given) if name in given[:i])
        raise RequestProblem(f"`{given[at]}` is there twice", loc=("body", "inputs", at, "name"), status=CLIENT_ERROR)
    names = {c.name for c in signature.columns}
    if names and (len(arrays) > 1 or arrays[0][0] in names):
        params = body.get("parameters") if signature.params and isinstance(body, Mapping) else None
        batch = _by_column(signature, arrays, params)
    elif len(arrays) > 1:
        raise RequestProblem("Expected one tensor", loc=("body", "inputs", 1), status=CLIENT_ERROR)
    else:
        rows = arrays[0][1]
        flat = rows.reshape(len(rows), -1) if rows.ndim > 1 and not _is_deep(signature) else rows
        batch = decode(signature, {_list_name(signature): flat.tolist()})
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
        if not data.ndim or data.size != math.prod(shape) or (data.dtype.kind not in "biuf" and not text):
            raise RequestProblem(
                f"Expected {math.prod(shape)} values of {datatype}",
                loc=(*loc, "data"), status=CLIENT_ERROR,
            )  # fmt: skip
        _check_range(data, datatype, (*loc, "data"))
        return name, data.reshape(shape)
    except (ValueError, TypeError, OverflowError) as exc:
        raise RequestProblem(f"Not a tensor: {exc}", loc=(*loc, "data"), status=CLIENT_ERROR) from exc


def _by_column(signature: ModelSignature, arrays: list[tuple[str, Any]], params: Any) -> Batch:  # noqa: ANN401
    lengths = {a.size for _, a in arrays}
    if len(lengths) != 1:
        raise RequestProblem("Columns are of different lengths", loc=("body", "inputs"), status=CLIENT_ERROR)
    names = [name for name, _ in arrays]
    rows = zip(*(a.ravel().tolist() for _, a in arrays), strict=True)
    records = [dict(zip(names, row, strict=True)) for row in rows]
    return decode(signature, {_list_name(signature): records, **({} if params is None else {"params": params})})


def _list_name(signature: ModelSignature) -> str:
    """A name for a list of rows that is no column's."""
    return next(n for n in ("inputs", *LISTS) if n not in {c.name for c in signature.columns})


def _check_range(data: Any, datatype: str, loc: tuple[str | int, ...]) -> None:  # noqa: ANN401
    """Whole numbers are whole and fit into what they claim to be; truths are true or false."""
    if datatype == "BOOL" and not np.isin(data, (0, 1)).all():
        raise RequestProblem("Expected true or false", loc=loc, status=CLIENT_ERROR)
    if datatype != "BOOL" and data.dtype.kind == "b":
        raise RequestProblem(f"Expected values of {datatype}, not of BOOL", loc=loc, status=CLIENT_ERROR)
    if "INT" in datatype:
        limits = np.iinfo(datatype.lower())
        if data.dtype.kind == "f" and (data % 1).any():
            raise RequestProblem("Expected whole numbers", loc=loc, status=CLIENT_ERROR)
        if data.size and (int(data.min()) < limits.min or int(data.max()) > limits.max):
            raise RequestProblem(f"Expected values of {datatype}", loc=loc, status=CLIENT_ERROR)


def wanted_outputs(body: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    """The names of the outputs that are asked for; none asks for all."""
    outputs = body.get("outputs") if isinstance(body, Mapping) else None
    if outputs is None:
        return []
    named = isinstance(outputs, list) and all(
        isinstance(o, Mapping) and isinstance(o.get("name"), str) for o in outputs
    )
    if not named:
        raise RequestProblem("Expected a list of objects with a name", loc=("body", "outputs"), status=CLIENT_ERROR)
    return [o["name"] for o in outputs]


def inference_answer(
    engine: Engine, answers: list[dict[str, Any]], request_id: str, wanted: Sequence[str] = ()
) -> dict[str, Any]:
    """The predictions as tensors: all, or those `wanted` in their order."""
    outputs = {o["name"]: o for o in output_tensors(answers)}
    unknown = next((n for n in wanted if n not in outputs), None)
    if unknown is not None:
        words = f"There is no output `{unknown}`, but {', '.join(outputs)}"
        raise RequestProblem(words, loc=("body", "outputs", wanted.index(unknown), "name"), status=CLIENT_ERROR)
    chosen = [outputs[n] for n in wanted] or list(outputs.values())
    found = {"model_name": engine.info.name, "model_version": engine.info.version, "outputs": chosen}
    return found | ({"id": request_id} if request_id else {})


def output_tensors(answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Predictions, and probabilities where the model gives them."""
    outputs = [{"name": "prediction", **_as_tensor([a["prediction"] for a in answers])}]
    if answers and "probabilities" in answers[0]:
        scores = [list(a["probabilities"].values()) for a in answers]
        outputs.append({"name": "probabilities", **_as_tensor(scores)})
    return outputs


def _as_tensor(values: list[Any]) -> dict[str, Any]:
    """Numbers and truths as such, several outputs a row as a second axis; text, and as JSON whatever else there is."""
    wide = bool(values) and all(isinstance(v, list) and len(v) == len(values[0]) > 0 for v in values)
    flat = [n for v in values for n in v] if wide else values
    shape = [len(values), len(values[0])] if wide else [len(values)]
    kinds = {type(v) for v in flat}
    for own, datatype in (({bool}, "BOOL"), ({int}, "INT64"), ({int, float}, "FP64")):
        if kinds and kinds <= own:
            return {"datatype": datatype, "shape": shape, "data": flat}
    texts = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in flat]
    return {"datatype": "BYTES", "shape": shape, "data": texts}


def sample_inference(engine: Engine) -> dict[str, Any] | None:
    """A request that works: the sample as one tensor a column, or as one tensor."""
    sample, signature = sample_request(engine.signature), engine.signature
    if signature.columns and isinstance(sample, Mapping):
        kinds = {c.name: DATATYPES.get(c.type, "BYTES") for c in signature.columns}
        cells = [(n, v) for n, v in sample.items() if n in kinds and v is not None]
        if any(isinstance(v, (list, dict)) for _, v in cells):
            return None
        return {"inputs": [{"name": n, "shape": [1], "datatype": kinds[n], "data": [v]} for n, v in cells]}
    if signature.image:
        pixels = [0] * signature.image.values
        return {"inputs": [{"name": "pixels", "shape": [1, len(pixels)], "datatype": "UINT8", "data": pixels}]}
    rows = decode(signature, sample).rows
    tensor = {"name": "inputs", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    return {"inputs": [tensor]}
