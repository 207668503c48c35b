"""Fields that are written without a value: Azure refuses almost all of them, and what was meant is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from tidemill.base.findings import Finding, Severity
from tidemill.spec.problems import dotted
from tidemill.spec.source import Source

ALLOWED = {
    "$schema", "api_key", "api_version", "artifact", "custom_subnet", "delay_evaluation", "evaluation_interval", "ip_rules",
    "open_ai_resource_id", "slack_amount", "slack_factor", "user_assigned_identities", "default", "value",
}  # fmt: skip
"""Where Azure's loader takes null."""
ALLOWED_IN_STEPS = {"code", "environment"}

Path = tuple[str | int, ...]


def null_findings(document: BaseModel, data: Any, source: Source) -> Iterator[Finding]:  # noqa: ANN401
    """One finding for each field of the document that is null in the file; nothing is walked when the file has no null."""
    if not source.has_nulls:
        return
    for path in _nulls(document, data, ()):
        text = f"`{path[-1]}` has no value" + (f" in `{dotted(path[:-1])}`" if len(path) > 1 else "")
        at = source.locate(path, key=True)
        yield Finding("TM-D104", Severity.ERROR, text, "Give it a value, or remove the line.", at, dotted(path))


def _nulls(typed: Any, data: Any, path: Path) -> Iterator[Path]:  # noqa: ANN401 - a document and what it was read from
    if isinstance(typed, BaseModel) and isinstance(data, Mapping):
        for name, field in type(typed).model_fields.items():
            key = field.alias or name
            if key in data and data[key] is not None:
                yield from _nulls(getattr(typed, name), data[key], (*path, key))
            elif key in data and not _is_allowed(key, path):
                yield (*path, key)
    else:
        for part, value, item in _pairs(typed, data):
            yield from _nulls(value, item, (*path, part))


def _is_allowed(key: str, path: Path) -> bool:
    return key in ALLOWED or (key in ALLOWED_IN_STEPS and path[:1] == ("jobs",))


def _pairs(typed: Any, data: Any) -> Iterator[tuple[str | int, Any, Any]]:  # noqa: ANN401
    """Members of a mapping or list beside what they were read from."""
    if isinstance(typed, dict) and isinstance(data, Mapping):
        yield from ((k, v, data[k]) for k, v in typed.items() if isinstance(v, (BaseModel, dict)) and k in data)
    elif isinstance(typed, list) and isinstance(data, list):
        yield from ((n, v, i) for n, (v, i) in enumerate(zip(typed, data, strict=False)))
