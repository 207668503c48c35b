"""AutoML jobs and steps: ten tasks on tables, text and images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from tidemill.spec import automl_settings as settings
from tidemill.spec.command import JobFields
from tidemill.spec.fields import Identity, InputValue, Outputs, QueueSettings, Resources, Service, Tags
from tidemill.spec.scalars import AnyCase, Real

ClassificationMetric = Annotated[
    Literal[
        "auc_weighted",
        "accuracy",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
    ],
    AnyCase,
]
MultilabelMetric = Annotated[
    Literal[
        "auc_weighted",
        "accuracy",
        "norm_macro_recall",
        "average_precision_score_weighted",
        "precision_score_weighted",
        "iou",
    ],
    AnyCase,
]
RegressionMetric = Annotated[
    Literal[
        "spearman_correlation",
        "normalized_root_mean_squared_error",
        "r2_score",
        "normalized_mean_absolute_error",
    ],
    AnyCase,
]
AccuracyMetric = Annotated[Literal["accuracy"], AnyCase]
DetectionMetric = Annotated[Literal["mean_average_precision"], AnyCase]


def _is_mapping(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#binding" if isinstance(value, str) else "#mapping"


TableData = Annotated[
    Annotated[InputValue, Tag("#mapping")] | Annotated[str, Tag("#binding")],
    Discriminator(_is_mapping),
]
"""An mltable; in a step also a binding."""


class AutoMLFields(JobFields):
    """What every AutoML task may say."""

    type: Annotated[Literal["automl"], AnyCase]
    compute: str | None = None
    environment_id: str | None = None
    environment_variables: Tags | None = None
    identity: Identity | None = None
    log_verbosity: settings.LogVerbosity | None = None
    outputs: Outputs = Field(default_factory=dict)
    queue_settings: QueueSettings | None = None
    resources: Resources | None = None
    services: dict[str, Service] | None = None
    training_data: TableData
    validation_data: TableData | None = None


class TableTask(AutoMLFields):
    """What tasks on tables share."""

    target_column_name: str
    test_data: TableData | None = None
    test_data_size: Real | None = None
    validation_data_size: Real | None = None
    n_cross_validations: settings.Auto | None = None
    cv_split_column_names: list[str] | None = None
    weight_column_name: str | None = None
    featurization: settings.Featurization | None = None
    limits: settings.TableLimits | None = None
    training: settings.Training | None = None


class Classification(TableTask):
    """Which class a row belongs to."""

    task: Annotated[Literal["classification"], AnyCase]
    primary_metric: ClassificationMetric | None = None
    positive_label: str | None = None


class Regression(TableTask):
    """Which number belongs to a row."""

    task: Annotated[Literal["regression"], AnyCase]
    primary_metric: RegressionMetric | None = None


class ForecastingTask(TableTask):
    """Which number comes next."""

    task: Annotated[Literal["forecasting"], AnyCase]
    primary_metric: RegressionMetric | None = None
    forecasting: settings.Forecasting | None = None


class TextTask(AutoMLFields):
    """What tasks on text share."""

    featurization: settings.TextFeaturization | None = None
    limits: settings.TextLimits | None = None
    sweep: settings.SearchSettings | None = None
    search_space: list[settings.TextParameters] | None = None
    training_parameters: settings.FixedTextParameters | None = None


class TextClassification(TextTask):
    """Which class a text belongs to."""

    task: Annotated[Literal["text_classification"], AnyCase]
    target_column_name: str
    primary_metric: ClassificationMetric | None = None


class TextClassificationMultilabel(TextTask):
    """Which classes a text belongs to."""

    task: Annotated[Literal["text_classification_multilabel"], AnyCase]
    target_column_name: str
    primary_metric: AccuracyMetric | None = None


class TextNer(TextTask):
    """Which words are names."""

    task: Annotated[Literal["text_ner"], AnyCase]
    target_column_name: str | None = None
    primary_metric: AccuracyMetric | None = None


class ImageTask(AutoMLFields):
    """What tasks on images share."""

    target_column_name: str
    test_data: TableData | None = None
    test_data_size: Real | None = None
    validation_data_size: Real | None = None
    limits: settings.ImageLimits | None = None
    sweep: settings.SearchSettings | None = None


class ImageClassification(ImageTask):
    """Which class an image belongs to."""

    task: Annotated[Literal["image_classification"], AnyCase]
    primary_metric: ClassificationMetric | None = None
    search_space: list[settings.ImageClassificationParameters] | None = None
    training_parameters: settings.FixedClassificationParameters | None = None


class ImageClassificationMultilabel(ImageTask):
    """Which classes an image belongs to."""

    task: Annotated[Literal["image_classification_multilabel"], AnyCase]
    primary_metric: MultilabelMetric | None = None
    search_space: list[settings.ImageClassificationParameters] | None = None
    training_parameters: settings.FixedClassificationParameters | None = None


class ImageObjectDetection(ImageTask):
    """Where things are in an image."""

    task: Annotated[Literal["image_object_detection"], AnyCase]
    primary_metric: DetectionMetric | None = None
    search_space: list[settings.ImageDetectionParameters] | None = None
    training_parameters: settings.FixedDetectionParameters | None = None


class ImageInstanceSegmentation(ImageTask):
    """Which pixels of an image belong to which thing."""

    task: Annotated[Literal["image_instance_segmentation"], AnyCase]
    primary_metric: DetectionMetric | None = None
    search_space: list[settings.ImageDetectionParameters] | None = None
    training_parameters: settings.FixedDetectionParameters | None = None


AutoMLJob = Annotated[
    Annotated[Classification, Tag("#classification")]
    | Annotated[Regression, Tag("#regression")]
    | Annotated[ForecastingTask, Tag("#forecasting")]
    | Annotated[TextClassification, Tag("#text_classification")]
    | Annotated[TextClassificationMultilabel, Tag("#text_classification_multilabel")]
    | Annotated[TextNer, Tag("#text_ner")]
    | Annotated[ImageClassification, Tag("#image_classification")]
    | Annotated[ImageClassificationMultilabel, Tag("#image_classification_multilabel")]
    | Annotated[ImageObjectDetection, Tag("#image_object_detection")]
    | Annotated[ImageInstanceSegmentation, Tag("#image_instance_segmentation")],
    Discriminator(settings.by_task),
]
"""Any AutoML job, chosen by `task`."""

_TOLERANT = ConfigDict(extra="allow")


class _ClassificationStep(Classification):
    model_config = _TOLERANT


class _RegressionStep(Regression):
    model_config = _TOLERANT


class _ForecastingStep(ForecastingTask):
    model_config = _TOLERANT


class _TextClassificationStep(TextClassification):
    model_config = _TOLERANT


class _TextClassificationMultilabelStep(TextClassificationMultilabel):
    model_config = _TOLERANT


class _TextNerStep(TextNer):
    model_config = _TOLERANT


class _ImageClassificationStep(ImageClassification):
    model_config = _TOLERANT


class _ImageClassificationMultilabelStep(ImageClassificationMultilabel):
    model_config = _TOLERANT


class _ImageObjectDetectionStep(ImageObjectDetection):
    model_config = _TOLERANT


class _ImageInstanceSegmentationStep(ImageInstanceSegmentation):
    model_config = _TOLERANT


AutoMLStep = Annotated[
    Annotated[_ClassificationStep, Tag("#classification")]
    | Annotated[_RegressionStep, Tag("#regression")]
    | Annotated[_ForecastingStep, Tag("#forecasting")]
    | Annotated[_TextClassificationStep, Tag("#text_classification")]
    | Annotated[_TextClassificationMultilabelStep, Tag("#text_classification_multilabel")]
    | Annotated[_TextNerStep, Tag("#text_ner")]
    | Annotated[_ImageClassificationStep, Tag("#image_classification")]
    | Annotated[_ImageClassificationMultilabelStep, Tag("#image_classification_multilabel")]
    | Annotated[_ImageObjectDetectionStep, Tag("#image_object_detection")]
    | Annotated[_ImageInstanceSegmentationStep, Tag("#image_instance_segmentation")],
    Discriminator(settings.by_task),
]
"""Any AutoML step."""
