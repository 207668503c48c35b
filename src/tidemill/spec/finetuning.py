"""Finetuning and distillation jobs: hosted training of language models, described but not run locally."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tidemill.spec.command import JobFields
from tidemill.spec.connection import Connection
from tidemill.spec.fields import Identity, InputValue, Outputs, Part, QueueSettings, Service, Tags, Text
from tidemill.spec.scalars import AnyCase, by_key

FinetuningTask = Annotated[
    Literal[
        "chat_completion", "text_completion", "text_classification", "question_answering", "text_summarization",
        "token_classification", "text_translation", "image_classification", "image_instance_segmentation",
        "image_object_detection", "video_multi_object_tracking",
    ],
    AnyCase,
]  # fmt: skip


def _shape(value: Any) -> str:  # noqa: ANN401 - before validation
    return "#reference" if isinstance(value, str) else "#mapping"


DataField = Annotated[Annotated[InputValue, Tag("#mapping")] | Annotated[str, Tag("#reference")], Discriminator(_shape)]
"""Data as a mapping with a path, or the path or asset alone."""


class HostedJob(JobFields):
    """What both kinds of job share."""

    compute: str | None = None
    identity: Identity | None = None
    outputs: Outputs = Field(default_factory=dict)
    services: dict[str, Service] | None = None
    training_data: DataField | None = None
    validation_data: DataField | None = None


class FinetuningResources(Part):
    """Machines finetuning may choose among."""

    instance_types: list[str]


class OpenAiHyperparameters(Part):
    """What Azure OpenAI lets one choose."""

    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    n_epochs: int | None = None


class _Finetuning(HostedJob):
    type: Annotated[Literal["finetuning"], AnyCase] = "finetuning"
    task: FinetuningTask
    model: DataField
    training_data: DataField
    queue_settings: QueueSettings | None = None
    resources: FinetuningResources | None = None


class OpenAiFinetuning(_Finetuning):
    """Finetuning of a model hosted by Azure OpenAI."""

    model_provider: Annotated[Literal["azure_open_ai"], AnyCase]
    hyperparameters: OpenAiHyperparameters | None = None


class CustomFinetuning(_Finetuning):
    """Finetuning of a model of the registry."""

    model_provider: Annotated[Literal["custom"], AnyCase]
    hyperparameters: Tags | None = None


FinetuningJob = Annotated[
    Annotated[OpenAiFinetuning, Tag("#azure_open_ai")] | Annotated[CustomFinetuning, Tag("#custom")],
    Discriminator(by_key("model_provider")),
]
"""Any finetuning job, chosen by `model_provider`."""


class PromptSettings(Part):
    """How the teacher is asked."""

    enable_chain_of_thought: bool | None = None
    enable_chain_of_density: bool | None = None
    max_len_summary: int | None = None


class RequestSettings(Part):
    """How many questions at once, and how many may fail."""

    request_batch_size: int | None = None
    min_endpoint_success_ratio: float | None = Field(default=None, ge=0, le=1)


class TeacherSettings(Part):
    """How the teacher's endpoint is used."""

    inference_parameters: dict[str, Any] | None = None
    endpoint_request_settings: RequestSettings | None = None


class DistillationResources(Part):
    """Machines the student is trained on."""

    instance_type: str | None = None
    instance_count: int | None = None
    properties: dict[str, Any] | None = None


class DistillationJob(HostedJob):
    """A small model learns from a large one's answers."""

    type: Annotated[Literal["distillation"], AnyCase] = "distillation"
    data_generation_type: Annotated[Literal["label_generation", "data_generation"], AnyCase]
    data_generation_task_type: Annotated[
        Literal["nli", "nlu_qa", "conversation", "math", "summarization"],
        AnyCase,
    ]
    student_model: DataField
    teacher_model_endpoint_connection: Connection
    teacher_model_settings: TeacherSettings | None = None
    prompt_settings: PromptSettings | None = None
    hyperparameters: dict[str, Text] | None = None
    resources: DistillationResources | None = None
