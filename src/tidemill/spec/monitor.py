"""Monitors: which data is watched by which signal, and where the thresholds are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from tidemill.spec.fields import Inputs, InputValue, Part, Tags, Text
from tidemill.spec.scalars import AnyCase, Duration, by_key, shape, snake

DataContext = Annotated[
    Literal["model_inputs", "model_outputs", "training", "test", "validation", "ground_truth"],
    AnyCase,
]
Feature = Annotated[Literal["numerical", "categorical"], AnyCase]
Share = Annotated[float, Field(ge=0)]


class DataWindow(Part):
    """Fixed dates, or a window that moves with the run."""

    lookback_window_size: Duration | None = None
    lookback_window_offset: Duration | None = None
    window_start: Text | None = None
    window_end: Text | None = None


class WatchedData(Part):
    """Data a signal reads. Only reference data and that of attribution has a target column."""

    input_data: InputValue | None = None
    data_context: DataContext | None = None
    data_window: DataWindow | None = None
    data_column_names: dict[str, str] | None = None
    pre_processing_component: str | None = None
    target_column_name: str | None = None


class DataSegment(Part):
    """Only rows with these values of a feature."""

    feature_name: str | None = None
    feature_values: list[Text] | None = None


class TopFeatures(Part):
    """Only the features that matter most."""

    top_n_feature_importance: int | None = Field(default=None, ge=1)


Features = Annotated[
    Annotated[Literal["all_features"], AnyCase, Tag("#text")]
    | Annotated[list[str], Tag("#list")]
    | Annotated[TopFeatures, Tag("#mapping")],
    Discriminator(shape),
]
"""All features, some by name, or the most important."""


class NumericalDrift(Part):
    """Distances of numbers; one of them."""

    jensen_shannon_distance: Share | None = None
    normalized_wasserstein_distance: Share | None = None
    population_stability_index: Share | None = None
    two_sample_kolmogorov_smirnov_test: Share | None = None


class CategoricalDrift(Part):
    """Distances of categories; one of them."""

    jensen_shannon_distance: Share | None = None
    pearsons_chi_squared_test: Share | None = None
    population_stability_index: Share | None = None
    chi_squared_test: Share | None = None


class DriftThresholds(Part):
    """How far is too far."""

    numerical: NumericalDrift | None = None
    categorical: CategoricalDrift | None = None
    data_type: Feature | None = None
    threshold: float | None = None


class QualityRates(Part):
    """How many bad values are too many."""

    null_value_rate: Share | None = None
    data_type_error_rate: Share | None = None
    out_of_bounds_rate: Share | None = None


class QualityThresholds(Part):
    """Those of numbers and of categories."""

    numerical: QualityRates | None = None
    categorical: QualityRates | None = None
    data_type: Feature | None = None
    threshold: float | None = None


class AttributionThresholds(Part):
    """How much the order of features may change."""

    normalized_discounted_cumulative_gain: float | None = None
    threshold: float | None = None


class ClassificationThresholds(Part):
    """The least a classifier must reach."""

    accuracy: Share | None = None
    precision: Share | None = None
    recall: Share | None = None


class RegressionThresholds(Part):
    """The most a regression may err."""

    mae: Share | None = None
    mse: Share | None = None
    rmse: Share | None = None


class PerformanceThresholds(Part):
    """Those of classifiers or of regressions."""

    classification: ClassificationThresholds | None = None
    regression: RegressionThresholds | None = None
    threshold: float | None = None


class CustomThreshold(Part):
    """A bound on a metric of one's own."""

    metric_name: str | None = None
    threshold: float | None = None


class SafetyThresholds(Part):
    """Bounds on what a language model says, each per answer and in sum."""

    groundedness: dict[str, float] | None = None
    relevance: dict[str, float] | None = None
    coherence: dict[str, float] | None = None
    fluency: dict[str, float] | None = None
    similarity: dict[str, float] | None = None


class TokenThresholds(Part):
    """Bounds on tokens used."""

    totaltoken: dict[str, float] | None = None


class AnySignal(Part):
    """What every signal has."""

    alert_enabled: bool | None = None
    properties: Tags | None = None


