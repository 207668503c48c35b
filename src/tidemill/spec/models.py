"""Which model reads which kind of document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.spec.kinds import Kind
from tidemill.spec.lazy import named

# A new kind is one file and one line here. A model is imported when the first document of its kind comes.
_PLACES: Mapping[Kind, str] = {
    Kind.PIPELINE_JOB: "pipeline:PipelineJob",
    Kind.COMMAND_JOB: "command:CommandJob",
    Kind.COMMAND_COMPONENT: "command:CommandComponent",
    Kind.PIPELINE_COMPONENT: "pipeline:PipelineComponent",
    Kind.ENVIRONMENT: "environment:Environment",
    Kind.SWEEP_JOB: "sweep:SweepJob",
    Kind.SWEEP_COMPONENT: "sweep:SweepComponent",
    Kind.PARALLEL_JOB: "parallel:ParallelJob",
    Kind.PARALLEL_COMPONENT: "parallel:ParallelComponent",
    Kind.DATA_TRANSFER_COMPONENT: "data_transfer:DataTransferComponent",
    Kind.SPARK_JOB: "spark:SparkJob",
    Kind.SPARK_COMPONENT: "spark:SparkComponent",
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
    """Kind → model, or union of models, imported when it is asked for."""

    def __getitem__(self, kind: Kind) -> Any:  # noqa: ANN401 - a model, or a union of models
        return named(_PLACES[kind])

    def __iter__(self) -> Iterator[Kind]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)

    def __contains__(self, kind: object) -> bool:
        return kind in _PLACES


MODELS = Models()
