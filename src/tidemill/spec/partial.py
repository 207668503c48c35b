"""What is left of a document when its wrong parts are taken out, so that one mistake does not hide the others."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from tidemill.base.findings import Finding
from tidemill.base.frozen import frozen
from tidemill.spec.load import Loaded, make_adapter
from tidemill.spec.models import MODELS
from tidemill.spec.problems import KEY, dotted

ROUNDS = 8
FILLER = ""  # stands for a required text that is missing
DECLARED = {"inputs", "outputs", "jobs", "search_space"}
NAMING = {"TM-B104", "TM-B108"}  # say that a name means nothing, which may be because it was taken out
_QUOTED = re.compile(r"`([^`]+)`")
Place = tuple[str | int, ...]


@frozen
class Partial:
    """`loaded` has a document again; `removed` says where parts were taken out or filled in."""

    loaded: Loaded
    removed: tuple[Place, ...]

    def without_consequences(self, findings: Iterable[Finding]) -> list[Finding]:
        """Findings that cannot come from what was taken out."""
        places = {dotted(p) for p in self.removed}
        above = {dotted(p[:n]) for p in self.removed for n in range(0 if len(p) == 1 else 1, len(p))}
        names = {str(p[-1]) for p in self.removed if len(p) > 1 and p[-2] in DECLARED}
        return [
            f
            for f in findings
            if not (f.path in above or _is_below(f.path, places) or (f.code in NAMING and names & _words(f.message)))
        ]


def _is_below(path: str, places: set[str]) -> bool:
    parts = re.split(r"(?=[.\[])", path)
    return any("".join(parts[:n]) in places for n in range(1, len(parts) + 1))


def _words(message: str) -> set[str]:
    return set(_QUOTED.findall(message))


def salvage(loaded: Loaded) -> Partial | None:
    """The document without its wrong parts; None when nothing usable is left."""
    if loaded.kind not in MODELS or not isinstance(loaded.data, dict):
        return None
    data, removed = copy.deepcopy(loaded.data), dict[Place, None]()
    adapter = make_adapter(MODELS[loaded.kind])
    for _ in range(ROUNDS):
        try:
            document = adapter.validate_python(data)
        except ValidationError as exc:
            places = [(_place(e["loc"]), e["type"] == "missing") for e in exc.errors(include_url=False)]
            if not _mend(data, places, removed):
                return None
        else:
            return Partial(replace(loaded, document=document), tuple(removed))
    return None


def _place(loc: Sequence[str | int]) -> Place:
    return tuple(p for p in loc if p != KEY and not (isinstance(p, str) and p.startswith("#")))


def _mend(data: Any, places: Sequence[tuple[Place, bool]], removed: dict[Place, None]) -> bool:  # noqa: ANN401
    """Whether anything could be done that was not tried before."""
    progress = False
    for place, missing in places:
        if not place or (missing and place in removed):
            return False
        owner = _owner(data, place)
        if owner is None:
            continue
        if missing and isinstance(owner, dict):
            owner[place[-1]] = FILLER
        elif not _take_out(owner, place[-1]):
            continue
        removed[place] = None
        progress = True
    return progress


def _owner(data: Any, place: Place) -> Any:  # noqa: ANN401
    for part in place[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data if isinstance(data, (dict, list)) else None


def _take_out(owner: Any, part: str | int) -> bool:  # noqa: ANN401
    if isinstance(owner, dict):
        keys = [k for k in owner if k == part or str(k) == str(part) or repr(k) == part]
        for key in keys:
            del owner[key]
        return bool(keys)
    if isinstance(part, int) and part < len(owner):
        owner[part] = None
        return True
    return False
