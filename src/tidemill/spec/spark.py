"""Spark jobs, components and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag

from tidemill.spec.command import ComponentFields, EnvironmentField, JobFields, Reference
from tidemill.spec.fields import Identity, Inputs, Outputs, Part, Service, Text
from tidemill.spec.scalars import AnyCase
from tidemill.spec.step import StepFields


class SparkEntry(Part):
    """What Spark starts: a script in the code folder, or a class in a jar."""

    file: str | None = None
    class_name: str | None = None
    spark_job_entry_type: str | None = None
    entry: str | None = None


def _entry(value: Any) -> Any:  # noqa: ANN401 - before validation
    return {"file": value} if isinstance(value, str) else value


class SparkResources(Part):
    """The machines of a serverless Spark job."""

    instance_type: str
    runtime_version: Text


EntryField = Annotated[SparkEntry, BeforeValidator(_entry)]


class SparkFields(Part):
    """What a Spark program is made of. `conf` holds `spark.driver.cores` and its kin."""

    code: str | None = None
    entry: EntryField
    py_files: list[str] | None = None
    jars: list[str] | None = None
    files: list[str] | None = None
    archives: list[str] | None = None
    conf: dict[str, Any] | None = None
    args: str | None = None
    environment: EnvironmentField | None = None


class SparkJob(JobFields, SparkFields):
    """A Spark job of its own."""

    type: Annotated[Literal["spark"], AnyCase] = "spark"
    compute: str | None = None
    inputs: Inputs = Field(default_factory=dict)
    outputs: Outputs = Field(default_factory=dict)
    resources: SparkResources | None = None
    identity: Identity | None = None
    services: dict[str, Service] | None = None


class SparkComponent(ComponentFields, SparkFields):
    """A reusable Spark program."""

    type: Annotated[Literal["spark"], AnyCase] = "spark"
    resources: SparkResources | None = None


def _component_shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#mapping" if isinstance(value, (Mapping, BaseModel)) else "#reference"


class SparkStep(StepFields):
    """A Spark component with its inputs bound, or an inline program."""

    type: Annotated[Literal["spark"], AnyCase]
    component: (
        Annotated[
            Annotated[Reference, Tag("#reference")] | Annotated[SparkComponent, Tag("#mapping")],
            Discriminator(_component_shape),
        ]
        | None
    ) = None
    code: str | None = None
    entry: EntryField | None = None
    py_files: list[str] | None = None
    jars: list[str] | None = None
    files: list[str] | None = None
    archives: list[str] | None = None
    conf: dict[str, Any] | None = None
    args: str | None = None
    environment: EnvironmentField | None = None
    resources: SparkResources | None = None  # type: ignore[assignment]  # Spark's own
