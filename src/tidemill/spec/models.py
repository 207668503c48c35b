"""Which model reads which kind of document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.spec.command import CommandComponent, CommandJob
from tidemill.spec.data_transfer import DataTransferComponent
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import Kind
from tidemill.spec.lazy import named
from tidemill.spec.parallel import ParallelComponent, ParallelJob
from tidemill.spec.pipeline import PipelineComponent, PipelineJob
from tidemill.spec.spark import SparkComponent, SparkJob
from tidemill.spec.sweep import SweepComponent, SweepJob

# A new kind is one file and one line in one of these. What a pipeline's steps can be comes with the pipeline; the rest
# is imported when it is asked for.
_PARTS: Mapping[Kind, Any] = {
    Kind.PIPELINE_JOB: PipelineJob,
    Kind.COMMAND_JOB: CommandJob,
    Kind.COMMAND_COMPONENT: CommandComponent,
    Kind.PIPELINE_COMPONENT: PipelineComponent,
    Kind.ENVIRONMENT: Environment,
    Kind.SWEEP_JOB: SweepJob,
    Kind.SWEEP_COMPONENT: SweepComponent,
    Kind.PARALLEL_JOB: ParallelJob,
    Kind.PARALLEL_COMPONENT: ParallelComponent,
    Kind.DATA_TRANSFER_COMPONENT: DataTransferComponent,
    Kind.SPARK_JOB: SparkJob,
    Kind.SPARK_COMPONENT: SparkComponent,
}
_APART: Mapping[Kind, str] = {
    Kind.DATA: "data:Data",
    Kind.DATA_IMPORT: "data:DataImport",
    Kind.MODEL: "model:Model",
    Kind.ONLINE_ENDPOINT: "endpoint:OnlineEndpoint",
    Kind.ONLINE_DEPLOYMENT: "deployment:OnlineDeployment",
    Kind.BATCH_ENDPOINT: "endpoint:BatchEndpoint",
    Kind.BATCH_DEPLOYMENT: "deployment:BatchDeployment",
    Kind.PROJECT: "project:Project",
    Kind.AUTOML_JOB: "automl:AutoMLJob",
    Kind.FINETUNING_JOB: "finetuning:FinetuningJob",
    Kind.DISTILLATION_JOB: "finetuning:DistillationJob",
    Kind.COMPUTE: "compute:Compute",
    Kind.SCHEDULE: "schedule:Schedule",
    Kind.DATASTORE: "datastore:Datastore",
    Kind.WORKSPACE: "workspace:Workspace",
    Kind.REGISTRY: "workspace:Registry",
    Kind.CONNECTION: "connection:Connection",
    Kind.MODEL_PACKAGE: "model_package:ModelPackage",
    Kind.FEATURE_SET: "features:FeatureSet",
    Kind.FEATURE_SET_SPEC: "features:FeatureSetSpec",
    Kind.FEATURE_STORE_ENTITY: "features:FeatureStoreEntity",
    Kind.FLOW: "flow:Flow",
}


class Models(Mapping[Kind, Any]):
    """Kind → model, or union of models; one that stands apart is imported when it is asked for."""

    def __getitem__(self, kind: Kind) -> Any:  # noqa: ANN401 - a model, or a union of models
        return named(_APART[kind]) if kind in _APART else _PARTS[kind]

    def __iter__(self) -> Iterator[Kind]:
        yield from _PARTS
        yield from _APART

    def __len__(self) -> int:
        return len(_PARTS) + len(_APART)

    def __contains__(self, kind: object) -> bool:
        return kind in _PARTS or kind in _APART


MODELS = Models()
