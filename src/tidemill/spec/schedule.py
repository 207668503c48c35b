"""Schedules: when a job, an import or a monitor starts by itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.command import EnvironmentField
from tidemill.spec.compute import Frequency, WeekDay
from tidemill.spec.data import DataImport
from tidemill.spec.fields import (
    DistributionField,
    Document,
    Identity,
    Inputs,
    Limits,
    Open,
    Outputs,
    Part,
    QueueSettings,
    Resources,
    Service,
    Tags,
)
from tidemill.spec.monitor import Monitor
from tidemill.spec.scalars import AnyCase, Moment, by_key
from tidemill.spec.times import Cron, Hour, Listed, Minute, MonthDay, TimeZone

_ACTIONS = ("create_job", "create_monitor", "import_data")


class RecurrencePattern(Part):
    """Hours by minutes by weekdays (or days of the month)."""

    hours: Annotated[list[Hour], Listed]
    minutes: Annotated[list[Minute], Listed]
    week_days: Annotated[list[WeekDay], Listed] | None = None
    month_days: Annotated[list[MonthDay], Listed] | None = None


class AnyTrigger(Part):
    """When the first and the last firing are."""

    start_time: Moment | None = None
    end_time: Moment | None = None
    time_zone: TimeZone | None = None


class CronTrigger(AnyTrigger):
    """A cron expression of five fields."""

    type: Annotated[Literal["cron"], AnyCase]
    expression: Cron


class RecurrenceTrigger(AnyTrigger):
    """Every so many minutes, hours, days, weeks or months."""

    type: Annotated[Literal["recurrence"], AnyCase]
    frequency: Frequency
    interval: int = Field(ge=1)
    schedule: RecurrencePattern | None = None


Trigger = Annotated[
    Annotated[CronTrigger, Tag("#cron")] | Annotated[RecurrenceTrigger, Tag("#recurrence")],
    Discriminator(by_key("type")),
]
"""Cron or recurrence."""


class ScheduledSettings(Open):
    """Settings of the pipeline that is started."""

    default_compute: str | None = None
    default_datastore: str | None = None
    continue_on_step_failure: bool | None = None
    force_rerun: bool | None = None


class CreateJob(Part):
    """A job, by file or name, with what is different each time."""

    type: Annotated[Literal["pipeline", "command", "spark"], AnyCase] | None = None
    job: str
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    experiment_name: str | None = None
    compute: str | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: Outputs = Field(default_factory=dict)
    settings: ScheduledSettings | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    identity: Identity | None = None
    services: dict[str, Service] | None = None
    environment: EnvironmentField | None = None
    environment_variables: Tags | None = None
    resources: Resources | None = None
    distribution: DistributionField | None = None
    limits: Limits | None = None
    queue_settings: QueueSettings | None = None
    conf: dict[str, Any] | None = None


def _shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#reference" if isinstance(value, str) else "#mapping"


class Schedule(Document):
    """A trigger and what it starts."""

    name: str
    display_name: str | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    id: str | None = None
    is_enabled: bool | None = None
    provisioning_state: str | None = None
    creation_context: dict[str, Any] | None = None
    trigger: Trigger
    create_job: (
        Annotated[Annotated[str, Tag("#reference")] | Annotated[CreateJob, Tag("#mapping")], Discriminator(_shape)]
        | None
    ) = None
    create_monitor: Monitor | None = None
    import_data: (
        Annotated[Annotated[str, Tag("#reference")] | Annotated[DataImport, Tag("#mapping")], Discriminator(_shape)]
        | None
    ) = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        given = [name for name in _ACTIONS if getattr(self, name) is not None]
        if not given:
            raise PydanticCustomError("TM-D102", "A schedule needs `create_job`, `create_monitor` or `import_data`")
        if len(given) > 1:
            raise PydanticCustomError(
                "TM-D108", "`{first}` and `{second}` exclude each other", {"first": given[0], "second": given[1]}
            )
        return self
