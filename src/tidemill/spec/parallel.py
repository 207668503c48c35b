"""Parallel jobs: an entry script run over mini batches of files or rows, as a job, a component or a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.command import ComponentFields, EnvironmentField, JobFields, Reference
from tidemill.spec.fields import Identity, Inputs, Outputs, Part, Resources, Service, Tags, Text
from tidemill.spec.scalars import AnyCase, Whole
from tidemill.spec.step import StepFields

NO_TASK = "TM-P101"
TWO_WAYS = "TM-P102"


class RetrySettings(Part):
    """How often a mini batch is tried, and how long one try may take."""

    max_retries: Whole | None = None
    timeout: Whole | None = None


class ParallelTask(Part):
    """What is done with each mini batch."""

    type: Annotated[Literal["run_function", "function", "model"], AnyCase]
    code: str | None = None
    entry_script: str | None = None
    program_arguments: str | None = None
    model: str | None = None
    append_row_to: str | None = None
    environment: EnvironmentField | None = None


class ParallelFields(Part):
    """How data is split and failures are counted."""

    task: ParallelTask | None = None
    input_data: str | None = None
    mini_batch_size: Text | None = None
    partition_keys: list[str] | str | None = None
    mini_batch_error_threshold: Whole | None = None
    error_threshold: Whole | None = None
    logging_level: Annotated[Literal["DEBUG", "INFO", "WARNING"], Field()] | str | None = None
    max_concurrency_per_instance: Whole | None = None
    retry_settings: RetrySettings | None = None

    @field_validator("partition_keys")
    @classmethod
    def _one_way_to_split(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - kept as it is
        if value and info.data.get("mini_batch_size") is not None:
            raise PydanticCustomError(TWO_WAYS, "`mini_batch_size` and `partition_keys` exclude each other")
        return value


class ParallelJob(JobFields, ParallelFields):
    """A parallel job of its own."""

    type: Annotated[Literal["parallel"], AnyCase] = "parallel"
    compute: str | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: Outputs = Field(default_factory=dict)
    resources: Resources | None = None
    environment_variables: Tags | None = None
    identity: Identity | None = None
    services: dict[str, Service] | None = None


class ParallelComponent(ComponentFields, ParallelFields):
    """A reusable parallel job."""

    type: Annotated[Literal["parallel"], AnyCase] = "parallel"
    resources: Resources | None = None
    code: str | None = None
    environment: EnvironmentField | None = None


def _component_shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#mapping" if isinstance(value, (Mapping, BaseModel)) else "#reference"


class ParallelStep(StepFields):
    """A parallel component with its inputs bound, or an inline task."""

    type: Annotated[Literal["parallel"], AnyCase]
    component: (
        Annotated[
            Annotated[Reference, Tag("#reference")] | Annotated[ParallelComponent, Tag("#mapping")],
            Discriminator(_component_shape),
        ]
        | None
    ) = None
    task: ParallelTask | None = None
    input_data: str | None = None
    mini_batch_size: Text | None = None
    partition_keys: list[str] | str | None = None
    mini_batch_error_threshold: Whole | None = None
    error_threshold: Whole | None = None
    logging_level: str | None = None
    max_concurrency_per_instance: Whole | None = None
    retry_settings: RetrySettings | None = None
    is_deterministic: bool | None = None
