"""`update … --set a.b=c --add list VALUE --remove list 0`, as az changes what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.base.errors import UsageError
from tidemill.spec.overrides import Override, apply_overrides, parse_override, parse_path, parse_value


@dataclass(frozen=True, slots=True)
class Edits:
    """What one `update` changes; `added` appends to lists, `removed` drops a field or one item of a list."""

    set: tuple[Override, ...] = ()
    added: tuple[Override, ...] = ()
    removed: tuple[tuple[str | int, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.added or self.removed)


def parse_edits(sets: Sequence[str], adds: Sequence[str], removes: Sequence[str], tags: str = "") -> Edits:
    """The words of the options; `UsageError` for those that name no path."""
    pairs = [parse_override(f"tags.{pair}") for pair in tags.split()]
    return Edits(
        (*(parse_override(s) for s in sets), *pairs),
        tuple(_parse_add(a) for a in adds),
        tuple(_parse_remove(r) for r in removes),
    )


def _parse_add(text: str) -> Override:
    """`list VALUE`; values such as `a=1 b=2` are one mapping."""
    path, _, raw = text.strip().partition(" ")
    parts = parse_path(path)
    if not parts or not raw:
        raise UsageError(f"`--add {text}` is not PATH VALUE", hint="Example: --add schedules.items name=night")
    words = raw.split()
    if raw[0] not in "[{'\"" and all("=" in w for w in words):
        pairs = (word.partition("=") for word in words)
        return Override(parts, {key: parse_value(value) for key, _, value in pairs}, text)
    return Override(parts, parse_value(raw), text)


def _parse_remove(text: str) -> tuple[str | int, ...]:
    path, _, place = text.strip().partition(" ")
    parts = parse_path(path)
    if not parts or (place and not place.isdecimal()):
        raise UsageError(
            f"`--remove {text}` is not PATH or PATH INDEX", hint="Example: --remove tags.owner, or --remove items 0"
        )
    return (*parts, int(place)) if place else parts


def apply_edits(data: Any, edits: Edits) -> Any:  # noqa: ANN401
    """A copy of `data` with the fields set, then the items added, then what is removed gone."""
    data = apply_overrides(data, edits.set)
    for add in edits.added:
        before = _find(data, add.path)
        if before is not None and not isinstance(before, list):
            raise UsageError(f"`--add {add.text}`: there is no list", hint="To change a value: --set PATH=VALUE")
        data = apply_overrides(data, [Override(add.path, [*(before or []), add.value], add.text)])
    for path in edits.removed:
        data = _remove(data, path)
    return data


def _find(node: Any, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    for part in path:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            return None
    return node


def _remove(node: Any, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    part, rest = path[0], path[1:]
    if isinstance(node, dict) and part in node:
        if not rest:
            return {k: v for k, v in node.items() if k != part}
        return {**node, part: _remove(node[part], rest)}
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        middle = [_remove(node[part], rest)] if rest else []
        return [*node[:part], *middle, *node[part + 1 :]]
    raise UsageError(f"`--remove`: there is no `{part}`", hint="See what there is with `show`.")
