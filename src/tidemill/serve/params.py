"""Params of a model's signature: typed, with their defaults; they travel as one more value of each row they are meant for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from tidemill.serve.cells import Array, Loc, read_cell
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import ModelSignature, Param

CASTS = {"integer": int, "boolean": bool}


def split_params(signature: ModelSignature, body: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 - any JSON value
    """The body without its `params`, and those: all of the signature's, as they are given or by default."""
    named = isinstance(body, Mapping) and "params" in body and "params" not in {c.name for c in signature.columns}
    given = (body["params"] or {}) if named else {}
    rest = {k: v for k, v in body.items() if k != "params"} if named else body
    loc: Loc = ("body", "params")
    if not isinstance(given, Mapping):
        raise RequestProblem("Expected an object with a value a name", loc=loc)
    known = {p.name: p for p in signature.params}
    for name in given:
        if name not in known:
            takes = f"params {', '.join(known)}" if known else "no params"
            raise RequestProblem(f"The model takes {takes}", loc=(*loc, name), kind="extra_forbidden")
    return rest, {n: _value(p, given[n], (*loc, n)) if n in given else p.default for n, p in known.items()}


def _value(param: Param, value: Any, loc: Loc) -> Any:  # noqa: ANN401
    if not param.many:
        return _one(param, value, loc)
    if not isinstance(value, list):
        raise RequestProblem("Expected a list", loc=loc, kind="list_type")
    return [_one(param, v, (*loc, i)) for i, v in enumerate(value)]


def _one(param: Param, value: Any, loc: Loc) -> Any:  # noqa: ANN401
    found = read_cell(param.column, value, loc)
    return CASTS.get(param.column.type, lambda v: v)(found)


def put_params(rows: Array, params: Mapping[str, Any]) -> Array:
    """The rows, each with the params as its last value."""
    found = np.empty((len(rows), rows.shape[1] + 1), dtype=object)
    found[:, :-1] = rows
    for i in range(len(rows)):
        found[i, -1] = params
    return found


def by_params(rows: Array) -> Iterator[tuple[Array, dict[str, Any]]]:
    """The rows of requests that were put together, apart where their params differ."""
    start = 0
    for params, group in groupby(rows[:, -1].tolist()):
        end = start + len(list(group))
        yield rows[start:end, :-1], params
        start = end
