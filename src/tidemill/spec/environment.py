"""Environments: an image, a conda file on it, or a Docker build."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.fields import Asset, Open, Part, Tags, Text


class Build(Part):
    """A Docker build context; `path` is relative to the file."""

    path: str
    dockerfile_path: str | None = None


class InferenceRoute(Open):
    """One route of a bring-your-own image."""

    path: str
    port: int


class InferenceConfig(Part):
    """Where a bring-your-own image answers."""

    liveness_route: InferenceRoute | None = None
    readiness_route: InferenceRoute | None = None
    scoring_route: InferenceRoute | None = None


class Environment(Asset):
    """What steps and servers run in."""

    name: Text | None = None
    version: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    image: str | None = None
    build: Build | None = None
    conda_file: str | dict[str, Any] | None = None
    os_type: Annotated[str | None, Field(pattern=r"(?i)^(linux|windows)$")] = None
    inference_config: InferenceConfig | None = None
    datastore: str | None = None
    label: str | None = None
    intellectual_property: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.image is not None and self.build is not None:
            raise PydanticCustomError("TM-D108", "`image` and `build` exclude each other")
        return self
