"""Imports of what is slow to load, made while steps run side by side.

Python locks each module, not each package: a thread that finds `mlflow.exceptions` loaded goes on to `mlflow.tracking`
while another is still inside `mlflow/__init__.py`, and each then meets a half-made module of the other's. One thread at a
time, and the package before its parts, leaves nothing half-made.
"""

from __future__ import annotations

from importlib import import_module
from threading import RLock
from typing import Any

IMPORTING = RLock()  # held also by who calls a library that imports parts of itself by name


def import_late(name: str) -> Any:  # noqa: ANN401 - an SDK without types here
    """A module, imported when it is first needed; raises what importing it raises."""
    with IMPORTING:
        import_module(name.partition(".")[0])
        return import_module(name)
