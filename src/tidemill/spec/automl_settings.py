"""What AutoML tasks can be told: limits, featurization, algorithms, networks and their search spaces."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.fields import Part
from tidemill.spec.scalars import BINDING, AnyCase, Flag, OneOrMore, OneUp, Real, Whole, ZeroUp, by_key, shape
from tidemill.spec.sweep import Distribution, EarlyTermination, SamplingField

Word = Annotated[str, Tag("#plain")]


def _shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#space" if isinstance(value, (dict, BaseModel)) else "#plain"


WholeSpace = Annotated[Annotated[Whole, Tag("#plain")] | Annotated[Distribution, Tag("#space")], Discriminator(_shape)]
RealSpace = Annotated[Annotated[Real, Tag("#plain")] | Annotated[Distribution, Tag("#space")], Discriminator(_shape)]
FlagSpace = Annotated[Annotated[Flag, Tag("#plain")] | Annotated[Distribution, Tag("#space")], Discriminator(_shape)]
WordSpace = Annotated[Word | Annotated[Distribution, Tag("#space")], Discriminator(_shape)]


class TableLimits(Part):
    """How many trials on a table, how long."""

    enable_early_termination: Flag | None = None
    exit_score: Real | None = None
    max_concurrent_trials: OneUp | None = None
    max_cores_per_trial: Whole | None = None
    max_nodes: OneUp | None = None
    max_trials: OneUp | None = None
    timeout_minutes: ZeroUp | None = None
    trial_timeout_minutes: ZeroUp | None = None


class TextLimits(Part):
    """How many trials on text, how long."""

    max_concurrent_trials: OneUp | None = None
    max_nodes: OneUp | None = None
    max_trials: OneUp | None = None
    timeout_minutes: ZeroUp | None = None
    trial_timeout_minutes: ZeroUp | None = None


class ImageLimits(Part):
    """How many trials on images, how long."""

    max_concurrent_trials: OneUp | None = None
    max_trials: OneUp | None = None
    timeout_minutes: ZeroUp | None = None


class ColumnTransformer(Part):
    """One transformer's settings for some columns."""

    fields: list[str] | None = None
    parameters: dict[str, Any] | None = None


class Featurization(Part):
    """How columns become numbers."""

    mode: Annotated[Literal["auto", "off", "custom"], AnyCase] | None = None
    blocked_transformers: list[str] | None = None
    column_name_and_types: dict[str, str] | None = None
    dataset_language: str | None = None
    enable_dnn_featurization: Flag | None = None
    transformer_params: dict[str, list[ColumnTransformer]] | None = None


class TextFeaturization(Part):
    """The language of the text."""

    dataset_language: str | None = None


class StackEnsemble(Part):
    """How trained models are stacked."""

    stack_meta_learner_kwargs: dict[str, Any] | None = None
    stack_meta_learner_train_percentage: Real | None = None
    stack_meta_learner_type: str | None = None


class Training(Part):
    """Which algorithms are tried and what is made of them."""

    allowed_training_algorithms: list[str] | None = None
    blocked_training_algorithms: list[str] | None = None
    enable_dnn_training: Flag | None = None
    enable_model_explainability: Flag | None = None
    enable_onnx_compatible_models: Flag | None = None
    enable_stack_ensemble: Flag | None = None
    enable_vote_ensemble: Flag | None = None
    ensemble_model_download_timeout_minutes: Whole | None = None
    stack_ensemble_settings: StackEnsemble | None = None
    training_mode: str | None = None


