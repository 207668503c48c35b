"""Fields Azure's loader drops without a word: those it does not know in a component, its `resources` and its `distribution`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from tidemill.base.findings import Finding, Severity
from tidemill.base.suggest import did_you_mean
from tidemill.spec.command import ComponentFields
from tidemill.spec.problems import dotted, known_fields, models_at, written_path
from tidemill.spec.source import Source

DROPPED_BELOW = {"resources", "distribution"}
Loc = tuple[int | str, ...]


def without_ignored(
    exc: ValidationError,
    model: Any,  # noqa: ANN401 - a model, or a union of models
    source: Source,
    data: Any,  # noqa: ANN401 - any YAML value
) -> tuple[Any, list[Finding]]:
    """The data without what Azure ignores, and a warning for each; the data itself when nothing is to be ignored.

    A field that looks like a known one is a slip of the pen, and stays an error.
    """
    places = [e["loc"] for e in exc.errors(include_url=False) if e["type"] == "extra_forbidden"]
    places = [loc for loc in places if _is_ignored(model, loc)]
    if not places:
        return data, []
    data = copy.deepcopy(data)
    return data, [_drop(data, written_path(loc, data), source) for loc in places]


def _is_ignored(model: Any, loc: Loc) -> bool:  # noqa: ANN401
    parent = loc[:-1]
    while parent and isinstance(parent[-1], str) and parent[-1].startswith("#"):
        parent = parent[:-1]
    inner = bool(parent) and parent[-1] in DROPPED_BELOW
    return _is_component(model, parent[:-1] if inner else loc[:-1]) and not _looks_known(model, loc)


def _is_component(model: Any, loc: Loc) -> bool:  # noqa: ANN401
    return any(issubclass(m, ComponentFields) for m in models_at(model, loc))


def _looks_known(model: type[BaseModel], loc: Loc) -> bool:
    """Whether the last part of `loc` is nearly the name of a field that may stand there."""
    return did_you_mean(str(loc[-1]), known_fields(model, loc[:-1])).startswith("Did")


def _drop(data: Any, path: Sequence[str | int], source: Source) -> Finding:  # noqa: ANN401
    owner = data
    for part in path[:-1]:
        owner = owner[part]
    owner.pop(path[-1], None)
    text = f"Azure ignores the unknown field `{path[-1]}`"
    at = source.locate(path, key=True)
    hint = "Remove it or correct its name."
    return Finding("TM-D106", Severity.WARNING, text, hint, at, dotted(tuple(path)))
