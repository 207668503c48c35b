"""Frozen data classes with slots, of which every command makes a hundred before it does anything.

`@dataclass` writes six methods of each class as text and compiles them, which takes half a millisecond. `==`, `hash` and
`repr` read alike for all classes: here they are functions, and the standard decorator does the rest in half the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """As `@dataclass(frozen=True, slots=True)`, for classes without methods of their own for `==`, `hash` and `repr`."""
    made: Any = dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)
    read = _reader([f.name for f in fields(made) if f.compare])

    def equal(self: object, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    made.__eq__ = equal
    made.__hash__ = lambda self: hash(read(self))
    made.__repr__ = _describe
    return made  # type: ignore[no-any-return]


def _reader(names: list[str]) -> Callable[[object], Any]:
    """What gives an object's fields to compare."""
    return attrgetter(*names) if names else lambda _: ()


def _describe(self: Any) -> str:  # noqa: ANN401
    """As the class is called to make an equal one."""
    told = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({told})"
