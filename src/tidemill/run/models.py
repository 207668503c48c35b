"""What it takes to register a model or to search one, and what comes back: the words `run` shares with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from tidemill.base.frozen import frozen


@frozen
class ModelRequest:
    """A wish to keep `path` as a version of model `name`.

    `version=None` asks for the next number. A second request of the same `job` and `step` with the same bytes
    must return the version made the first time, so that a resumed job registers nothing twice.
    """

    name: str
    path: Path
    type: str = "custom_model"
    version: str | None = None
    description: str = ""
    job: str | None = None
    step: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@frozen
class ModelVersion:
    """One immutable version of a model; `path` is a folder or file that never changes."""

    name: str
    version: str
    type: str
    path: Path
    digest: str
    created_at: str
    description: str = ""
    job: str | None = None
    step: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    archived: bool = False


@frozen
class ModelSearch:
    """What an AutoML document asks for, the paths of its tables, and the folder of the model that is found."""

    body: Mapping[str, Any]
    data: Mapping[str, Path]
    output: Path
