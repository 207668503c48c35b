"""Feature sets, their specifications and the entities of a feature store: described, listed, not materialized locally."""

from __future__ import annotations

from typing import Any, Literal

from tidemill.spec.fields import Document, Open, Part, Tags, Text
from tidemill.spec.schedule import RecurrenceTrigger


class FeatureColumn(Part):
    """A column with its type."""

    name: str
    type: str
    description: str | None = None
    tags: Tags | None = None


class FeatureStoreEntity(Document):
    """What features describe: a customer, an account; joined by its index columns."""

    name: str
    version: Text
    description: str | None = None
    stage: Literal["Development", "Production", "Archived"] | None = None
    latest_version: Any = None
    index_columns: list[FeatureColumn]
    tags: Tags | None = None
    properties: Tags | None = None


class FeatureSpecification(Part):
    """The folder of the specification."""

    path: str


class MaterializationNotice(Part):
    """Who hears of a materialization."""

    email_on: list[Literal["JobCompleted", "JobFailed", "JobCancelled"]]
    emails: list[str]


class MaterializationResource(Part):
    """The machine that materializes."""

    instance_type: str | None = None


class Materialization(Part):
    """When and how features are computed ahead."""

    notification: MaterializationNotice | None = None
    offline_enabled: bool | None = None
    online_enabled: bool | None = None
    resource: MaterializationResource | None = None
    schedule: RecurrenceTrigger | None = None
    spark_configuration: dict[str, Any] | None = None


class FeatureSet(Document):
    """A versioned set of features of some entities."""

    name: str
    version: Text
    description: str | None = None
    entities: list[str]
    specification: FeatureSpecification
    stage: Literal["Development", "Production", "Archived"] | None = None
    materialization_settings: Materialization | None = None
    tags: Tags | None = None
    properties: Tags | None = None


class FeatureSource(Open):
    """Where the raw columns come from."""

    type: str | None = None
    path: str | None = None


class FeatureSetSpec(Document):
    """How a feature set is computed from its source."""

    source: FeatureSource
    features: list[FeatureColumn] | None = None
    index_columns: list[FeatureColumn] | None = None
    feature_transformation_code: dict[str, Any] | None = None
    feature_transformation: dict[str, Any] | None = None
    source_lookback: dict[str, int] | None = None
    temporal_join_lookback: dict[str, int] | None = None
