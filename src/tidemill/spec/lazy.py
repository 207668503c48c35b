"""Models of kinds of their own, imported when the first document of one comes: most runs meet three kinds out of thirty.

Building their classes takes longer than everything `check` does with one pipeline.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def named(place: str) -> Any:  # noqa: ANN401 - a model, or a union of models
    """What `automl:AutoMLJob` names, in this package."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"tidemill.spec.{module}"), name)
