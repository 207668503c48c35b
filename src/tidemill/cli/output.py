"""Values as az prints them: json, jsonc, yaml, yamlc, table, tsv or none, after a JMESPath query."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
import yaml

from tidemill.base.errors import UsageError

FORMATS = ("json", "jsonc", "yaml", "yamlc", "table", "tsv", "none")


def print_value(value: Any, *, fmt: str = "json", query: str | None = None) -> None:  # noqa: ANN401
    """Print a JSON value to standard output; nothing at all for a result of null, as az."""
    result = apply_query(value, query)
    if result is None or fmt == "none":
        return
    sys.stdout.write(format_value(result, fmt))


def apply_query(value: Any, query: str | None) -> Any:  # noqa: ANN401
    """What the JMESPath `query` selects; `UsageError` when it is not JMESPath, or has no answer about such a value."""
    if not query:
        return value
    import jmespath  # noqa: PLC0415 - what a command without --query need not load

    with _refusing_queries():
        return jmespath.search(query, value)


def require_query(query: str | None) -> None:
    """`UsageError` for what is not JMESPath, whatever it would be asked about."""
    if query:
        import jmespath  # noqa: PLC0415

        with _refusing_queries():
            jmespath.compile(query)


@contextmanager
def _refusing_queries() -> Iterator[None]:
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415

    try:
        yield
    except JMESPathError as exc:
        raise UsageError(f"--query is not JMESPath: {exc}", hint='Example: --query "[0].version"') from exc


def has_tag(tags: Mapping[str, str], wanted: str | None) -> bool:
    """Whether `tags` hold `KEY` or `KEY=VALUE`; nothing wanted is always there."""
    key, equals, value = (wanted or "").partition("=")
    return not key or (key in tags and (not equals or tags[key] == value))


def format_value(value: Any, fmt: str) -> str:  # noqa: ANN401
    """`value` as text that ends in a newline (or is empty)."""
    if fmt in {"json", "jsonc"}:
        return json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str) + "\n"
    if fmt in {"yaml", "yamlc"}:
        return yaml.safe_dump(json.loads(json.dumps(value, default=str)), sort_keys=False, allow_unicode=True)
    if fmt == "tsv":
        return format_tsv(value)
    return format_table(value)


def _finite(value: Any) -> Any:  # noqa: ANN401
    """NaN and infinities as null: JSON (RFC 8259) has no word for them, and readers refuse Python's."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def format_tsv(value: Any) -> str:  # noqa: ANN401
    """One line an item, values separated by tabs; a nested list by its size, a nested object by nothing, as az."""
    rows = value if isinstance(value, list) else [value]
    return "".join(f"{_tsv_row(row)}\n" for row in rows)


def _tsv_row(row: Any) -> str:  # noqa: ANN401
    if isinstance(row, Mapping):
        return "\t".join(_tsv_cell(v) for v in row.values())
    if isinstance(row, list):
        return "\t".join(_tsv_cell(v) for v in row)
    return str(row).lower() if isinstance(row, bool) else _tsv_cell(row)


def _tsv_cell(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Mapping):
        return ""  # az keeps the column and says nothing
    return str(len(value)) if isinstance(value, list) else str(value)


def format_table(value: Any) -> str:  # noqa: ANN401
    """Columns for the plain fields of an object or a list of objects."""
    rows = value if isinstance(value, list) else [value]
    if not rows:
        return ""
    if not all(isinstance(row, Mapping) for row in rows):
        return _table_of_values(rows)
    columns = list(dict.fromkeys(k for row in rows for k, v in row.items() if not isinstance(v, (list, Mapping))))
    cells = [[_cell(row.get(c)) for c in columns] for row in rows]
    return draw_table([c.replace("_", " ").title().replace(" ", "") for c in columns], cells)


def _table_of_values(rows: Sequence[Any]) -> str:
    """Columns without a name, as az has them: `Result` for plain values, `Column1` … for lists."""
    lists = [row if isinstance(row, list) else [row] for row in rows]
    width = max(len(row) for row in lists)
    heads = [f"Column{i + 1}" for i in range(width)] if any(isinstance(r, list) for r in rows) else ["Result"]
    cells = [[c if isinstance(c, str) else json.dumps(c) for c in (*row, *[""] * (width - len(row)))] for row in lists]
    return draw_table(heads, cells)


def draw_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns with a rule below the heads."""
    widths = [max(len(h), *(len(r[i]) for r in rows)) if rows else len(h) for i, h in enumerate(heads)]
    lines = [heads, ["-" * w for w in widths], *rows]
    return "".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines)


def _cell(value: Any) -> str:  # noqa: ANN401
    return "" if value is None else str(value)


def say(text: str) -> None:
    """What happens meanwhile, for people: on standard error, so that output can be piped."""
    click.echo(text, err=True)
