"""What a request's body holds, by its content type: rows for the model, or feedback."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np

from tidemill.serve.decode import Batch, decode, decode_image
from tidemill.serve.http import ID_LIMIT, Request, read_files
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import ModelSignature

TEXT = frozenset({"", "application/json", "text/plain", "application/x-www-form-urlencoded"})
NPY, ARROW = "application/x-npy", "application/vnd.apache.arrow.stream"
UNSUPPORTED = 415


def read_rows(signature: ModelSignature, request: Request) -> Batch:
    """The request's rows; `RequestProblem` names what is wrong."""
    kind = request.content_type
    image = signature.image
    if kind in TEXT:
        return decode(signature, request.json())
    if image and kind == "multipart/form-data":
        files = read_files(request)
        return Batch(np.stack([decode_image(image, f) for f in files]), single=len(files) == 1)
    if image and (kind.startswith("image/") or kind == "application/octet-stream"):
        return Batch(decode_image(image, request.body)[None], single=True)
    if kind == NPY:
        return decode(signature, _read_npy(request.body))
    if kind == ARROW:
        return _many(decode(signature, _read_arrow(request.body)))
    raise RequestProblem(
        f"`{kind}` is not accepted here; send application/json", loc=("header", "content-type"), status=UNSUPPORTED
    )


def _many(batch: Batch) -> Batch:
    """A table is answered with a list, even when it has one row."""
    return Batch(batch.rows, single=False, warnings=batch.warnings)


def _read_npy(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False).tolist()
    except (ValueError, EOFError, OSError, MemoryError, OverflowError) as exc:
        raise RequestProblem(f"Not an .npy array: {exc}") from exc


def _read_arrow(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """A stream of record batches as columns and rows; one column of fixed-size lists is a tensor or pictures."""
    try:
        ipc = importlib.import_module("pyarrow.ipc")
        errors = importlib.import_module("pyarrow").ArrowException
    except ImportError:
        raise RequestProblem(
            "This server reads no Arrow: pyarrow is not installed beside it",
            loc=("header", "content-type"),
            status=UNSUPPORTED,
        ) from None
    try:
        with ipc.open_stream(io.BytesIO(raw)) as stream:
            table = stream.read_all()
        columns = [c.to_pylist() for c in table.columns]
    except (errors, ValueError, OSError, MemoryError) as exc:
        raise RequestProblem(f"Not an Arrow stream: {exc}") from exc
    if not table.num_rows:
        raise RequestProblem("The table is empty")
    names = list(table.column_names)
    if len(columns) == 1 and isinstance(columns[0][0], list):
        return {"inputs": columns[0]}
    return {"columns": names, "data": [list(row) for row in zip(*columns, strict=True)]}


def check_feedback(item: Any, loc: tuple[str | int, ...]) -> None:  # noqa: ANN401
    """`RequestProblem` unless it names a request and says what was true."""
    for name in ("request_id", "truth"):
        if not isinstance(item, dict) or name not in item:
            raise RequestProblem("Field required", loc=(*loc, name), kind="missing")
    if not isinstance(item["request_id"], str) or len(item["request_id"]) > ID_LIMIT:
        raise RequestProblem("Expected the id of a request", loc=(*loc, "request_id"))
