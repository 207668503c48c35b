"""Fields many documents share: inputs, outputs, resources, references; and the base of every document."""

# Here and in `project`, `command`, `environment` and `step` annotations are no texts (`from __future__ import annotations`):
# pydantic would compile every one of them, in every process.
import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    TypeAdapter,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_plain_validator_function

from tidemill.spec.lazy import named
from tidemill.spec.scalars import AnyCase, OneUp, ZeroUp

Scalar = str | int | float | bool
DATA_TYPES = ("uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "safe_input_file")
PRIMITIVES = ("string", "integer", "number", "boolean")
DataType = Annotated[
    Literal["uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"], AnyCase
]
InputMode = Annotated[Literal["ro_mount", "download", "direct", "eval_mount", "eval_download"], AnyCase]
OutputMode = Annotated[Literal["rw_mount", "mount", "upload", "direct"], AnyCase]
PortMode = Literal[
    "ro_mount", "rw_mount", "mount", "download", "upload", "direct", "eval_mount", "eval_download", "link"
]

PortType = Literal[
    "uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "safe_input_file",
    "string", "integer", "number", "boolean", "path", "object",
]  # fmt: skip


class Part(BaseModel):
    """A piece of a document: no unknown fields, never changed."""

    # Validators are built when first used: most runs meet three kinds of document out of thirty.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=(), defer_build=True
    )


class Open(Part):
    """A piece where Azure ignores what it does not know; unknown fields become warnings."""

    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, protected_namespaces=(), defer_build=True
    )


class Later:
    """Marks a rare member of a union (`sweep:SweepStep`): it is imported and its validator built when the first value of it comes."""

    def __init__(self, place: str) -> None:
        self._place = place

    @property
    def model(self) -> Any:  # noqa: ANN401 - a model, or a union of models
        """What is built."""
        return named(self._place)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """The schema pydantic sees in place of the type's own."""
        del source, handler

        @cache
        def adapter() -> TypeAdapter[Any]:
            return TypeAdapter(self.model)

        return no_info_plain_validator_function(lambda value: adapter().validate_python(value))


class Document(Part):
    """A whole file."""

    schema_: Any = Field(default=None, alias="$schema")


class Asset(Document):
    """What has a place in a workspace: fields that `az … show` prints are read back and mean nothing."""

    id: str | None = None
    creation_context: dict[str, Any] | None = None
    latest_version: Any = None
    auto_delete_setting: dict[str, Any] | None = None


