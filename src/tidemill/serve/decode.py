"""Request bodies → an array the model takes, or the field that is wrong."""

from __future__ import annotations

import base64
import binascii
import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from tidemill.serve.cells import matrix, outside, read_cell
from tidemill.serve.params import put_params, split_params
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import Column, ImageSpec, ModelSignature
from tidemill.serve.table import read_numbers

Array = npt.NDArray[Any]
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # others run programs, or hold many pictures
MAX_PIXELS = 40_000_000  # a decompression bomb unfolds to more
BYTE = 255.0
LISTS = ("instances", "inputs", "data", "records", "dataframe_records", "input_data")
FRAMES = ("dataframe_split", "input_data")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for the model. `single` answers with one object instead of a list; `warnings` has one list a row."""

    rows: Array
    single: bool
    warnings: tuple[tuple[str, ...], ...] = ()


def decode(signature: ModelSignature, body: Any) -> Batch:  # noqa: ANN401 - any JSON value
    """A JSON body in any of the accepted forms; `RequestProblem` names what is wrong."""
    if signature.image:
        return _decode_images(signature.image, body)
    if not signature.columns:
        return _decode_tensor(signature, body)
    if not signature.params and not (isinstance(body, Mapping) and "params" in body):
        return _decode_table(signature, body)
    rest, params = split_params(signature, body)
    batch = _decode_table(signature, rest)
    return replace(batch, rows=put_params(batch.rows, params)) if signature.params else batch


def _decode_images(spec: ImageSpec, body: Any) -> Batch:  # noqa: ANN401
    if isinstance(body, Mapping):
        for name in LISTS:
            if isinstance(body.get(name), list):
                return _many([_one_image(spec, item, ("body", name, i)) for i, item in enumerate(body[name])], spec)
        if "pixels" in body and _is_many(body["pixels"], spec):
            return _many([_pixels(spec, item, ("body", "pixels", i)) for i, item in enumerate(body["pixels"])], spec)
        return Batch(_one_image(spec, body, ("body",))[None], single=True)
    if isinstance(body, list):
        if body and all(isinstance(item, (int, float)) for item in body):
            return Batch(_pixels(spec, body, ("body",))[None], single=True)
        return _many([_one_image(spec, item, ("body", i)) for i, item in enumerate(body)], spec)
    raise RequestProblem('Expected {"pixels": […]}, {"image": base64} or a list of them')


def _many(rows: Sequence[Array], spec: ImageSpec) -> Batch:
    if not rows:
        raise RequestProblem("The list is empty")
    del spec
    return Batch(np.stack(rows), single=False)


def _is_many(pixels: Any, spec: ImageSpec) -> bool:  # noqa: ANN401
    """Whether `pixels` is a list of pictures rather than one picture in rows."""
    if not (isinstance(pixels, list) and pixels and isinstance(pixels[0], list)):
        return False
    return len(pixels[0]) == spec.values or (
        bool(pixels[0]) and isinstance(pixels[0][0], list) and len(pixels[0]) == spec.size[1]
    )


def _one_image(spec: ImageSpec, item: Any, loc: tuple[str | int, ...]) -> Array:  # noqa: ANN401
    if isinstance(item, Mapping):
        if "pixels" in item:
            return _pixels(spec, item["pixels"], (*loc, "pixels"))
        if "image" in item:
            return decode_image(spec, _base64(item["image"], (*loc, "image")), (*loc, "image"))
        raise RequestProblem(
            "Field required: `pixels` (numbers 0-255) or `image` (base64)", loc=(*loc, "pixels"), kind="missing"
        )
    return _pixels(spec, item, loc)


def _base64(text: Any, loc: tuple[str | int, ...]) -> bytes:  # noqa: ANN401
    if not isinstance(text, str):
        raise RequestProblem("Expected text in base64", loc=loc)
    try:
        return base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestProblem(f"Not base64: {exc}", loc=loc) from exc


def _pixels(spec: ImageSpec, pixels: Any, loc: tuple[str | int, ...]) -> Array:  # noqa: ANN401
    """Numbers 0 to 255, flat or in rows."""
    array = numbers(pixels, loc)
    if array.size != spec.values:
        width, height = spec.size
        raise RequestProblem(
            f"Expected {spec.values} pixels ({width}x{height}, mode {spec.mode}), got {array.size}", loc=loc
        )
    if array.size and (array.min() < 0 or array.max() > BYTE):
        raise RequestProblem("Pixels are numbers from 0 to 255", loc=loc)
    return shape_pixels(spec, array)


def numbers(value: Any, loc: tuple[str | int, ...]) -> Array:  # noqa: ANN401
    """A float array of what must be (nested) finite numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" and array.size:
            raise RequestProblem("Expected numbers only", loc=loc, kind="float_parsing")
        array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError) as exc:
        raise RequestProblem("Expected numbers in rows of equal length", loc=loc) from exc
    if not np.isfinite(array).all():
        raise RequestProblem("NaN and infinities are not numbers a model can take", loc=loc)
    return array