class DataDrift(AnySignal):
    """Inputs move away from the reference."""

    type: Annotated[Literal["data_drift"], AnyCase]
    production_data: WatchedData | None = None
    reference_data: WatchedData | None = None
    features: Features | None = None
    feature_type_override: dict[str, Any] | None = None
    data_segment: DataSegment | None = None
    metric_thresholds: DriftThresholds | None = None


class DataQuality(AnySignal):
    """Inputs become null, of another type, or out of bounds."""

    type: Annotated[Literal["data_quality"], AnyCase]
    production_data: WatchedData | None = None
    reference_data: WatchedData | None = None
    features: Features | None = None
    feature_type_override: dict[str, Any] | None = None
    metric_thresholds: QualityThresholds | None = None


class PredictionDrift(AnySignal):
    """Answers move away from the reference."""

    type: Annotated[Literal["prediction_drift"], AnyCase]
    production_data: WatchedData | None = None
    reference_data: WatchedData | None = None
    metric_thresholds: DriftThresholds | None = None


class AttributionDrift(AnySignal):
    """Other features matter than did in training."""

    type: Annotated[Literal["feature_attribution_drift"], AnyCase]
    production_data: list[WatchedData] | None = None
    reference_data: WatchedData | None = None
    metric_thresholds: AttributionThresholds | None = None


class ModelPerformance(AnySignal):
    """Answers are worse than they were, by the ground truth."""

    type: Annotated[Literal["model_performance"], AnyCase]
    production_data: WatchedData | None = None
    reference_data: WatchedData | None = None
    data_segment: DataSegment | None = None
    metric_thresholds: PerformanceThresholds | None = None


class SignalConnection(Part):
    """Variables and secrets a custom signal's component gets."""

    environment_variables: Tags | None = None
    secret_config: Tags | None = None


class CustomSignal(AnySignal):
    """A component of one's own computes the metrics."""

    type: Annotated[Literal["custom"], AnyCase]
    component_id: str
    inputs: Inputs | None = None
    input_data: dict[str, WatchedData] | None = None
    metric_thresholds: list[CustomThreshold] | None = None
    connection: SignalConnection | None = None


class GenerationSafety(AnySignal):
    """A language model's answers are judged."""

    type: Annotated[Literal["generation_safety_quality"], AnyCase]
    connection_id: str | None = None
    production_data: list[WatchedData] | None = None
    metric_thresholds: SafetyThresholds | None = None
    sampling_rate: float | None = Field(default=None, ge=0, le=1)


class TokenStatistics(AnySignal):
    """A language model's tokens are counted."""

    type: Annotated[Literal["generation_token_statistics"], AnyCase]
    production_data: WatchedData | None = None
    metric_thresholds: TokenThresholds | None = None
    sampling_rate: float | None = Field(default=None, ge=0, le=1)


Signal = Annotated[
    Annotated[DataDrift, Tag("#data_drift")]
    | Annotated[DataQuality, Tag("#data_quality")]
    | Annotated[PredictionDrift, Tag("#prediction_drift")]
    | Annotated[AttributionDrift, Tag("#feature_attribution_drift")]
    | Annotated[ModelPerformance, Tag("#model_performance")]
    | Annotated[CustomSignal, Tag("#custom")]
    | Annotated[GenerationSafety, Tag("#generation_safety_quality")]
    | Annotated[TokenStatistics, Tag("#generation_token_statistics")],
    Discriminator(by_key("type")),
]
"""Any signal, chosen by `type`."""


class MonitorCompute(Part):
    """The Spark machines a monitor runs on."""

    instance_type: str
    runtime_version: Text
    compute_type: str | None = None


class MonitorTarget(Part):
    """What is watched: a deployment, or a model with its task."""

    ml_task: (
        Annotated[str, BeforeValidator(lambda v: snake(v).replace("_", "") if isinstance(v, str) else v)] | None
    ) = None
    endpoint_deployment_id: str | None = None
    model_id: str | None = None


class AlertNotification(Part):
    """Who is told."""

    emails: list[str] | None = None


AlertField = Annotated[
    Annotated[Literal["azmonitoring"], AnyCase, Tag("#text")] | Annotated[AlertNotification, Tag("#mapping")],
    Discriminator(shape),
]


class Monitor(Part):
    """What `create_monitor` holds."""

    compute: MonitorCompute
    monitoring_target: MonitorTarget | None = None
    monitoring_signals: dict[str, Signal] | None = None
    alert_notification: AlertField | None = None
