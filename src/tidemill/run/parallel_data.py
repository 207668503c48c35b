"""Whether a parallel step's data is files or a table, and how the table is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import FailedError
from tidemill.run.parallel_settings import Parallel, parse_count, parse_size

MLTABLE = "MLTable"
TABLES = frozenset({".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson"})
READERS = {
    "read_delimited": "delimited",
    "read_parquet": "parquet",
    "read_json_lines": "json_lines",
}
OTHERS = ("keep_columns", "drop_columns", "convert_column_types", "extract_columns_from_partition_format")
TYPES = {"int": "int64", "float": "float64", "string": "str", "boolean": "bool", "datetime": "datetime"}
ENCODINGS = {"iso88591": "iso-8859-1", "utf8": "utf-8", "utf8bom": "utf-8-sig", "windows1252": "cp1252"}
NO_HEADERS = frozenset({"no_header", "no_headers", "none", "false"})


def describe_data(path: Path, kind: str, settings: Parallel) -> dict[str, Any]:
    """What the head of the step needs to split the data at `path`."""
    if settings.files_only:
        return _files([str(path)], settings)
    description = path / MLTABLE
    if path.is_dir() and description.is_file():
        return _read_mltable(path, description, settings)
    if kind == "mltable" and path.is_dir():
        raise FailedError(f"`{path}` holds no file `{MLTABLE}`", hint="Or give the input the type uri_folder.")
    if path.is_file() and path.suffix.lower() in TABLES:
        return _table([str(path)], {}, settings)
    return _files([str(path)], settings)


def _files(paths: list[str], settings: Parallel) -> dict[str, Any]:
    return {"kind": "files", "paths": paths, "batch_files": parse_count(settings.mini_batch_size), "table": {}}


def _table(paths: list[str], table: Mapping[str, Any], settings: Parallel) -> dict[str, Any]:
    return {"kind": "table", "paths": paths, "batch_bytes": parse_size(settings.mini_batch_size), "table": dict(table)}


def describe_table(path: Path) -> dict[str, Any]:
    """A whole table at `path`: an MLTable as it describes itself, else every file there."""
    description = path / MLTABLE
    if not (path.is_dir() and description.is_file()):
        return {"paths": [str(path)], "table": {}}
    paths, table = _parse_mltable(path, description)
    return {"paths": paths, "table": table}


def _parse_mltable(folder: Path, description: Path) -> tuple[list[str], dict[str, Any]]:
    found = yaml.safe_load(description.read_text(encoding="utf-8")) or {}
    paths = [_place(folder, entry) for entry in found.get("paths") or ()] or [str(folder)]
    return paths, _transformations(found.get("transformations") or (), description)


def _read_mltable(folder: Path, description: Path, settings: Parallel) -> dict[str, Any]:
    """A table's description: where its files are, and what to do with them."""
    paths, table = _parse_mltable(folder, description)
    return _table(paths, table, settings) if table.get("reader") else _files(paths, settings)


def _place(folder: Path, entry: Any) -> str:  # noqa: ANN401 - one item of `paths`
    text = next(iter(entry.values()), "") if isinstance(entry, Mapping) else entry
    text = str(text).removeprefix("file://")
    if "://" in text:
        raise FailedError(f"`{MLTABLE}` of `{folder.name}` points to `{text}`, which is not in its folder")
    return str(folder / text)


def _transformations(listed: Any, description: Path) -> dict[str, Any]:  # noqa: ANN401
    table: dict[str, Any] = {}
    for item in listed:
        name, body = next(iter(item.items())) if isinstance(item, Mapping) else (str(item), {})
        body = body or {}
        if name in READERS:
            table["reader"] = READERS[name]
            table |= _reading(body if isinstance(body, Mapping) else {})
        elif name == "extract_columns_from_partition_format":
            table["partition_format"] = str(body.get("partition_format", "") if isinstance(body, Mapping) else body)
        elif name in {"keep_columns", "drop_columns"}:
            table[name.partition("_")[0]] = [body] if isinstance(body, str) else list(body)
        elif name == "convert_column_types":
            table["types"] = _types(body)
        else:
            raise FailedError(
                f"`{description}` asks for `{name}`, which is not done here",
                hint=f"Known: {', '.join([*READERS, *OTHERS])}.",
            )
    return table


def _reading(body: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"delimiter": body.get("delimiter"), "encoding": _encoding(body.get("encoding"))}
    if body.get("include_path_column") is True:
        known["path_column"] = True
    if str(body.get("header", "")).lower() in NO_HEADERS:
        known["header"] = False
    return {k: v for k, v in known.items() if v is not None}


def _encoding(name: Any) -> str | None:  # noqa: ANN401
    return ENCODINGS.get(str(name).lower(), str(name)) if name else None


def _types(body: Any) -> dict[str, str]:  # noqa: ANN401
    found: dict[str, str] = {}
    for item in body:
        columns = item["columns"] if isinstance(item["columns"], list) else [item["columns"]]
        kind = item["column_type"]
        kind = next(iter(kind)) if isinstance(kind, Mapping) else str(kind)
        found |= dict.fromkeys(columns, TYPES.get(kind, "str"))
    return found