def shape_pixels(spec: ImageSpec, array: Array) -> Array:
    """0-255 → the range and shape training saw."""
    low, high = spec.range
    scaled = array * ((high - low) / BYTE) + low if spec.range != (0.0, BYTE) else array
    if spec.flatten:
        return scaled.reshape(-1)
    width, height = spec.size
    return scaled.reshape((height, width) if spec.channels == 1 else (height, width, spec.channels))


def decode_image(spec: ImageSpec, raw: bytes, loc: tuple[str | int, ...] = ("body", "file")) -> Array:
    """An image file as training prepared its own: transparency on black (white for dark ink), mode and size."""
    try:
        with Image.open(io.BytesIO(raw), formats=PICTURES) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RequestProblem(f"The picture has more than {MAX_PIXELS:,} pixels", loc=loc, status=413)
            flat = _without_alpha(image, spec.ink)
            small = flat.convert(spec.mode).resize(spec.size, Image.Resampling.BILINEAR)
            return shape_pixels(spec, np.asarray(small, dtype=np.float64))
    except RequestProblem:
        raise
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as exc:
        raise RequestProblem(
            "This is no picture that can be read (PNG, JPEG, WebP, GIF, BMP)", loc=loc, status=422
        ) from exc


def _without_alpha(image: Image.Image, ink: str) -> Image.Image:
    if image.mode not in {"RGBA", "LA", "PA"} and "transparency" not in image.info:
        return image
    whole = image.convert("RGBA")
    ground = Image.new("RGBA", whole.size, (0, 0, 0, 255) if ink == "light" else (255, 255, 255, 255))
    return Image.alpha_composite(ground, whole).convert("RGB")


def _decode_table(signature: ModelSignature, body: Any) -> Batch:  # noqa: ANN401
    columns = signature.columns
    if isinstance(body, Mapping):
        form = _form(body, frozenset(c.name for c in columns))
        if form == "columns" or (form in FRAMES and not _by_column(body[form], columns)):
            whole = form == "columns"
            return _decode_frame(columns, body if whole else body[form], ("body",) if whole else ("body", form))
        return _rows(columns, body[form] if form else body, ("body", form) if form else ("body",))
    if isinstance(body, list):
        return _records(columns, body, ("body",))
    raise RequestProblem("Expected a record (one value a column) or a list of records")


def _by_column(frame: Any, columns: Sequence[Column]) -> bool:  # noqa: ANN401
    """Whether it is a list of records, a record or columns by name, in place of names and rows."""
    return not isinstance(frame, Mapping) or ("data" not in frame and any(c.name in frame for c in columns))


def _form(body: Mapping[str, Any], known: frozenset[str]) -> str:
    """The name of the form a body is in; `columns` for names and rows themselves, empty for a record or columns by name."""
    for name in FRAMES:
        frame = body.get(name) if name not in known else None
        if isinstance(frame, Mapping) and ("data" in frame or not frame.keys() & known):
            return name
        if name not in LISTS and name in body and name not in known:
            raise RequestProblem("Expected an object with `columns` and `data`", loc=("body", name))
    if {"columns", "data"} <= body.keys() and isinstance(body["columns"], list) and not {"columns", "data"} <= known:
        return "columns"
    found = next((n for n in LISTS if n in body and n not in known), "")
    if found and not isinstance(body[found], (list, Mapping)):
        raise RequestProblem("Expected a list of records", loc=("body", found))
    return found


def _rows(columns: Sequence[Column], item: Any, loc: tuple[str | int, ...]) -> Batch:  # noqa: ANN401
    """Of a list of records, one record, or an object of columns."""
    if isinstance(item, list):
        return _records(columns, item, loc)
    numbers_only = read_numbers(columns, (item,))
    if numbers_only is not None:
        return Batch(numbers_only, single=True)
    if _is_columnar(columns, item):
        return _columnar(columns, item, loc)
    rows, warnings = _record(columns, item, loc)
    return Batch(matrix(columns, [rows]), single=True, warnings=(warnings,))


def _is_columnar(columns: Sequence[Column], item: Mapping[str, Any]) -> bool:
    """Whether there is a list of values a column: as `df.to_dict("list")` gives, or by row as `df.to_json()` does."""
    plain = {c.name for c in columns if c.type != "any"}
    kinds = {type(v) for k, v in item.items() if k in plain}
    return kinds in ({list}, {dict})


