"""Recorded requests and what turned out to be true, read back: joined by the request's id, one row for each row predicted."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tidemill.base.errors import UsageError
from tidemill.base.files import write_atomic

KINDS = (".jsonl", ".parquet")
GROWING = "."  # begins the name of a file that is being written: whoever reads a folder of Parquet files passes it by
REQUESTS, FEEDBACK = "requests", "feedback"
# Every file has all columns of its kind, whatever was recorded in it. The version is not called so, since that is its folder's name.
COLUMNS = {
    REQUESTS: ("request_id", "at", "model", "model_version", "request", "response", "latency_ms", "headers"),
    FEEDBACK: ("request_id", "at", "model", "model_version", "truth"),
}
FLOATS = ("latency_ms",)
GROUP_BYTES = 4 << 20  # of lines, in a part of a Parquet file
FRAMES = ("input_data", "dataframe_split")
LISTS = ("instances", "inputs", "data", "records")
JSON_FIELDS = ("request", "response", "truth", "headers")
Row = dict[str, Any]


def to_parquet(lines: Path, kind: str) -> Path:
    """The file that takes the place of a finished file of JSON lines: Parquet, or the lines themselves without pyarrow, which is an extra."""
    parquet = _arrow("parquet")
    if parquet is None:
        return lines.replace(lines.with_name(lines.name.removeprefix(GROWING)))
    arrow = importlib.import_module("pyarrow")
    types = {name: arrow.float64() if name in FLOATS else arrow.string() for name in COLUMNS[kind]}
    schema = arrow.schema(list(types.items()))
    made, growing = finished(lines), lines.with_name(f"{GROWING}{lines.stem.removeprefix(GROWING)}.growing")
    try:
        with parquet.ParquetWriter(growing, schema, compression="zstd") as writer:
            for rows in _groups(lines):
                writer.write_table(arrow.table({n: [row.get(n) for row in rows] for n in types}, schema=schema))
        growing.replace(made)
    finally:
        growing.unlink(missing_ok=True)
    lines.unlink()
    return made


def finished(lines: Path) -> Path:
    """The Parquet file that lines become."""
    return lines.with_name(lines.name.removeprefix(GROWING)).with_suffix(".parquet")


def _groups(lines: Path) -> Iterator[list[Row]]:
    """Rows as Parquet has them, JSON as text: so many at a time that the memory for it stays small."""
    rows: list[Row] = []
    size = 0
    for line in _whole_lines(lines):
        row: dict[str, msgspec.Raw] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        rows.append(
            {
                "model_version" if k == "version" else k: bytes(v).decode()
                if k in JSON_FIELDS
                else msgspec.json.decode(v)
                for k, v in row.items()
            }
        )
        size += len(line)
        if size >= GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def read_records(folder: Path, kind: str) -> Iterator[Row]:
    """Every record below a capture folder; `kind` is `requests` or `feedback`."""
    for file in sorted((folder / kind).rglob("*.*")):
        if file.suffix == ".parquet":
            yield from _read_parquet(file)
        elif file.suffix == ".jsonl" and not finished(file).exists():
            try:
                rows = list(_read_lines(file))
            except FileNotFoundError:  # it was finished just now
                ended = finished(file)
                rows = list(_read_parquet(ended) if ended.exists() else _read_lines(ended.with_suffix(".jsonl")))
            yield from rows


def join(folder: Path) -> list[Row]:
    """One row for each row predicted, oldest first: what was asked, what was answered, what was true where that is known."""
    return join_all((folder,))


def join_all(folders: Sequence[Path]) -> list[Row]:
    """As `join`, of several capture folders: a truth may lie in another one than its request."""
    truths: dict[str, Row] = {}
    for said in (said for folder in folders for said in read_records(folder, FEEDBACK)):
        known = truths.get(said["request_id"])
        if known is None or known["at"] <= said["at"]:
            truths[said["request_id"]] = said
    asked = (entry for folder in folders for entry in read_records(folder, REQUESTS))
    rows = [row for entry in asked for row in _rows(entry, truths.get(entry["request_id"]))]
    return sorted(rows, key=lambda r: (r["at"], r["request_id"], r["row"]))


def _rows(entry: Row, said: Row | None) -> Iterator[Row]:
    """The rows of one request."""
    answers = _answers(entry.get("response"))
    asked = _asked(entry.get("request"), len(answers))
    truth = said["truth"] if said else None
    each = truth if isinstance(truth, list) and len(truth) == len(answers) else [truth] * len(answers)
    about = {k: entry.get(k) for k in ("at", "request_id", "model", "version", "latency_ms")}
    about |= {f"header:{name}": value for name, value in (entry.get("headers") or {}).items()}
    for i, (values, answer) in enumerate(zip(asked, answers, strict=True)):
        yield {**values, **about, "row": i, **answer, "truth": each[i], "truth_at": said["at"] if said else None}


def _answers(response: Any) -> list[Row]:  # noqa: ANN401 - any JSON value
    """`prediction` and `probability` of each row, of `/predict` or of `/score`; what a script says otherwise is one row."""
    if isinstance(response, Mapping) and isinstance(response.get("outputs"), list):
        response = _tensors(response["outputs"])
    if isinstance(response, Mapping) and isinstance(response.get("predictions"), list):
        response = response["predictions"]
    many = response if isinstance(response, list) else [response]
    return [
        {"prediction": one.get("prediction"), "probability": one.get("probability")}
        if isinstance(one, Mapping) and "prediction" in one
        else {"prediction": one, "probability": None}
        for one in many
    ]


def _tensors(outputs: list[Row]) -> list[Row]:
    """What `/v2/…/infer` answered, as `/predict` says it."""
    said = {o.get("name"): o.get("data") or [] for o in outputs}
    labels, scores = said.get("prediction", []), said.get("probabilities", [])
    wide = len(scores) // len(labels) if labels else 0
    best = [max(scores[i * wide : (i + 1) * wide], default=None) for i in range(len(labels))]
    return [{"prediction": one, "probability": p} for one, p in zip(labels, best, strict=True)]


def _asked(request: Any, count: int) -> list[Row]:  # noqa: ANN401
    """The columns of each row; what has none stays together under `request`."""
    items = _items(request)
    if len(items) == count and all(isinstance(i, Mapping) and _is_flat(i) for i in items):
        return [{str(k): v for k, v in i.items()} for i in items]
    return [{"request": request}] * count


def _items(request: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(request, Mapping):
        inner = next((request[n] for n in (*FRAMES, *LISTS) if isinstance(request.get(n), (Mapping, list))), None)
        tensors = request.get("inputs")
        if isinstance(tensors, list) and tensors and all(isinstance(t, Mapping) and "shape" in t for t in tensors):
            return _by_row(tensors)
        names, data = request.get("columns"), request.get("data")
        if isinstance(names, list) and isinstance(data, list):
            return [dict(zip(map(str, names), row, strict=False)) if isinstance(row, list) else row for row in data]
        return [request] if inner is None else _items(inner)
    return request if isinstance(request, list) else [request]


def _by_row(tensors: list[Row]) -> list[Any]:
    """Named columns of `/v2/…/infer`, row by row; one tensor of all values stays as it is."""
    columns = [t.get("data") for t in tensors]
    if len(tensors) == 1 or not all(isinstance(c, list) for c in columns):
        return tensors
    return [dict(zip([str(t.get("name")) for t in tensors], row, strict=True)) for row in zip(*columns, strict=False)]


def _is_flat(item: Mapping[str, Any]) -> bool:
    return not any(isinstance(v, (list, Mapping)) for v in item.values())


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """As Parquet or CSV, by the file's name."""
    names = list(dict.fromkeys(k for row in rows for k in row))
    if path.suffix == ".parquet":
        _write_parquet(rows, names, path)
        return
    if path.suffix != ".csv":
        raise UsageError(f"{path.name} is neither .csv nor .parquet")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({k: _plain(v) for k, v in row.items()} for row in rows)


