"""Prompt flows: a pipeline may have one as a step, so they are known; what is in them is another tool's affair."""

from __future__ import annotations

from typing import Any

from tidemill.spec.fields import Document, Open


class Flow(Document):
    """A graph of prompts, tools and scripts."""

    model_config = Open.model_config

    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    nodes: list[dict[str, Any]] | None = None
    flow: str | None = None
    data: str | None = None
    column_mapping: dict[str, Any] | None = None
    environment: Any = None
