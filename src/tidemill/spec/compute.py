"""Where jobs run: clusters, instances, attached machines. Declared by documents, simulated locally."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from tidemill.spec.fields import Document, Part, Tags, Text
from tidemill.spec.scalars import AnyCase, Duration, Moment, by_key
from tidemill.spec.times import Cron, Hour, Listed, Minute, TimeZone

WeekDay = Annotated[
    Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    AnyCase,
]
Frequency = Annotated[Literal["minute", "hour", "day", "week", "month"], AnyCase]


class AssignedIdentity(Part):
    """One user-assigned identity, by its resource id."""

    resource_id: str | None = None
    client_id: str | None = None
    principal_id: str | None = None
    tenant_id: str | None = None


class ComputeIdentity(Part):
    """Who a compute acts as."""

    type: (
        Annotated[Literal["system_assigned", "user_assigned", "none", "system_assigned,user_assigned"], AnyCase] | None
    ) = None
    user_assigned_identities: list[AssignedIdentity] | None = None
    principal_id: str | None = None
    tenant_id: str | None = None


class NetworkSettings(Part):
    """The virtual network a compute joins."""

    vnet_name: str | None = None
    subnet: str | None = None
    public_ip_address: str | None = None
    private_ip_address: str | None = None


class SshSettings(Part):
    """How to log in."""

    admin_username: str | None = None
    admin_password: str | None = None
    ssh_key_value: str | None = None
    ssh_port: int | None = None
    ssh_private_key_file: str | None = None


class AnyCompute(Document):
    """What every compute has."""

    name: str
    description: str | None = None
    location: str | None = None
    resource_id: str | None = None
    tags: Tags | None = None
    provisioning_state: str | None = None
    provisioning_errors: Any = None  # from here on: what `az ml compute show` prints
    created_on: Any = None
    compute_location: str | None = None
    id: str | None = None


class AmlCompute(AnyCompute):
    """A cluster that grows and shrinks."""

    type: Annotated[Literal["amlcompute"], AnyCase]
    size: str | None = None
    tier: Annotated[Literal["low_priority", "dedicated"], AnyCase] | None = None
    min_instances: int | None = Field(default=None, ge=0)
    max_instances: int | None = Field(default=None, ge=0)
    idle_time_before_scale_down: int | None = Field(default=None, ge=0)
    identity: ComputeIdentity | None = None
    network_settings: NetworkSettings | None = None
    ssh_public_access_enabled: bool | None = None
    ssh_settings: SshSettings | None = None
    enable_node_public_ip: bool | None = None

    @field_validator("max_instances")
    @classmethod
    def _at_least_the_minimum(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("min_instances")
        if value is not None and least is not None and value < least:
            raise PydanticCustomError(
                "TM-D105", "max_instances {value} is below min_instances {least}", {"value": value, "least": least}
            )
        return value


class StartStopSchedule(Part):
    """When an instance starts and stops each day or week."""

    hours: Annotated[list[Hour], Listed]
    minutes: Annotated[list[Minute], Listed]
    week_days: Annotated[list[WeekDay], Listed] | None = None


class AnyStartStop(Part):
    """From when on, and in which zone."""

    start_time: Moment | None = None
    end_time: Moment | None = None
    time_zone: TimeZone | None = None


class CronStartStop(AnyStartStop):
    """A cron expression of five fields."""

    type: Annotated[Literal["cron"], AnyCase]
    expression: Cron


class RecurrentStartStop(AnyStartStop):
    """Every so many days or weeks."""

    type: Annotated[Literal["recurrence"], AnyCase]
    frequency: Frequency
    interval: int = Field(ge=1)
    schedule: StartStopSchedule | None = None


StartStopTrigger = Annotated[
    Annotated[CronStartStop, Tag("#cron")] | Annotated[RecurrentStartStop, Tag("#recurrence")],
    Discriminator(by_key("type")),
]


class StartStop(Part):
    """One start or stop."""

    action: Annotated[Literal["start", "stop"], AnyCase]
    state: Annotated[Literal["enabled", "disabled"], AnyCase] | None = None
    trigger: StartStopTrigger | None = None
    schedule_id: str | None = None
    provisioning_state: str | None = None


class ComputeSchedules(Part):
    """All starts and stops."""

    compute_start_stop: list[StartStop] | None = None


class SetupScript(Part):
    """A script an instance runs once, or at each start."""

    path: str | None = None
    command: str | None = None
    timeout_minutes: int | None = None


class SetupScripts(Part):
    """Both scripts."""

    creation_script: SetupScript | None = None
    startup_script: SetupScript | None = None


class ImageReference(Part):
    """The image of a custom application."""

    reference: str


class PortMapping(Part):
    """A port of a custom application."""

    target: int
    published: int


class BindMount(Part):
    """A folder a custom application sees."""

    source: str
    target: str


class CustomApplication(Part):
    """A container served beside the instance's notebooks."""

    name: str
    type: Annotated[Literal["docker"], AnyCase] | None = None
    image: ImageReference
    endpoints: list[PortMapping]
    environment_variables: dict[str, Any] | None = None
    bind_mounts: list[BindMount] | None = None