def _write_parquet(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    parquet = _arrow("parquet")
    if parquet is None:
        raise UsageError("Parquet needs pyarrow", hint='pip install "tidemill[capture]", or write a .csv')
    arrow = importlib.import_module("pyarrow")
    parquet.write_table(arrow.table({n: _column(arrow, [row.get(n) for row in rows]) for n in names}), path)


def _column(arrow: ModuleType, values: list[Any]) -> Any:  # noqa: ANN401 - pyarrow's own type
    """Of one type; what has several is text."""
    plain = [_plain(v) for v in values]
    try:
        return arrow.array(plain)
    except arrow.ArrowException:
        return arrow.array([None if v is None else str(v) for v in plain])


def _plain(value: Any) -> Any:  # noqa: ANN401
    return msgspec.json.encode(value).decode() if isinstance(value, (list, Mapping)) else value


def strays(folders: Sequence[Path], rows: Sequence[Row]) -> list[str]:
    """Ids of truths that belong to none of the joined rows."""
    asked = {row["request_id"] for row in rows}
    said = (said["request_id"] for folder in folders for said in read_records(folder, FEEDBACK))
    return [one for one in dict.fromkeys(said) if one not in asked]


def keep_feedback(folder: Path, items: Sequence[Row], at: str) -> Path:
    """Put down what turned out to be true without asking a server; the file it is in."""
    lines = b"".join(msgspec.json.encode({"at": at, "model": "", "version": "", **item}) + b"\n" for item in items)
    name = at.replace(":", "").replace("+", "")
    path = folder / FEEDBACK / "version=unknown" / f"date={at[:10]}" / f"{GROWING}{name}.jsonl"
    write_atomic(path, lines.decode())
    return to_parquet(path, FEEDBACK)


def _read_lines(file: Path) -> Iterator[Row]:
    for line in _whole_lines(file):
        yield msgspec.json.decode(line)


def _whole_lines(file: Path) -> Iterator[bytes]:
    """A line that a crash cut off, or a failing disk garbled, is left out."""
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                try:
                    msgspec.json.decode(line, type=dict[str, msgspec.Raw])
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                yield line


def _read_parquet(file: Path) -> Iterator[Row]:
    parquet = _arrow("parquet")
    if parquet is None:
        raise UsageError(f"{file.name} needs pyarrow", hint='pip install "tidemill[capture]"')
    for batch in parquet.ParquetFile(file).iter_batches():
        for row in batch.to_pylist():
            yield {
                "version" if k == "model_version" else k: msgspec.json.decode(v) if k in JSON_FIELDS else v
                for k, v in row.items()
                if v is not None
            }


def _arrow(part: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"pyarrow.{part}")
    except ImportError:
        return None
