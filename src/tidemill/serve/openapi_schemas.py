"""JSON schemas of what is sent and what comes back: the OpenAPI document's, as narrow and as wide as the server itself."""

from __future__ import annotations

import sys
from typing import Any

from tidemill.serve.engine import Engine
from tidemill.serve.http import ID_LIMIT
from tidemill.serve.open_inference import TENSOR_TYPES
from tidemill.serve.signature import Column

Schema = dict[str, Any]
LARGEST = sys.float_info.max
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
DIGITS = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"


def obj(required: dict[str, Schema], optional: dict[str, Schema] | None = None, *, closed: bool = False) -> Schema:
    """An object with these properties."""
    schema: Schema = {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}
    return schema | ({"additionalProperties": False} if closed else {})


def many(items: Schema, least: int = 1) -> Schema:
    """A list of at least so many."""
    return {"type": "array", "items": items, "minItems": least}


def exactly(items: Schema, count: int) -> Schema:
    """A list of just so many."""
    return {"type": "array", "items": items, "minItems": count, "maxItems": count}


def request_schema(engine: Engine | None) -> Schema:
    """What `/predict` and `/score` take as JSON; a scoring script alone knows what it takes."""
    if engine is None:
        return {}
    signature = engine.signature
    if signature.image:
        row = {"anyOf": _pictures(signature.image.values)}
        return {
            "anyOf": [
                *row["anyOf"],
                many(row),
                *(obj({n: many(row)}) for n in ("instances", "inputs", "data", "records")),
            ]
        }
    if signature.columns:
        record = obj({c.name: _cell(c) for c in signature.columns}, closed=True)
        row = {"anyOf": [record, _row(signature.columns)]}
        names: Schema = {"enum": [[c.name for c in signature.columns], None]}
        frame = obj({"data": many(_row(signature.columns))}, {"columns": names})
        lists = [obj({n: many(row)}) for n in ("inputs", "instances", "data", "records")]
        lists += [obj({n: frame}) for n in ("dataframe_split", "input_data")]
        return {"anyOf": [record, many(row), _row(signature.columns), frame, *lists]}
    rows = exactly(NUMBER, signature.width) if signature.width else many(NUMBER)
    matrix = many(rows) if signature.width else exactly(rows, 1)
    return {"anyOf": [obj({name: matrix}) for name in ("inputs", "instances", "data", "records")]}


def _pictures(values: int) -> list[Schema]:
    pixels = exactly({"type": "number", "minimum": 0, "maximum": 255}, values)
    picture = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
    return [obj({"pixels": pixels}), obj({"image": picture}), pixels]


def _row(columns: tuple[Column, ...]) -> Schema:
    """Values in the columns' order."""
    cells = [_cell(c) for c in columns]
    return {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}


def _cell(column: Column) -> Schema:
    if column.type == "string":
        return TEXT
    number: Schema = NUMBER if column.type != "integer" else {**NUMBER, "type": "integer"}
    digits = {"type": "string", "pattern": DIGITS if column.type != "integer" else r"^-?[0-9]{1,15}$"}
    schema: Schema = {"anyOf": [number, {"type": "boolean"}, digits]}
    if column.low is not None and column.high is not None:
        schema["description"] = f"{column.low:g} to {column.high:g} in training"
    return schema


def _label(engine: Engine) -> Schema:
    classes = list(engine.signature.classes)
    return {"enum": classes} if classes else {}


def answer_schema(engine: Engine | None) -> Schema:
    """What `/predict` answers: one object for one record, else a list of them."""
    if engine is None:
        return {}
    optional = {
        "probability": PROBABILITY,
        "probabilities": {"type": "object", "additionalProperties": PROBABILITY},
        "warnings": many(TEXT),
    }
    label = _label(engine)
    one = obj({"prediction": label, "version": TEXT}, optional)
    rows = obj({"predictions": many(obj({"prediction": label}, optional)), "version": TEXT})
    return {"anyOf": [one, rows]}


def score_schema(engine: Engine | None) -> Schema:
    """What `/score` answers."""
    return many(_label(engine)) if engine else {}


def detail_schema() -> Schema:
    """What is wrong: in words, or one entry a field."""
    loc = {"type": "array", "items": {"type": ["string", "integer"]}}
    return obj({"detail": {"anyOf": [TEXT, many(obj({"loc": loc, "msg": TEXT, "type": TEXT}))]}})


def feedback_schema() -> Schema:
    """What `/feedback` takes."""
    item = obj({"request_id": {"type": "string", "minLength": 1, "maxLength": ID_LIMIT}, "truth": {}})
    return {"anyOf": [item, {"type": "array", "items": item}]}


def inference_schema(engine: Engine) -> Schema:
    """The tensors `/v2/models/NAME/infer` takes: the rows as one tensor (of one row here; more say so in `shape`)."""
    width = engine.signature.image.values if engine.signature.image else len(engine.signature.columns)
    width = width or engine.signature.width
    pixel = {"type": "number", "minimum": 0, "maximum": 255}
    value = pixel if engine.signature.image else {"anyOf": [NUMBER, {"type": "boolean"}, TEXT]}
    tensor: Schema = {"name": TEXT, "datatype": {"enum": sorted(TENSOR_TYPES)}}
    shape = {"const": [1, width]} if width else {"type": "array"}
    data = exactly(value, width) if width else {"type": "array"}
    return obj({"inputs": exactly(obj({**tensor, "shape": shape, "data": data}), 1)}, {"id": TEXT})


def inference_answer_schema() -> Schema:
    """Output tensors."""
    shape = many({"type": "integer"})
    tensor = obj({"name": TEXT, "datatype": TEXT, "shape": shape, "data": {"type": "array"}})
    return obj({"model_name": TEXT, "model_version": TEXT, "outputs": many(tensor)}, {"id": TEXT})