def as_text(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    """Versions and names are text even when YAML reads a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return str(value)


def scalar_text(value: Any) -> Any:  # noqa: ANN401
    """Tag and variable values are text as Python writes them; null stays."""
    if isinstance(value, (bool, int, float, dt.date)):
        return str(value)
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(as_text)]
Tags = dict[Annotated[str, BeforeValidator(as_text)], Annotated[str, BeforeValidator(scalar_text)]]


def _literal(value: Any) -> Any:  # noqa: ANN401
    if value is None:
        raise PydanticCustomError("TM-D107", "A literal input must not be null")
    if isinstance(value, (dt.date, dt.datetime)):
        raise PydanticCustomError("TM-D107", "An unquoted date is no literal; put it in quotes")
    if not isinstance(value, (str, int, float, bool)):
        raise PydanticCustomError("TM-D109", "An input is a literal or a mapping with `type` and `path`")
    return value


def mapping_or_other(value: Any) -> str:  # noqa: ANN401
    """The tag of a field that is a mapping or something short for one; tags begin with `#`, so they are never taken for keys."""
    return "#mapping" if isinstance(value, (Mapping, BaseModel)) else "#other"


class InputValue(Part):
    """Data given to a job: `path` may be local, a URL, an asset or a `${{ }}` binding."""

    type: DataType | None = None
    path: Text | None = None
    mode: InputMode | None = None
    value: Any = None  # what `az` shows of a literal
    datastore: str | None = None
    path_on_compute: str | None = None


JobInput = Annotated[
    Annotated[InputValue, Tag("#mapping")] | Annotated[Scalar, BeforeValidator(_literal), Tag("#other")],
    Discriminator(mapping_or_other),
]


class OutputValue(Part):
    """Where an output of a job goes."""

    type: DataType | None = None
    mode: OutputMode | None = None
    path: str | None = None
    name: str | None = None
    version: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    early_available: bool | None = None
    path_on_compute: str | None = None


def _output(value: Any) -> Any:  # noqa: ANN401
    return {} if value is None else value


def _output_text(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, str) or "${{" not in value:
        raise PydanticCustomError("TM-D109", "An output is a mapping, empty, or a `${{parent.outputs.name}}` binding")
    return value


JobOutput = Annotated[
    Annotated[OutputValue, Tag("#mapping")] | Annotated[str, BeforeValidator(_output_text), Tag("#other")],
    Discriminator(mapping_or_other),
    BeforeValidator(_output),
]


class InputPort(Part):
    """An input a component declares."""

    type: PortType
    optional: bool = False
    default: Any = None
    min: float | None = None
    max: float | None = None
    enum: list[Any] | None = None
    mode: PortMode | None = None
    description: str | None = None
    display_name: str | None = None
    group: Any = None
    datastore_mode: str | None = None
    path: str | None = None
    is_control: bool | None = None

    @property
    def is_data(self) -> bool:
        """Whether the input is files rather than a literal."""
        return self.type not in PRIMITIVES


class OutputPort(Part):
    """An output a component declares."""

    type: PortType = "uri_folder"
    mode: PortMode | None = None
    description: str | None = None
    display_name: str | None = None
    path: str | None = None
    is_control: bool | None = None
    early_available: bool | None = None
    intellectual_property: Any = None
    optional: bool | None = None
    name: str | None = None
    version: Text | None = None


def port(value: Any) -> Any:  # noqa: ANN401
    """`name: string` and `name:` are short for a mapping with a type."""
    if isinstance(value, str):
        return {"type": value}
    return value if value is not None else {"type": "uri_folder"}


OwnOutput = Annotated[OutputValue, BeforeValidator(_output)]
"""An output of a job that stands alone: nothing above it can be bound."""
Inputs = dict[str, JobInput]
OwnOutputs = dict[str, OwnOutput]
Outputs = dict[str, JobOutput]
InputPorts = dict[str, Annotated[InputPort, BeforeValidator(port)]]
OutputPorts = dict[str, Annotated[OutputPort, BeforeValidator(port)]]


class Resources(Part):
    """Machines a job asks for."""

    instance_type: str | list[str] | None = None
    instance_count: OneUp | None = None
    shm_size: str | None = None
    docker_args: str | list[str] | None = None
    properties: dict[str, Any] | None = None
    locations: list[str] | None = None
    max_instance_count: OneUp | None = None
    runtime_version: Text | None = None


class Distribution(Part):
    """How a command is started on several processes or machines."""

    type: Literal["pytorch", "tensorflow", "mpi", "ray"]
    process_count_per_instance: OneUp | None = None
    worker_count: OneUp | None = None
    parameter_server_count: ZeroUp | None = None
    port: int | None = None
    address: str | None = None
    include_dashboard: bool | None = None
    dashboard_port: int | None = None
    head_node_additional_args: str | None = None
    worker_node_additional_args: str | None = None


def _lower_type(value: Any) -> Any:  # noqa: ANN401
    """The loader accepts `PyTorch` as well as `pytorch`."""
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return {**value, "type": value["type"].replace("_", "").casefold()}
    return value


DistributionField = Annotated[Distribution, BeforeValidator(_lower_type)]


class Limits(Part):
    """Bounds of a command job."""

    timeout: ZeroUp | None = None


class QueueSettings(Part):
    """Which queue a serverless job waits in."""

    job_tier: Annotated[Literal["null", "spot", "basic", "standard", "premium"], AnyCase] | None = None
    priority: Annotated[Literal["low", "medium", "high"], AnyCase] | None = None


class Service(Open):
    """An interactive service beside a job."""

    type: str | None = None
    port: int | None = None
    nodes: str | int | None = None
    ssh_public_keys: str | None = None
    log_dir: str | None = None
    properties: dict[str, Any] | None = None


class Identity(Open):
    """Who a job or endpoint acts as."""

    type: str | None = None
    client_id: str | None = None
    user_assigned_identities: Any = None


class JobIdentity(Identity):
    """Who a job acts as."""

    type: Annotated[Literal["managed", "managed_identity", "aml_token", "user_identity"], AnyCase] | None = None
