"""Model packages: a model, its environment and its server made into one image."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from tidemill.spec.fields import Document, Part, Tags
from tidemill.spec.scalars import AnyCase, shape


class BaseEnvironment(Part):
    """The environment a package starts from."""

    type: str | None = None
    resource_id: str | None = None


class PackageRoute(Part):
    """One route of a server."""

    path: str | None = None
    port: int | None = None


class ServerConfiguration(Part):
    """How a custom or Triton server is reached."""

    liveness_route: PackageRoute | None = None
    readiness_route: PackageRoute | None = None
    scoring_route: PackageRoute | None = None
    entry_script: str | None = None
    configuration: dict[str, Any] | None = None


class PackageCode(Part):
    """The scoring code of a package."""

    code: str | None = None
    scoring_script: str | None = None


class InferencingServer(Part):
    """What answers inside the image."""

    type: Annotated[Literal["azureml_online", "azureml_batch", "custom", "triton"], AnyCase]
    code_configuration: PackageCode | None = None
    inference_configuration: ServerConfiguration | None = None


class PackageInputPath(Part):
    """Where an input of a package is."""

    input_path_type: str | None = None
    resource_id: str | None = None
    url: str | None = None
    resource_name: str | None = None
    resource_version: str | None = None


class PackageInput(Part):
    """Files put into the package beside the model."""

    type: Annotated[Literal["uri_file", "uri_folder"], AnyCase] | None = None
    path: PackageInputPath | None = None
    mode: Annotated[Literal["read_only_mount", "download", "copy"], AnyCase] | None = None
    mount_path: str | None = None


class ModelConfiguration(Part):
    """How the model gets into the package."""

    mode: Annotated[Literal["copy", "download"], AnyCase] | None = None
    mount_path: str | None = None


class ModelPackage(Document):
    """A package of a model."""

    target_environment: Annotated[
        Annotated[str, Tag("#text")] | Annotated[dict[str, str], Tag("#mapping")], Discriminator(shape)
    ]
    target_environment_name: str | None = None
    target_environment_version: str | None = None
    base_environment_source: BaseEnvironment | None = None
    inferencing_server: InferencingServer | None = None
    model_configuration: ModelConfiguration | None = None
    inputs: list[PackageInput] | None = None
    environment_variables: Tags | None = None
    tags: Tags | None = None
