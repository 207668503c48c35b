"""Command jobs and components: one shell command in one environment."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from tidemill.spec.environment import Environment
from tidemill.spec.fields import (
    Asset,
    DistributionField,
    Document,
    InputPorts,
    Inputs,
    JobIdentity,
    Limits,
    Open,
    OutputPorts,
    OwnOutputs,
    QueueSettings,
    Resources,
    Service,
    Tags,
    Text,
    mapping_or_other,
)
from tidemill.spec.scalars import AnyCase


def _reference(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        raise PydanticCustomError("TM-D109", "A reference is text such as `azureml:name:version`, or an inline mapping")
    return value


EnvironmentField = Annotated[
    Annotated[Environment, Tag("#mapping")] | Annotated[str, BeforeValidator(_reference), Tag("#other")],
    Discriminator(mapping_or_other),
]
Reference = Annotated[str, BeforeValidator(_reference)]


class JobFields(Document):
    """What every stand-alone job may say."""

    name: Text | None = None
    display_name: str | None = None
    description: str | None = None
    experiment_name: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    id: str | None = None
    status: str | None = None
    log_files: dict[str, Any] | None = None
    creation_context: dict[str, Any] | None = None
    parent_job_name: str | None = None
    job_source: str | None = None


class CommandJob(JobFields):
    """A job that runs one shell command in one environment."""

    type: Literal["command"] = "command"
    command: str
    environment: EnvironmentField
    code: str | None = None
    compute: str | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: OwnOutputs = Field(default_factory=dict)
    environment_variables: Tags | None = None
    resources: Resources | None = None
    distribution: DistributionField | None = None
    limits: Limits | None = None
    services: dict[str, Service] | None = None
    identity: JobIdentity | None = None
    queue_settings: QueueSettings | None = None
    additional_includes: list[str] | None = None
    parameters: dict[str, Any] | None = None


class ComponentFields(Asset):
    """What every component may say."""

    name: Text | None = None
    version: Text | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: dict[str, Any] | None = None
    is_deterministic: bool = True
    intellectual_property: dict[str, Any] | None = None
    additional_includes: list[str] | None = None
    compute: Any = None  # real components have it; Azure takes the step's
    inputs: InputPorts = Field(default_factory=dict)
    outputs: OutputPorts = Field(default_factory=dict)


class CommandComponent(ComponentFields):
    """A reusable command with declared inputs and outputs."""

    type: Annotated[Literal["command"], AnyCase] = "command"
    command: str
    environment: EnvironmentField
    code: str | None = None
    environment_variables: Tags | None = None
    resources: Resources | None = None
    distribution: DistributionField | None = None
    queue_settings: QueueSettings | None = None
    limits: Limits | None = None
    services: dict[str, Service] | None = None
    successful_return_code: Text | None = None
    meta: Open | None = None
