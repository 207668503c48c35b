"""The items of a `parallel_for`: written in the document, or what another step or a data asset lists."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.plan.control import ITEMS
from tidemill.plan.graph import READ_ONLY, VALUE_TYPES, DataInput, DataRef, InputBinding, Literal, Step, StepOutput
from tidemill.run.work import StepWork
from tidemill.spec.expression import literal_text

_LABEL = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Item:
    """What one round of a fan-out is given; `label` names the round."""

    label: str
    bindings: Mapping[str, InputBinding]


def read_items(work: StepWork) -> list[Item]:
    """Every item in order; `FailedError` for what is no list of items."""
    step = work.step
    binding = step.inputs.get(ITEMS)
    if isinstance(binding, Literal):
        found = binding.value if isinstance(binding.value, list | Mapping) else _parse(binding.text, step)
    else:
        source = work.sources.get(ITEMS)
        found = _listed(source.path if source else None, binding, step)
    named = list(found.items()) if isinstance(found, Mapping) else [(str(i), item) for i, item in enumerate(found)]
    base = Path(work.context.plan.source).absolute().parent
    return [Item(_LABEL.sub("-", str(label)) or "item", _bindings(item, step, base)) for label, item in named]


def _parse(text: str, step: Step) -> Any:  # noqa: ANN401 - any JSON value
    """JSON, or a JSON object a line."""
    try:
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as exc:
        raise FailedError(f"The items of `{step.name}` are not JSON: {exc}", at=step.at) from exc
    if not isinstance(found, list | Mapping):
        raise FailedError(f"The items of `{step.name}` are no list and no object", at=step.at)
    return found


def _listed(path: Path | None, binding: InputBinding | None, step: Step) -> Any:  # noqa: ANN401
    """Items out of bytes: a JSON file, or a folder whose entries go to the body's input of the same data."""
    if path is None or not path.exists():
        raise FailedError(f"Nothing lists the items of `{step.name}`", at=step.at)
    if path.is_dir():
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        lists = [p for p in entries if p.suffix in {".json", ".jsonl"}]
        if len(entries) == 1 and lists:
            return _parse(lists[0].read_text(encoding="utf-8"), step)
        name = _receiver(binding, step)
        return {p.stem or p.name: {name: {"path": str(p)}} for p in entries if p.name != "MLTable"}
    return _parse(path.read_text(encoding="utf-8"), step)


def _receiver(binding: InputBinding | None, step: Step) -> str:
    """The body's input that gets one entry of a folder: the one called `item`, or the one bound to the same folder."""
    body = step.blocks.get("body", ())
    names = [n for s in body for n, b in s.inputs.items() if n == "item" or _same(b, binding)]
    if len(set(names)) != 1:
        raise FailedError(
            f"`{step.name}` goes through a folder, and none of its body's inputs takes the entries",
            hint="Call one input of the body `item`, or bind one to the folder itself.",
            at=step.at,
        )
    return names[0]


def _same(one: InputBinding, other: InputBinding | None) -> bool:
    if isinstance(one, StepOutput) and isinstance(other, StepOutput):
        return (one.step, one.output) == (other.step, other.output)
    return isinstance(one, DataInput) and isinstance(other, DataInput) and one.ref.uri == other.ref.uri


def _bindings(item: Any, step: Step, base: Path) -> dict[str, InputBinding]:  # noqa: ANN401
    if not isinstance(item, Mapping):
        raise FailedError(
            f"An item of `{step.name}` is `{str(item)[:40]}`, not inputs with their values",
            hint='Example: items: [{"learning_rate": 0.1}, {"learning_rate": 0.2}]',
            at=step.at,
        )
    return {name: _binding(value, base) for name, value in item.items()}


def _binding(value: Any, base: Path) -> InputBinding:  # noqa: ANN401
    """A value as text, or data by its path."""
    if not isinstance(value, Mapping) or "path" not in value:
        return Literal(value if isinstance(value, str) else literal_text(value), value)
    text = str(value["path"])
    path = text if "://" in text else str((base / text).absolute())
    kind = str(value.get("type") or ("uri_file" if Path(path).is_file() else "uri_folder"))
    if kind in VALUE_TYPES:
        return Literal(text, text)
    return DataInput(DataRef(path, kind), str(value.get("mode") or READ_ONLY), kind)
