"""Search spaces: a point of the unit cube becomes values of hyperparameters. Pure."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from statistics import NormalDist
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.run.sweep_settings import real, whole
from tidemill.spec.expression import literal_text

Space = Mapping[str, Mapping[str, Any]]
Point = Mapping[str, float]
Values = dict[str, Any]

EDGE = 1e-9


def list_dimensions(space: Space, prefix: str = "") -> dict[str, int]:
    """Every dimension by name: how many choices it has, 0 if it is a number.

    A choice between mappings that hold spaces of their own has a dimension for each of these too.
    """
    found: dict[str, int] = {}
    for name, distribution in space.items():
        if _type(distribution) != "choice":
            found[prefix + name] = 0
            continue
        values = _choices(name, distribution)
        found[prefix + name] = len(values)
        for index, value in enumerate(values):
            if isinstance(value, Mapping):
                found |= list_dimensions(_nested(value), f"{prefix}{name}.{index}.")
    return found


def draw_values(space: Space, point: Point, prefix: str = "") -> Values:
    """The values at a point: choices are indices there, numbers lie between 0 and 1."""
    values: Values = {}
    for name, distribution in space.items():
        place = point[prefix + name]
        if _type(distribution) != "choice":
            values[name] = _number(name, distribution, place)
            continue
        index = int(place)
        value = _choices(name, distribution)[index]
        if isinstance(value, Mapping):
            value = dict(value) | draw_values(_nested(value), point, f"{prefix}{name}.{index}.")
        values[name] = value
    return values


def random_point(dimensions: Mapping[str, int], seed: int, number: int) -> Point:
    """The point of trial `number`, the same whenever it is asked for."""
    source = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
    return {name: source.randrange(count) if count else source.random() for name, count in dimensions.items()}


def grid(space: Space) -> Iterator[Values]:
    """Every combination, the last name changing fastest."""
    axes = [_axis(name, distribution) for name, distribution in space.items()]
    for combination in itertools.product(*axes):
        yield dict(zip(space, combination, strict=True))


def value_text(value: Any) -> str:  # noqa: ANN401 - whatever a document lists
    """A value as a command sees it."""
    return json.dumps(value) if isinstance(value, Mapping | list) else literal_text(value)


def _axis(name: str, distribution: Mapping[str, Any]) -> list[Any]:
    kind = _type(distribution)
    if kind == "choice":
        return [v for item in _choices(name, distribution) for v in _expand(item)]
    if kind == "randint":
        return list(range(whole(distribution["upper"], name)))
    if kind == "quniform":
        low, high, step = (real(distribution[k], name) for k in ("min_value", "max_value", "q"))
        return [
            _neat(i * step, distribution)
            for i in range(math.ceil(low / step - EDGE), math.floor(high / step + EDGE) + 1)
        ]
    raise FailedError(
        f"A grid cannot be laid over `{name}`: {kind} has no end of values",
        hint="Use choice, randint or quniform, or random sampling.",
    )


def _expand(item: Any) -> list[Any]:  # noqa: ANN401
    nested = _nested(item) if isinstance(item, Mapping) else {}
    return [dict(item) | values for values in grid(nested)] if nested else [item]


def _nested(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The spaces inside one choice."""
    return {k: v for k, v in item.items() if isinstance(v, Mapping) and "type" in v}


def _type(distribution: Mapping[str, Any]) -> str:
    return str(distribution["type"]).lower()


def _choices(name: str, distribution: Mapping[str, Any]) -> list[Any]:
    values = list(distribution.get("values") or ())
    if not values:
        raise FailedError(f"The choice `{name}` has no values")
    return values


def _number(name: str, distribution: Mapping[str, Any], place: float) -> float:
    kind = _type(distribution)
    if kind == "randint":
        upper = whole(distribution["upper"], name)
        return min(int(place * upper), upper - 1)
    if kind.endswith("normal"):
        mu, sigma = real(distribution["mu"], name), real(distribution["sigma"], name)
        value = NormalDist(mu, sigma).inv_cdf(min(max(place, EDGE), 1 - EDGE)) if sigma else mu
    else:
        low, high = real(distribution["min_value"], name), real(distribution["max_value"], name)
        value = low + place * (high - low)
    if "log" in kind:
        value = math.exp(value)
    if not kind.startswith("q"):
        return value
    step = real(distribution["q"], name)
    return _neat(round(value / step) * step, distribution)


def _neat(value: float, distribution: Mapping[str, Any]) -> float:
    """A multiple of `q` without the dust of binary fractions; whole when `q` is, so that `int` can read it."""
    digits = -int(Decimal(str(distribution["q"])).normalize().as_tuple().exponent)
    return round(value, digits) if digits > 0 else round(value)