def _auto(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#word" if isinstance(value, str) and (value.lower() == "auto" or BINDING in value) else "#number"


Auto = Annotated[Annotated[int, Tag("#number")] | Annotated[str, Tag("#word")], Discriminator(_auto)]
"""A whole number or `auto`."""


Lags = Annotated[Annotated[Auto, Tag("#text")] | Annotated[list[int], Tag("#list")], Discriminator(shape)]


class Forecasting(Part):
    """What makes a table a time series."""

    time_column_name: str | None = None
    time_series_id_column_names: OneOrMore | None = None
    forecast_horizon: Auto | None = None
    frequency: str | None = None
    seasonality: Auto | None = None
    target_lags: Lags | None = None
    target_rolling_window_size: Auto | None = None
    target_aggregate_function: Annotated[Literal["none", "sum", "max", "min", "mean"], AnyCase] | None = None
    feature_lags: Annotated[Literal["none", "auto"], AnyCase] | None = None
    use_stl: Annotated[Literal["none", "season", "seasontrend", "season_trend"], AnyCase] | None = None
    short_series_handling_config: Annotated[Literal["none", "auto", "pad", "drop"], AnyCase] | None = None
    country_or_region_for_holidays: str | None = None
    cv_step_size: Whole | None = None
    features_unknown_at_forecast_time: OneOrMore | None = None


class SearchSettings(Part):
    """How hyperparameters of text and image models are searched."""

    sampling_algorithm: SamplingField
    early_termination: EarlyTermination | None = None


class TextParameters(Part):
    """A text model's hyperparameters; in a `search_space` each may be a distribution."""

    gradient_accumulation_steps: WholeSpace | None = None
    learning_rate: RealSpace | None = None
    learning_rate_scheduler: WordSpace | None = None
    model_name: WordSpace | None = None
    number_of_epochs: WholeSpace | None = None
    training_batch_size: WholeSpace | None = None
    validation_batch_size: WholeSpace | None = None
    warmup_ratio: RealSpace | None = None
    weight_decay: RealSpace | None = None


class ImageParameters(Part):
    """What all image models share; in a `search_space` each may be a distribution."""

    advanced_settings: str | None = None
    ams_gradient: FlagSpace | None = None
    augmentations: WordSpace | None = None
    beta1: RealSpace | None = None
    beta2: RealSpace | None = None
    checkpoint_frequency: Whole | None = None
    checkpoint_run_id: str | None = None
    distributed: FlagSpace | None = None
    early_stopping: FlagSpace | None = None
    early_stopping_delay: WholeSpace | None = None
    early_stopping_patience: WholeSpace | None = None
    enable_onnx_normalization: FlagSpace | None = None
    evaluation_frequency: WholeSpace | None = None
    gradient_accumulation_step: WholeSpace | None = None
    layers_to_freeze: WholeSpace | None = None
    learning_rate: RealSpace | None = None
    learning_rate_scheduler: WordSpace | None = None
    model_name: WordSpace | None = None
    momentum: RealSpace | None = None
    nesterov: FlagSpace | None = None
    number_of_epochs: WholeSpace | None = None
    number_of_workers: WholeSpace | None = None
    optimizer: WordSpace | None = None
    random_seed: WholeSpace | None = None
    step_lr_gamma: RealSpace | None = None
    step_lr_step_size: WholeSpace | None = None
    training_batch_size: WholeSpace | None = None
    validation_batch_size: WholeSpace | None = None
    warmup_cosine_lr_cycles: RealSpace | None = None
    warmup_cosine_lr_warmup_epochs: WholeSpace | None = None
    weight_decay: RealSpace | None = None


class ImageClassificationParameters(ImageParameters):
    """Those of classifiers."""

    training_crop_size: WholeSpace | None = None
    validation_crop_size: WholeSpace | None = None
    validation_resize_size: WholeSpace | None = None
    weighted_loss: WholeSpace | None = None


class ImageDetectionParameters(ImageParameters):
    """Those of models that find objects."""

    box_detections_per_image: WholeSpace | None = None
    box_score_threshold: RealSpace | None = None
    image_size: WholeSpace | None = None
    log_training_metrics: str | None = None
    log_validation_loss: str | None = None
    max_size: WholeSpace | None = None
    min_size: WholeSpace | None = None
    model_size: WordSpace | None = None
    multi_scale: FlagSpace | None = None
    nms_iou_threshold: RealSpace | None = None
    tile_grid_size: WordSpace | None = None
    tile_overlap_ratio: RealSpace | None = None
    tile_predictions_nms_threshold: RealSpace | None = None
    validation_iou_threshold: RealSpace | None = None
    validation_metric_type: WordSpace | None = None


class _Fixed(Part):
    """Parameters outside a search: numbers and words, no distributions."""

    @model_validator(mode="before")
    @classmethod
    def _no_distributions(cls, value: Any) -> Any:  # noqa: ANN401 - before validation
        spaces = [k for k, v in value.items() if isinstance(v, dict)] if isinstance(value, dict) else []
        if spaces:
            raise PydanticCustomError(
                "TM-D109", "`{name}` is a distribution; those belong in `search_space`", {"name": str(spaces[0])}
            )
        return value


class FixedTextParameters(TextParameters, _Fixed):
    """A text model's hyperparameters, chosen."""


class FixedClassificationParameters(ImageClassificationParameters, _Fixed):
    """An image classifier's hyperparameters, chosen."""


class FixedDetectionParameters(ImageDetectionParameters, _Fixed):
    """A detector's hyperparameters, chosen."""


LogVerbosity = Annotated[
    Literal["not_set", "debug", "info", "warning", "error", "critical"],
    AnyCase,
    Field(description="How much AutoML writes to its log."),
]
by_task = by_key("task")
