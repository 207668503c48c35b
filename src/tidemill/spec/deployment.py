"""Online and batch deployments: one running version behind an endpoint."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tidemill.spec.command import EnvironmentField, Reference
from tidemill.spec.fields import Document, Inputs, Open, Part, Resources, Tags, Text, mapping_or_other
from tidemill.spec.model import Model
from tidemill.spec.scalars import AnyCase

ModelField = Annotated[
    Annotated[Model, Tag("#mapping")] | Annotated[Reference, Tag("#other")], Discriminator(mapping_or_other)
]


OutputAction = Annotated[Literal["append_row", "summary_only"], AnyCase]


class CodeConfiguration(Part):
    """A folder with a scoring script; Azure takes `scoring_script` and `entry_script`."""

    code: str | None = None
    scoring_script: str | None = None
    entry_script: str | None = None


class RequestSettings(Part):
    """Limits of a server."""

    request_timeout_ms: Annotated[int | None, Field(ge=1)] = None
    max_concurrent_requests_per_instance: Annotated[int | None, Field(ge=1)] = None
    max_queue_wait_ms: int | None = None


AtLeastOne = Annotated[int | None, Field(ge=1)]


class Probe(Part):
    """How it is asked whether a server lives or is ready."""

    initial_delay: Annotated[int | None, Field(ge=0)] = None
    period: AtLeastOne = None
    timeout: AtLeastOne = None
    success_threshold: AtLeastOne = None
    failure_threshold: AtLeastOne = None
    method: str | None = None
    scheme: str | None = None
    path: str | None = None
    port: int | None = None


class ScaleSettings(Part):
    """How many instances, and when more."""

    type: Annotated[Literal["default", "target_utilization"], AnyCase]
    min_instances: int | None = None
    max_instances: int | None = None
    polling_interval: int | None = None
    target_utilization_percentage: int | None = None


class Collection(Part):
    """What is recorded of one side of the traffic."""

    enabled: bool | str | None = None
    data: Any = None
    sampling_rate: float | None = None
    client_id: str | None = None


class DataCollector(Part):
    """Recording of requests and answers."""

    collections: dict[str, Collection] | None = None
    rolling_rate: Annotated[Literal["minute", "hour", "day"], AnyCase] | None = None
    sampling_rate: float | None = None
    destination: dict[str, Any] | None = None
    request_logging: dict[str, Any] | None = None


class OnlineDeployment(Document):
    """One version behind an online endpoint."""

    name: Text | None = None
    endpoint_name: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    type: Literal["managed", "kubernetes", "online"] | None = None
    model: ModelField | None = None
    model_mount_path: str | None = None
    code_configuration: CodeConfiguration | None = None
    environment: EnvironmentField | None = None
    environment_variables: Tags | None = None
    instance_type: str | None = None
    instance_count: int | None = None
    app_insights_enabled: bool | None = None
    scale_settings: ScaleSettings | None = None
    request_settings: RequestSettings | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    resources: dict[str, Any] | None = None
    data_collector: DataCollector | None = None
    egress_public_network_access: str | None = None
    private_network_connection: bool | None = None
    package_model: bool | None = None
    endpoint_compute_type: str | None = None
    allowed_instance_types: str | None = None
    creation_context: dict[str, Any] | None = None
    location: str | None = None
    id: str | None = None
    provisioning_state: str | None = None


class RetrySettings(Part):
    """How often a mini batch is tried again."""

    max_retries: int | None = None
    timeout: int | None = None


class BatchSettings(Open):
    """Mini batches of a model deployment, or settings of a pipeline's."""

    max_concurrency_per_instance: AtLeastOne = None
    mini_batch_size: AtLeastOne = None
    retry_settings: RetrySettings | None = None
    output_action: OutputAction | None = None
    output_file_name: str | None = None
    logging_level: str | None = None
    error_threshold: Annotated[int | None, Field(ge=-1)] = None
    environment_variables: Tags | None = None
    instance_count: int | None = None
    default_compute: str | None = None
    continue_on_step_failure: bool | None = None
    force_rerun: bool | None = None
    default_datastore: str | None = None


class BatchDeployment(Document):
    """One way a batch endpoint scores: a model over mini batches of files, or a pipeline component."""

    name: Text | None = None
    endpoint_name: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    creation_context: dict[str, Any] | None = None
    properties: Tags | None = None
    type: Literal["model", "pipeline"] | None = None
    model: ModelField | None = None
    code_configuration: CodeConfiguration | None = None
    environment: EnvironmentField | None = None
    environment_variables: Tags | None = None
    compute: str | None = None
    resources: Resources | None = None
    instance_count: int | None = None
    settings: BatchSettings | None = None
    max_concurrency_per_instance: AtLeastOne = None
    mini_batch_size: AtLeastOne = None
    retry_settings: RetrySettings | None = None
    output_action: OutputAction | None = None
    output_file_name: str | None = None
    logging_level: str | None = None
    error_threshold: Annotated[int | None, Field(ge=-1)] = None
    component: str | dict[str, Any] | None = None
    job_definition: Any = None
    inputs: Inputs = Field(default_factory=dict)
    provisioning_state: str | None = None
    id: str | None = None
