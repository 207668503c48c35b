"""Parallel jobs: an entry script run over mini batches of files or rows, as a job, a component or a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from tidemill.spec.command import ComponentFields, EnvironmentField, JobFields, Reference
from tidemill.spec.fields import Identity, Inputs, Open, Outputs, Part, Resources, Service, Tags, Text
from tidemill.spec.scalars import AnyCase, OneOrMore, OneUp, Tolerated, ZeroUp
from tidemill.spec.step import StepFields

LoggingLevel = Annotated[Literal["DEBUG", "INFO", "WARNING"], AnyCase]


class RetrySettings(Open):
    """How often a mini batch is tried, and how long one try may take."""

    max_retries: ZeroUp | None = None
    timeout: ZeroUp | None = None


class ParallelTask(Open):
    """What is done with each mini batch."""

    type: Annotated[Literal["run_function", "function", "model"], AnyCase]
    code: str | None = None
    entry_script: str | None = None
    program_arguments: str | None = None
    model: str | None = None
    append_row_to: str | None = None
    environment: EnvironmentField


class ParallelFields(Part):
    """How data is split and failures are counted."""

    task: ParallelTask | None = None
    input_data: str | None = None
    mini_batch_size: Text | None = None
    partition_keys: OneOrMore | None = None
    mini_batch_error_threshold: Tolerated | None = None
    error_threshold: Tolerated | None = None
    logging_level: LoggingLevel | None = None
    max_concurrency_per_instance: OneUp | None = None
    retry_settings: RetrySettings | None = None


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
    partition_keys: OneOrMore | None = None
    mini_batch_error_threshold: Tolerated | None = None
    error_threshold: Tolerated | None = None
    logging_level: LoggingLevel | None = None
    max_concurrency_per_instance: OneUp | None = None
    retry_settings: RetrySettings | None = None
    is_deterministic: bool | None = None
