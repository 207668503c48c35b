"""JSON schemas of what is sent and what comes back: the OpenAPI document's, as narrow and as wide as the server itself."""

from __future__ import annotations

import sys
from typing import Any

from tidemill.serve.engine import Engine
from tidemill.serve.http import ID_LIMIT
from tidemill.serve.open_inference import DATATYPES, TENSOR_TYPES
from tidemill.serve.signature import Column, Param

Schema = dict[str, Any]
LARGEST = sys.float_info.max
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
WHOLE = 2**31 - 1  # what a column of whole numbers holds in any case
CELLS: dict[str, Schema] = {
    "string": TEXT,
    "boolean": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1, "true", "false"]}]},
    "datetime": {"type": "string", "pattern": r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "any": {},
}
VALUES: dict[str, Schema] = {
    "FP64": NUMBER,
    "INT64": {"type": "integer", "minimum": -WHOLE, "maximum": WHOLE},
    "BOOL": {"type": "boolean"},
    "BYTES": TEXT,
}
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


OUTPUT: Schema = obj({"name": {"const": "prediction"}})


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
        record = _record(signature.columns)
        row = {"anyOf": [record, _row(signature.columns)]}
        names: Schema = {"enum": [[c.name for c in signature.columns], None]}
        frame = obj({"data": many(_row(signature.columns))}, {"columns": names})
        said = {"params": _params(signature.params)} if signature.params else {}
        names_of_lists = ("inputs", "instances", "data", "records", "dataframe_records")
        lists = [obj({n: many(row)}, said) for n in names_of_lists]
        lists += [obj({n: frame}, said) for n in ("dataframe_split", "input_data")]
        return {"anyOf": [record, many(row), _row(signature.columns), frame, *lists]}
    rows = exactly(NUMBER, signature.width) if signature.width else many(NUMBER)
    matrix = many(rows) if signature.width else exactly(rows, 1)
    return {"anyOf": [obj({name: matrix}) for name in ("inputs", "instances", "data", "records")]}


def _params(params: tuple[Param, ...]) -> Schema:
    cells = {p.name: _cell(p.column) for p in params}
    return obj({}, {p.name: many(cells[p.name], 0) if p.many else cells[p.name] for p in params}, closed=True)


def _pictures(values: int) -> list[Schema]:
    pixels = exactly({"type": "number", "minimum": 0, "maximum": 255}, values)
    picture = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
    return [obj({"pixels": pixels}), obj({"image": picture}), pixels]


def _row(columns: tuple[Column, ...]) -> Schema:
    """Values in the columns' order."""
    cells = [_cell(c) for c in columns]
    return {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}


def _cell(column: Column) -> Schema:
    found = {**CELLS[column.type]} if column.type in CELLS else _number(column)
    if column.closed:
        found = {"enum": list(column.values)}
    return found if column.required else {"anyOf": [found, {"type": "null"}]}


def _number(column: Column) -> Schema:
    number: Schema = NUMBER if column.type != "integer" else {"type": "integer", "minimum": -WHOLE, "maximum": WHOLE}
    digits = {"type": "string", "pattern": DIGITS if column.type != "integer" else r"^-?[0-9]{1,9}$"}
    schema: Schema = {"anyOf": [number, {"type": "boolean"}, digits]}
    if column.low is not None and column.high is not None:
        schema["description"] = f"{column.low:g} to {column.high:g} in training"
    return schema


def _record(columns: tuple[Column, ...]) -> Schema:
    return obj(
        {c.name: _cell(c) for c in columns if c.required},
        {c.name: _cell(c) for c in columns if not c.required},
        closed=True,
    )


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
    whole = exactly(obj({**tensor, "shape": shape, "data": data}), 1)
    columns = [_column_tensor(c) for c in engine.signature.columns]
    least = sum(c.required for c in engine.signature.columns)
    each = {"type": "array", "prefixItems": columns, "minItems": least, "maxItems": len(columns)}
    wanted = {"anyOf": [many(OUTPUT, 0), {"type": "null"}]}  # none, as clients write it that send every field
    return obj({"inputs": {"anyOf": [whole, each]} if columns else whole}, {"id": TEXT, "outputs": wanted})


def _column_tensor(column: Column) -> Schema:
    kind = DATATYPES.get(column.type, "BYTES")
    one = {"const": [1]}
    return obj(
        {"name": {"const": column.name}, "shape": one, "datatype": {"const": kind}, "data": exactly(VALUES[kind], 1)}
    )


def inference_answer_schema() -> Schema:
    """Output tensors."""
    shape = many({"type": "integer"})
    tensor = obj({"name": TEXT, "datatype": TEXT, "shape": shape, "data": {"type": "array"}})
    return obj({"model_name": TEXT, "model_version": TEXT, "outputs": many(tensor)}, {"id": TEXT})
