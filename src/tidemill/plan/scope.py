"""Where a reference is read: the document it stands in and the pipeline around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import Location
from tidemill.base.frozen import frozen, slotted
from tidemill.plan.graph import InputBinding, StepOutput
from tidemill.spec.load import Loaded


@frozen
class Place:
    """A document, and a path into it for messages."""

    loaded: Loaded
    path: tuple[str | int, ...] = ()
    folder_override: Path | None = None

    @property
    def folder(self) -> Path:
        """What relative paths in the document are relative to."""
        return self.folder_override or self.loaded.path.absolute().parent

    def at(self, *more: str | int) -> Location:
        """Where a value below this place stands."""
        return self.loaded.locate((*self.path, *more))

    def below(self, *more: str | int) -> Place:
        """A place further in."""
        return Place(self.loaded, (*self.path, *more), self.folder_override)

    def dotted(self, *more: str | int) -> str:
        """The path as findings say it."""
        return ".".join(str(p) for p in (*self.path, *more))


@slotted
class Scope:
    """One pipeline while its steps are read: what `${{parent…}}` means to them.

    `inputs` lacks the optional ones nobody gave. `outputs` fills up as steps claim them; `wanted` is what the
    document says about each.
    """

    place: Place
    prefix: str
    inputs: Mapping[str, InputBinding]
    wanted: Mapping[str, Any]
    jobs: Mapping[str, Any]
    compute: str | None = None
    outputs: dict[str, StepOutput] = field(default_factory=dict)
    known_inputs: frozenset[str] = frozenset()

    def full(self, name: str) -> str:
        """A step's name in the flat plan."""
        return f"{self.prefix}{name}"


def places_of_steps(place: Place) -> dict[str, Location]:
    """Where each entry under `jobs:` stands, found in one walk however many there are."""
    node = place.loaded.source.root
    for part in (*place.path, "jobs"):
        if not isinstance(node, yaml.MappingNode):
            return {}
        node = next((value for name, value in node.value if name.value == part), None)
    if not isinstance(node, yaml.MappingNode):
        return {}
    file = place.loaded.source.file
    return {name.value: Location(file, name.start_mark.line + 1, name.start_mark.column + 1) for name, _ in node.value}
