"""Registered models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tidemill.spec.fields import Asset, Tags, Text
from tidemill.spec.scalars import AnyCase


class Model(Asset):
    """A model kept under a name and version."""

    name: Text | None = None
    version: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    type: Annotated[Literal["custom_model", "mlflow_model", "triton_model"], AnyCase] | None = None
    path: str | None = None
    utc_time_created: str | None = None
    flavors: dict[str, Any] | None = None
    job_name: str | None = None
    stage: str | None = None
    datastore: str | None = None
    intellectual_property: dict[str, Any] | None = None
    system_metadata: dict[str, Any] | None = None
    default_deployment_template: dict[str, Any] | None = None
    allowed_deployment_templates: list[Any] | None = None
