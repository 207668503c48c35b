"""Small value types of the schemas: words in any case, numbers that may be bindings, durations, times."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

BINDING = "${{"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


def snake(word: str) -> str:
    """`LowPriority` → `low_priority`: Azure takes its own words in either spelling."""
    return _HUMP.sub("_", word).lower()


def _any_case(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - before validation
    if not isinstance(value, str):
        return inner(value)
    if BINDING in value:
        return value
    for spelling in (value, value.lower(), snake(value), value.upper()):
        try:
            return inner(spelling)
        except ValidationError:
            continue
    return inner(value)


AnyCase = WrapValidator(_any_case)
"""For `Annotated[Literal[...], AnyCase]`: the word in Azure's casing, however it was typed; a binding passes."""


def _shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#binding" if isinstance(value, str) and BINDING in value else "#plain"


Bound = Annotated[str, Tag("#binding")]
"""A `${{ … }}` expression in place of a value, as steps of a pipeline may have."""

Whole = Annotated[Annotated[int, Tag("#plain")] | Bound, Discriminator(_shape)]
OneUp = Annotated[Annotated[int, Field(ge=1), Tag("#plain")] | Bound, Discriminator(_shape)]
ZeroUp = Annotated[Annotated[int, Field(ge=0), Tag("#plain")] | Bound, Discriminator(_shape)]
Tolerated = Annotated[Annotated[int, Field(ge=-1), Tag("#plain")] | Bound, Discriminator(_shape)]
"""How many failures are borne; -1 is any number of them."""
Real = Annotated[Annotated[float, Tag("#plain")] | Bound, Discriminator(_shape)]
Flag = Annotated[Annotated[bool, Tag("#plain")] | Bound, Discriminator(_shape)]


def _duration(value: Any) -> Any:  # noqa: ANN401 - before validation
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        raise PydanticCustomError("TM-D104", "`{value}` is no ISO 8601 duration such as PT30M or P7D", {"value": value})
    return value


Duration = Annotated[str, BeforeValidator(_duration)]
"""`PT30M`, `P7D`."""


def _moment(value: Any) -> Any:  # noqa: ANN401 - before validation
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, str):
        try:
            dt.datetime.fromisoformat(value.strip())
        except ValueError:
            raise PydanticCustomError(
                "TM-D104", "`{value}` is no time such as 2026-05-01T09:30:00", {"value": value}
            ) from None
    return value


Moment = Annotated[str, BeforeValidator(_moment)]
"""A date and time in ISO 8601, quoted or not."""


def shape(value: Any) -> str:  # noqa: ANN401 - before validation
    """A discriminator for fields of several shapes: `#mapping`, `#list` or `#text`, which is every scalar."""
    if isinstance(value, (dict, BaseModel)):
        return "#mapping"
    return "#list" if isinstance(value, (list, tuple)) else "#text"


OneOrMore = Annotated[Annotated[str, Tag("#text")] | Annotated[list[str], Tag("#list")], Discriminator(shape)]
"""A word, or a list of words."""


def by_key(key: str) -> Callable[[Any], str | None]:
    """A discriminator: the word under `key`, in Azure's casing."""

    def choose(value: Any) -> str | None:  # noqa: ANN401 - before validation
        word = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
        return f"#{snake(word)}" if isinstance(word, str) else None

    return choose