def _columnar(columns: Sequence[Column], item: Mapping[str, Any], loc: tuple[str | int, ...]) -> Batch:
    """Columns of equal length, by name."""
    lists = {k: list(v.values()) if isinstance(v, Mapping) else v for k, v in item.items()}
    first, length = next((k, len(v)) for k, v in lists.items() if isinstance(v, list))
    for name, values in lists.items():
        if not isinstance(values, list) or len(values) != length:
            raise RequestProblem(f"Expected {length} values, as many as `{first}` has", loc=(*loc, name))
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    batch = _records(columns, rows, loc)
    return Batch(batch.rows, single=False, warnings=batch.warnings)


def _records(columns: Sequence[Column], items: list[Any], loc: tuple[str | int, ...]) -> Batch:
    if not items:
        raise RequestProblem("The list is empty", loc=loc)
    if len(items) == len(columns) and not any(isinstance(i, (list, Mapping)) for i in items):
        items, single = [items], True
    else:
        single = False
    numbers_only = read_numbers(columns, items)
    if numbers_only is not None:
        return Batch(numbers_only, single=single)
    decoded = [_record(columns, item, (*loc, i)) for i, item in enumerate(items)]
    return Batch(matrix(columns, [d[0] for d in decoded]), single=single, warnings=tuple(d[1] for d in decoded))


def _decode_frame(columns: Sequence[Column], frame: Mapping[str, Any], loc: tuple[str | int, ...]) -> Batch:
    names, data = frame.get("columns"), frame.get("data")
    if not isinstance(data, list) or not data:
        raise RequestProblem("Expected rows in `data`", loc=(*loc, "data"))
    if names is None:
        return _records(columns, data, (*loc, "data"))
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise RequestProblem("Expected a list of column names", loc=(*loc, "columns"))
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise RequestProblem(f"`{twice}` is there twice", loc=(*loc, "columns"))
    rows = []
    for i, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise RequestProblem(f"Expected {len(names)} values, one a column", loc=(*loc, "data", i))
        rows.append(dict(zip(names, row, strict=True)))
    batch = _records(columns, rows, (*loc, "data"))
    return Batch(batch.rows, single=False, warnings=batch.warnings)


def _record(columns: Sequence[Column], item: Any, loc: tuple[str | int, ...]) -> tuple[list[Any], tuple[str, ...]]:  # noqa: ANN401
    """Values in the order of training, whatever the order they came in."""
    if isinstance(item, list):
        if len(item) != len(columns):
            raise RequestProblem(f"Expected {len(columns)} values, got {len(item)}", loc=loc)
        item = dict(zip((c.name for c in columns), item, strict=True))
    if not isinstance(item, Mapping):
        raise RequestProblem("Expected a record with one value a column", loc=loc)
    known = {c.name for c in columns}
    unknown = [k for k in item if k not in known]
    if unknown:
        raise _unknown(str(unknown[0]), [c.name for c in columns if c.name not in item], loc)
    values: list[Any] = []
    warnings: list[str] = []
    for column in columns:
        if column.required and column.name not in item:
            raise RequestProblem("Field required", loc=(*loc, column.name), kind="missing")
        value = read_cell(column, item.get(column.name), (*loc, column.name))
        values.append(value)
        warning = outside(column, value)
        if warning:
            warnings.append(warning)
    return values, tuple(warnings)


def _unknown(name: str, absent: Sequence[str], loc: tuple[str | int, ...]) -> RequestProblem:
    """A name that is no column's, with the one that may be meant: among those that were not given."""
    near = difflib.get_close_matches(name[:100], absent, 1)
    words = f"The model has no column `{name}`" + (f"; did you mean `{near[0]}`?" if near else "")
    return RequestProblem(words, loc=(*loc, name), kind="extra_forbidden")


def _decode_tensor(signature: ModelSignature, body: Any) -> Batch:  # noqa: ANN401
    loc: tuple[str | int, ...] = ("body",)
    if isinstance(body, Mapping):
        name = next((n for n in LISTS if n in body), None)
        if name is None:
            raise RequestProblem('Expected {"inputs": [[…], …]}', loc=("body", "inputs"), kind="missing")
        body, loc = body[name], ("body", name)
    array = numbers(body, loc)
    if not array.ndim:
        raise RequestProblem("Expected a list of numbers, or a list of such lists", loc=loc)
    if not array.size:
        raise RequestProblem("The list is empty", loc=loc)
    shape = signature.shape
    single = array.ndim == max(1, len(shape))
    rows = array[None] if single else array
    if shape and (
        rows.ndim != len(shape) + 1 or any(w not in {-1, n} for w, n in zip(shape, rows.shape[1:], strict=True))
    ):
        got, wanted = (" x ".join(map(str, s)) for s in (rows.shape[1:], shape))
        raise RequestProblem(f"Expected {wanted} values a row, got {got}", loc=loc)
    return Batch(rows, single=single)
