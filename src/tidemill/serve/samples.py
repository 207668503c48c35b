"""A request the model can answer: one of training time where one was kept, else one made from the signature."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.serve.decode import decode
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import Column, ModelSignature

KEPT = "serving_input_example.json"  # MLflow keeps the example of `log_model` under this name
LARGEST, ROWS = 4 << 20, 32
MADE = {"string": "", "boolean": False, "datetime": "2026-01-01T00:00:00", "binary": "", "any": []}


def sample_request(signature: ModelSignature) -> Any:  # noqa: ANN401 - a JSON value
    """Its first golden row, else the example kept with it, else one made up."""
    kept = kept_requests(signature)
    if kept:
        return kept[0]
    if signature.image:
        return {"pixels": [0] * signature.image.values}
    if signature.columns:
        return {c.name: _made(c) for c in signature.columns}
    return {"inputs": np.zeros((1, *(max(1, n) for n in signature.shape or (1,)))).tolist()}


def kept_requests(signature: ModelSignature) -> list[Any]:
    """Single requests of training time; none where what was kept is nothing the signature takes."""
    found = list(signature.golden.inputs) or _examples(signature)
    try:
        for item in found:
            decode(signature, item)
    except RequestProblem:
        return []
    return found


def _examples(signature: ModelSignature) -> list[Any]:
    """The first rows of MLflow's input example, records where there are columns."""
    body = _read(signature.folder / KEPT)
    frame, inputs = body.get("dataframe_split"), body.get("inputs")
    if signature.columns and isinstance(frame, Mapping):
        rows = [dict(zip(frame["columns"], row, strict=False)) for row in frame["data"][:ROWS]]
        return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
    if not signature.columns and isinstance(inputs, list):
        return [{"inputs": [row]} for row in inputs[:ROWS]]
    return []


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _made(column: Column) -> Any:  # noqa: ANN401
    if column.values:
        return column.values[0]
    if column.type in MADE:
        return MADE[column.type]
    middle = (column.low + column.high) / 2 if column.low is not None and column.high is not None else 0
    return round(middle) if column.type == "integer" else middle
