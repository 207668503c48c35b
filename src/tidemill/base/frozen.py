"""Data classes with slots, of which every command makes a hundred before it does anything.

`@dataclass` writes eight methods of each class as text and compiles them, which takes half a millisecond. All but `__init__`
read alike for all classes: here they are functions. `__init__` is compiled when the first object is made: of most classes
a command makes none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """As `@dataclass(frozen=True, slots=True)`, for classes without methods of their own for `==`, `hash` and `repr`."""
    made: Any = unique(cls)
    read = _reader([f.name for f in fields(made) if f.compare])

    def equal(self: object, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    made.__eq__ = equal
    made.__hash__ = lambda self: hash(read(self))
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def unique(cls: type[T]) -> type[T]:
    """As `@dataclass(frozen=True, slots=True, eq=False)`: equal to nothing but itself."""
    made: Any = slotted(cls)
    made.__setattr__ = made.__delattr__ = _refuse
    made.__getstate__ = _take_apart
    made.__setstate__ = _put_together
    return made  # type: ignore[no-any-return]


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def slotted(cls: type[T]) -> type[T]:
    """As `@dataclass(slots=True, eq=False)`: what may change."""
    made: Any = dataclass(slots=True, init=False, eq=False, repr=False)(cls)
    made.__init__ = _compiled_at_first(made)
    made.__repr__ = _describe
    return made  # type: ignore[no-any-return]


def _compiled_at_first(cls: Any) -> Callable[..., None]:  # noqa: ANN401
    """An `__init__` that puts the real one in its place."""

    def init(self: object, *args: object, **named: object) -> None:
        real = _compile_init(cls)
        if cls.__init__ is init:
            cls.__init__ = real
        real(self, *args, **named)

    return init


def _compile_init(cls: Any) -> Callable[..., None]:  # noqa: ANN401
    """The `__init__` that takes the fields in order: `def __init__(self, a, b=…): _put_(self, "a", a) …`."""
    known: dict[str, Any] = {"_put_": object.__setattr__, "_missing_": MISSING}
    taken, body = [], []
    for one in fields(cls):
        value = one.name
        if one.default_factory is not MISSING:
            known[f"_make_{one.name}"] = one.default_factory
            value = f"_make_{one.name}() if {one.name} is _missing_ else {one.name}"
        taken.append(f"{one.name}{_default(one, known)}")
        body.append(f"_put_(self, {one.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(['self', *taken])}):\n " + "\n ".join(body or ["pass"]), known)  # noqa: S102 - names of fields
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _default(one: Field[Any], known: dict[str, Any]) -> str:
    """What stands behind a parameter's name."""
    if one.default_factory is not MISSING:
        return "=_missing_"
    if one.default is MISSING:
        return ""
    known[f"_default_{one.name}"] = one.default
    return f"=_default_{one.name}"


def _reader(names: list[str]) -> Callable[[object], Any]:
    """What gives an object's fields to compare."""
    return attrgetter(*names) if names else lambda _: ()


def _describe(self: Any) -> str:  # noqa: ANN401
    """As the class is called to make an equal one."""
    told = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({told})"


def _refuse(self: object, name: str, *_value: object) -> None:
    raise FrozenInstanceError(f"cannot change field {name!r} of {self.__class__.__qualname__}")


def _take_apart(self: Any) -> list[Any]:  # noqa: ANN401
    """What `copy` and `pickle` keep: objects with slots have no `__dict__`."""
    return [getattr(self, f.name) for f in fields(self)]


def _put_together(self: Any, state: list[Any]) -> None:  # noqa: ANN401
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)
