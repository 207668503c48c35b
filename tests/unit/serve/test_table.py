"""A record read in one go is the record read value by value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidemill.serve.bodies import read_rows
from tidemill.serve.decode import decode
from tidemill.serve.http import Request
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import Column, ModelSignature
from tidemill.serve.table import NARROW, read_record

COLUMNS = (Column("a", "number", low=0.0, high=10.0), Column("n", "integer"), Column("yes", "boolean"), Column("ü b"))
PLAIN = [
    b'{"a": 1.5, "n": 3, "yes": 1, "\xc3\xbc b": -2e300}',
    b'{"\\u00fc b": 4, "yes": 0, "n": -7.0, "a": 10}',
    b'{"a": 1, "a": 2, "n": 3, "yes": 1, "\xc3\xbc b": 12345678901234567890}',
]
OTHER = [
    b'{"a": 11, "n": 3, "yes": 1, "\xc3\xbc b": 0}',
    b'{"a": "1.5", "n": 3, "yes": true, "\xc3\xbc b": 0}',
    b'{"a": 1, "n": 3.5, "yes": 1, "\xc3\xbc b": 0}',
    b'{"a": 1, "n": 3, "yes": 2, "\xc3\xbc b": 0}',
    b'{"a": 1, "n": 3, "yes": 1, "\xc3\xbc b": NaN}',
    b'{"a": 1, "n": 3, "yes": 1, "\xc3\xbc b": 1e999}',
    b'{"a": 1, "n": 99999999999, "yes": 1, "\xc3\xbc b": ' + b"9" * 400 + b"}",
    b'{"a": 1, "n": 3, "yes": 1}',
    b'{"a": 1, "n": 3, "yes": 1, "\xc3\xbc b": 1, "c": 2}',
    b'{"a": null, "n": 3, "yes": 1, "\xc3\xbc b": 1}',
    b'{"data": [[1, 2, 1, 4], [5, 6, 0, 8]]}',
    b"[1, 2, 1, 4]",
    b'[{"a": 1, "n": 3, "yes": 1, "\xc3\xbc b": 1}]',
    b'{"a": 1',
    b"\xff",
    b"",
    b"[" * 5000,
]


def told(body: bytes, columns: tuple[Column, ...], *, by_value: bool) -> object:
    signature = ModelSignature(Path(), "table", columns=columns)
    request = Request("POST", "/predict", {b"content-type": b"application/json"}, "", body)
    try:
        batch = decode(signature, request.json()) if by_value else read_rows(signature, request)
    except RequestProblem as exc:
        return exc.as_json()
    return batch.rows.tolist(), batch.single, [w for row in batch.warnings for w in row]


@pytest.mark.parametrize("body", PLAIN)
def test_a_record_of_numbers_is_read_in_one_go(body: bytes) -> None:
    assert read_record(COLUMNS, body) is not None
    assert told(body, COLUMNS, by_value=False) == told(body, COLUMNS, by_value=True)


@pytest.mark.parametrize("body", OTHER)
def test_whatever_else_a_body_holds_is_looked_at_value_by_value(body: bytes) -> None:
    assert read_record(COLUMNS, body) is None
    assert told(body, COLUMNS, by_value=False) == told(body, COLUMNS, by_value=True)


@pytest.mark.parametrize(
    "columns",
    [
        (Column('with "quotes"'), Column("b")),
        (Column("text", "string"), Column("b")),
        tuple(Column(f"c{i}") for i in range(NARROW + 1)),
    ],
    ids=["quotes", "text", "wide"],
)
def test_columns_that_cannot_be_read_in_one_go_are_read_all_the_same(columns: tuple[Column, ...]) -> None:
    record = {c.name: "x" if c.type == "string" else float(i) for i, c in enumerate(columns)}
    body = json.dumps(record).encode()
    assert read_record(columns, body) is None
    assert told(body, columns, by_value=False) == ([list(record.values())], True, [])