class OnBehalfOf(Part):
    """The person an instance is made for."""

    user_tenant_id: str
    user_object_id: str


class ComputeInstance(AnyCompute):
    """One person's machine."""

    type: Annotated[Literal["computeinstance"], AnyCase]
    size: str | None = None
    state: str | None = None
    last_operation: dict[str, Any] | None = None  # this and the next two: what `az ml compute show` prints
    services: list[Any] | None = None
    os_image_metadata: dict[str, Any] | None = None
    network_settings: NetworkSettings | None = None
    ssh_public_access_enabled: bool | None = None
    ssh_settings: SshSettings | None = None
    schedules: ComputeSchedules | None = None
    identity: ComputeIdentity | None = None
    idle_time_before_shutdown: Duration | None = None
    idle_time_before_shutdown_minutes: int | None = Field(default=None, ge=0)
    setup_scripts: SetupScripts | None = None
    create_on_behalf_of: OnBehalfOf | None = None
    custom_applications: list[CustomApplication] | None = None
    enable_node_public_ip: bool | None = None
    enable_sso: bool | None = None
    enable_root_access: bool | None = None
    enable_os_patching: bool | None = None
    release_quota_on_stop: bool | None = None


class KubernetesCompute(AnyCompute):
    """An attached Kubernetes cluster."""

    type: Annotated[Literal["kubernetes"], AnyCase]
    namespace: str | None = None
    properties: dict[str, Any] | None = None
    identity: ComputeIdentity | None = None


class VirtualMachineCompute(AnyCompute):
    """An attached virtual machine."""

    type: Annotated[Literal["virtualmachine"], AnyCase]
    resource_id: str
    ssh_settings: SshSettings | None = None


class AutoScale(Part):
    """How far a Spark pool grows."""

    min_node_count: int | None = None
    max_node_count: int | None = None
    enabled: bool | None = None
    auto_scale_enabled: bool | None = None


class AutoPause(Part):
    """When an idle Spark pool pauses."""

    delay_in_minutes: int | None = None
    enabled: bool | None = None
    auto_pause_enabled: bool | None = None


class SynapseSparkCompute(AnyCompute):
    """An attached Synapse Spark pool."""

    type: Annotated[Literal["synapsespark"], AnyCase]
    resource_id: str
    identity: ComputeIdentity | None = None
    node_count: int | None = None
    node_family: str | None = None
    node_size: str | None = None
    spark_version: Text | None = None
    scale_settings: AutoScale | None = None
    auto_pause_settings: AutoPause | None = None


def _type(value: Any) -> str | None:  # noqa: ANN401 - before validation
    word = by_key("type")(value)
    return word.replace("_", "") if word else None


Compute = Annotated[
    Annotated[AmlCompute, Tag("#amlcompute")]
    | Annotated[ComputeInstance, Tag("#computeinstance")]
    | Annotated[KubernetesCompute, Tag("#kubernetes")]
    | Annotated[VirtualMachineCompute, Tag("#virtualmachine")]
    | Annotated[SynapseSparkCompute, Tag("#synapsespark")],
    Discriminator(_type),
]
"""Any compute document, chosen by `type`."""
