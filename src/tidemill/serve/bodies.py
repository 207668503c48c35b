"""What a request's body holds, by its content type: rows for the model, or feedback."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from tidemill.serve.arrow import read_arrow
from tidemill.serve.decode import Batch, decode, decode_image
from tidemill.serve.http import ID_LIMIT, Request, read_files
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import ModelSignature
from tidemill.serve.table import read_record

TEXT = frozenset({"", "application/json", "text/plain", "application/x-www-form-urlencoded"})
NPY, ARROW = "application/x-npy", "application/vnd.apache.arrow.stream"
UNSUPPORTED = 415
LARGE_FILES, LARGE_TEXT = 2 << 10, 64 << 10  # bytes: the smallest picture file may unfold to millions of pixels
LARGE_TABLE = 64 << 10
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_rows(signature: ModelSignature, request: Request) -> Batch:
    """The request's rows; `RequestProblem` names what is wrong."""
    kind = request.content_type
    image = signature.image
    if kind in TEXT:
        row = read_record(signature.columns, request.body) if signature.columns and not signature.params else None
        return decode(signature, request.json()) if row is None else Batch(row, single=True)
    if image and kind == "multipart/form-data":
        files = read_files(request)
        return Batch(np.stack([decode_image(image, f) for f in files]), single=len(files) == 1)
    if image and (kind.startswith("image/") or kind == "application/octet-stream"):
        return Batch(decode_image(image, request.body)[None], single=True)
    if kind == NPY:
        return decode(signature, _read_npy(request.body))
    if kind == ARROW:
        return _many(decode(signature, read_arrow(request.body, request.limit)))
    raise RequestProblem(
        f"`{kind}` is not accepted here; send application/json", loc=("header", "content-type"), status=UNSUPPORTED
    )


def is_heavy(request: Request, *, pictures: bool) -> bool:
    """Whether reading the body may take longer than others should wait for."""
    size = len(request.body)
    if not pictures:
        return size > (LARGE_FILES if request.content_type == ARROW else LARGE_TABLE)  # Arrow may be packed
    files = request.content_type not in TEXT or b'"image"' in request.body
    return size > (LARGE_FILES if files else LARGE_TEXT)


def _many(batch: Batch) -> Batch:
    """A table is answered with a list, even when it has one row."""
    return Batch(batch.rows, single=False, warnings=batch.warnings)


def _read_npy(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """An array of numbers; what its head claims is compared with the bytes that are there before anything is made of it."""
    file = io.BytesIO(raw)
    try:
        reader = READERS.get(np.lib.format.read_magic(file))
        if reader is None:
            raise ValueError("a version nobody knows")
        shape, by_column, dtype = reader(file)
        if dtype.kind not in "biuf" or dtype.itemsize * math.prod(shape) != len(raw) - file.tell() or 0 in shape:
            raise ValueError(f"{dtype} in the shape {shape} is not what follows, or no numbers")
        array = np.frombuffer(raw, dtype, offset=file.tell()).reshape(shape, order="F" if by_column else "C")
    except Exception as exc:  # numpy reads the head as Python reads code, which may fail in any way
        raise RequestProblem(f"Not an .npy array: {exc}") from exc
    return array.tolist()


def check_feedback(item: Any, loc: tuple[str | int, ...]) -> None:  # noqa: ANN401
    """`RequestProblem` unless it names a request and says what was true."""
    for name in ("request_id", "truth"):
        if not isinstance(item, dict) or name not in item:
            raise RequestProblem("Field required", loc=(*loc, name), kind="missing")
    if not isinstance(item["request_id"], str) or not 0 < len(item["request_id"]) <= ID_LIMIT:
        raise RequestProblem("Expected the id of a request", loc=(*loc, "request_id"))
