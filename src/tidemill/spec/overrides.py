"""`--set a.b[0].c=value`, as az: values are YAML scalars or JSON; nothing can be set inside a reference string."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

from tidemill.base.errors import UsageError
from tidemill.base.frozen import frozen

TEXTS = {"name", "version", "endpoint_name", "display_name", "experiment_name", "description"}
"""Fields that are text whatever they look like: `--set version=1.10` means 1.10."""
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@frozen
class Override:
    """One `--set`; `path` is keys and list places."""

    path: tuple[str | int, ...]
    value: Any
    text: str


def parse_override(text: str) -> Override:
    """`inputs.epochs=3` → Override; `UsageError` when there is no `=` or no path."""
    path, equals, raw = text.partition("=")
    parts = parse_path(path.strip())
    if not equals or not parts:
        raise UsageError(
            f"`--set {text}` is not PATH=VALUE",
            hint="Example: --set inputs.epochs=3 --set settings.default_compute=azureml:cpu",
        )
    is_text = "inputs" not in parts and (parts[-1] in TEXTS or bool({"tags", "properties"} & set(parts[:-1])))
    return Override(parts, _unquoted(raw.strip()) if is_text else parse_value(raw), text)


def _unquoted(raw: str) -> str:
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else raw


def parse_path(path: str) -> tuple[str | int, ...]:
    """`a.b[0].c` → keys and places; empty when it is no path."""
    parts: list[str | int] = []
    place = 0
    for found in _PART.finditer(path):
        if path[place : found.start()].strip(".") or path[place : found.start()].count(".") > 1:
            return ()
        parts.append(int(found.group(2)) if found.group(2) is not None else found.group(1))
        place = found.end()
    return tuple(parts) if place == len(path) else ()


def parse_value(raw: str) -> Any:  # noqa: ANN401
    """A value as YAML reads it; JSON for lists and mappings; everything else stays text."""
    stripped = raw.strip()
    if stripped[:1] in {"{", "["}:
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):
            return _yaml_or_text(stripped)
    if _unquoted(stripped) != stripped:
        return _unquoted(stripped)
    return _yaml_or_text(raw)


def _yaml_or_text(raw: str) -> Any:  # noqa: ANN401
    try:
        value = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError):
        return raw
    if value is None:
        return raw if raw.strip() not in {"null", "~", "Null", "NULL"} else None
    return value if isinstance(value, (str, int, float, bool, list, dict)) else raw


def apply_overrides(data: Any, overrides: Sequence[Override]) -> Any:  # noqa: ANN401
    """A copy of `data` with every override in place; `UsageError` for one that leads through text or past a list."""
    for override in overrides:
        data = _set(data, override.path, override)
    return data


def _set(node: Any, path: tuple[str | int, ...], override: Override) -> Any:  # noqa: ANN401
    if not path:
        return override.value
    part, rest = path[0], path[1:]
    if isinstance(node, list) and isinstance(part, str) and part.isdecimal():
        part = int(part)
    if isinstance(part, int):
        return _set_item([] if node is None else node, part, rest, override)
    if node is None:
        node = {}
    if not isinstance(node, dict):
        raise UsageError(
            f"`--set {override.text}` leads into a value that is not a mapping: `{node}`",
            hint="A reference such as `azureml:name:1` has no fields; set the whole value.",
        )
    return {**node, part: _set(node.get(part), rest, override)}


def _set_item(node: Any, place: int, rest: tuple[str | int, ...], override: Override) -> Any:  # noqa: ANN401
    """An item replaced, or one appended just behind the last."""
    if not isinstance(node, list) or place > len(node):
        raise UsageError(f"`--set {override.text}`: there is no item [{place}]", hint="Places count from 0.")
    before = node[place] if place < len(node) else None
    return [*node[:place], _set(before, rest, override), *node[place + 1 :]]
