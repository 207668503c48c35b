"""Arrow streams from strangers: how large they unfold is known before anything is unfolded, and what they claim is checked."""

from __future__ import annotations

import importlib
import struct
import sys
from typing import Any

from tidemill.serve.problems import RequestProblem

UNSUPPORTED, TOO_LARGE = 415, 413
RECORDS, DICTIONARY = 3, 2
PLAIN = (
    "is_integer",
    "is_floating",
    "is_boolean",
    "is_string",
    "is_large_string",
    "is_binary",
    "is_decimal",
    "is_temporal",
)
LISTS = ("is_list", "is_large_list", "is_fixed_size_list")


def read_arrow(raw: bytes, limit: int) -> Any:  # noqa: ANN401 - any JSON value
    """A stream of record batches as columns and rows; one column of fixed-size lists is a tensor or pictures.

    `RequestProblem`: 413 when it unfolds to more than `limit` bytes or values, 422 when it is none.
    """
    ipc, arrow = import_arrow()
    try:
        if _unfolded(ipc, raw) > limit:
            raise RequestProblem(f"The table unfolds to more than {limit:,} bytes", status=TOO_LARGE)
        with ipc.open_stream(raw) as stream:
            for column in stream.schema:
                is_dictionary = arrow.types.is_dictionary(column.type)
                _check_type(arrow.types, column.type.value_type if is_dictionary else column.type, column.name)
            table = stream.read_all()
        table.validate(full=True)
        names = list(table.column_names)
        if table.num_rows * max(1, len(names)) + sum(_values(k) for c in table.columns for k in c.chunks) > limit:
            raise RequestProblem(f"The table has more than {limit:,} values", status=TOO_LARGE)
        columns = [_cells(arrow.types, c) for c in table.columns]
    except (arrow.ArrowException, ValueError, OSError, MemoryError, struct.error) as exc:
        raise RequestProblem(f"Not an Arrow stream: {exc}") from exc
    if not table.num_rows:
        raise RequestProblem("The table is empty")
    if len(columns) == 1 and isinstance(columns[0][0], list):
        return {"inputs": columns[0]}
    return {"columns": names, "data": [list(row) for row in zip(*columns, strict=True)]}


def import_arrow() -> tuple[Any, Any]:
    """`pyarrow.ipc` and `pyarrow`; `RequestProblem` (415) without them.

    The first time while no model predicts: scikit-learn asks every array whether it is of pyarrow as soon as that has begun to be imported.
    """
    try:
        return importlib.import_module("pyarrow.ipc"), importlib.import_module("pyarrow")
    except ImportError:
        raise RequestProblem(
            "This server reads no Arrow: pyarrow is not installed beside it",
            loc=("header", "content-type"),
            status=UNSUPPORTED,
        ) from None


def needs_import() -> bool:
    """Whether it has not been imported; that takes a while."""
    return "pyarrow.ipc" not in sys.modules


def _check_type(types: Any, kind: Any, name: str) -> None:  # noqa: ANN401 - pyarrow's
    """Only what takes room for every value: a column of nulls, or of views into one text, unfolds without end."""
    if any(getattr(types, n)(kind) for n in LISTS) and not types.is_temporal(kind.value_type):
        _check_type(types, kind.value_type, name)
    elif not any(getattr(types, n)(kind) for n in PLAIN):
        raise RequestProblem(f"A column of type {kind} is not read here", loc=("body", name))


def _values(chunk: Any) -> int:  # noqa: ANN401 - pyarrow's
    """How many values lists hold below their own."""
    if not hasattr(chunk, "values"):
        return 0
    return len(chunk.values) + _values(chunk.values)


def _cells(types: Any, column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow's
    """A column's values; those of a dictionary are one object each, however often they are named."""
    if not types.is_dictionary(column.type):
        return _list(types, column)
    cells = []
    for chunk in column.chunks:
        words = _list(types, chunk.dictionary)
        cells += [None if i is None else words[i] for i in chunk.indices.to_pylist()]
    return cells


def _list(types: Any, values: Any) -> list[Any]:  # noqa: ANN401 - pyarrow's
    """Python's own values; its times have no nanoseconds, and for those pyarrow would import pandas while others predict."""
    if getattr(values.type, "unit", "") == "ns" and types.is_temporal(values.type):
        values = values.cast(_in_microseconds(values.type), safe=False)
    found: list[Any] = values.to_pylist()
    return found


def _in_microseconds(kind: Any) -> Any:  # noqa: ANN401 - pyarrow's
    arrow = import_arrow()[1]
    if arrow.types.is_timestamp(kind):
        return arrow.timestamp("us", kind.tz)
    return arrow.duration("us") if arrow.types.is_duration(kind) else arrow.time64("us")


def _unfolded(ipc: Any, raw: bytes) -> int:  # noqa: ANN401 - pyarrow's
    """The bytes of all buffers when they are unpacked, by what the messages say of them; pyarrow allocates just that."""
    size = 0
    for message in ipc.MessageReader.open_stream(raw):
        head = memoryview(message.metadata)
        kind, batch = _batch(head)
        if kind and _field(head, batch, 3):
            size += sum(_packed(memoryview(message.body), *b) for b in _buffers(head, batch))
    return size


def _packed(body: memoryview, offset: int, length: int) -> int:
    """The unpacked length stands before a packed buffer; -1 says that this one is not packed."""
    if not length:
        return 0
    (found,) = struct.unpack_from("<q", body, offset)
    return int(found) if found >= 0 else length


def _batch(head: memoryview) -> tuple[int, int]:
    """Where the record batch of a message is: its own, or the one that holds a dictionary; zeros when it has none."""
    message = struct.unpack_from("<I", head, 0)[0]
    at = _field(head, message, 1)
    kind = head[at] if at else 0
    if kind not in {RECORDS, DICTIONARY}:
        return 0, 0
    table = _target(head, _field(head, message, 2))
    return kind, table if kind == RECORDS else _target(head, _field(head, table, 1))


def _buffers(head: memoryview, batch: int) -> list[tuple[int, int]]:
    """Offset and length of each."""
    start = _field(head, batch, 2)
    if not start:
        return []
    vector = _target(head, start)
    count = struct.unpack_from("<I", head, vector)[0]
    return [struct.unpack_from("<qq", head, vector + 4 + 16 * i) for i in range(count)]


def _field(head: memoryview, table: int, number: int) -> int:
    """Where a flatbuffers table keeps a field; 0 when it has none."""
    offsets = table - struct.unpack_from("<i", head, table)[0]
    size = struct.unpack_from("<H", head, offsets)[0]
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", head, offsets + place)[0] if place < size else 0
    return table + offset if offset else 0


def _target(head: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", head, at)[0])
