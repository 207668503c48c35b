"""Run Azure Machine Learning projects anywhere, and keep the model they train alive."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "load_component",
    "load_data",
    "load_environment",
    "load_job",
    "load_model",
    "load_online_deployment",
    "load_online_endpoint",
    "load_schedule",
    "validate",
]


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used: an inference server imports this package too and needs none of them."""
    if name in __all__:
        return getattr(importlib.import_module("tidemill.api"), name)
    raise AttributeError(f"module `tidemill` has no attribute `{name}`")
