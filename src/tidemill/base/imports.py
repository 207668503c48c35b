"""Imports of what is slow to load, made while steps run side by side.

Python locks each module, not each package: a thread that finds `mlflow.exceptions` loaded goes on to `mlflow.tracking`
while another is still inside `mlflow/__init__.py`, and each then meets a half-made module of the other's. One thread at a
time, and the package before its parts, leaves nothing half-made.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import Any

IMPORTING = RLock()  # held also by who calls a library that imports parts of itself by name


def import_late(name: str) -> Any:  # noqa: ANN401 - an SDK without types here
    """A module, imported when it is first needed; raises what importing it raises."""
    with IMPORTING:
        import_module(name.partition(".")[0])
        return import_module(name)


def spare_plugins() -> None:
    """Have Pydantic make models here without plugins of the environment, for which it reads what every installed package says of itself.

    That takes each command 20 ms among 190 packages, more than all our models do. The module that looks is Pydantic's own affair:
    if anything else is asked of it, the real one is there.
    """
    name = "pydantic.plugin._loader"

    def real(attribute: str) -> Any:  # noqa: ANN401
        if attribute.startswith("__"):  # Python looks whether it is a package
            raise AttributeError(attribute)
        sys.modules.pop(name, None)
        return getattr(import_module(name), attribute)

    stand_in = ModuleType(name)
    stand_in.__dict__.update(get_plugins=tuple, __getattr__=real)
    sys.modules.setdefault(name, stand_in)
