"""Which model reads which kind of document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.spec.command import CommandComponent, CommandJob
from tidemill.spec.data import Data, DataImport
from tidemill.spec.data_transfer import DataTransferComponent
from tidemill.spec.deployment import BatchDeployment, OnlineDeployment
from tidemill.spec.endpoint import BatchEndpoint, OnlineEndpoint
from tidemill.spec.environment import Environment
from tidemill.spec.kinds import Kind
from tidemill.spec.lazy import named
from tidemill.spec.model import Model
from tidemill.spec.parallel import ParallelComponent, ParallelJob
from tidemill.spec.pipeline import PipelineComponent, PipelineJob
from tidemill.spec.project import Project
from tidemill.spec.spark import SparkComponent, SparkJob
from tidemill.spec.sweep import SweepComponent, SweepJob

# A new kind is one file and one line in one of these.
_USUAL: Mapping[Kind, Any] = {
    Kind.PIPELINE_JOB: PipelineJob,
    Kind.COMMAND_JOB: CommandJob,
    Kind.COMMAND_COMPONENT: CommandComponent,
    Kind.PIPELINE_COMPONENT: PipelineComponent,
    Kind.ENVIRONMENT: Environment,
    Kind.DATA: Data,
    Kind.DATA_IMPORT: DataImport,
    Kind.MODEL: Model,
    Kind.ONLINE_ENDPOINT: OnlineEndpoint,
    Kind.ONLINE_DEPLOYMENT: OnlineDeployment,
    Kind.BATCH_ENDPOINT: BatchEndpoint,
    Kind.BATCH_DEPLOYMENT: BatchDeployment,
    Kind.PROJECT: Project,
    Kind.SWEEP_JOB: SweepJob,
    Kind.SWEEP_COMPONENT: SweepComponent,
    Kind.PARALLEL_JOB: ParallelJob,
    Kind.PARALLEL_COMPONENT: ParallelComponent,
    Kind.DATA_TRANSFER_COMPONENT: DataTransferComponent,
    Kind.SPARK_JOB: SparkJob,
    Kind.SPARK_COMPONENT: SparkComponent,
}
_RARE: Mapping[Kind, str] = {
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
    """Kind → model, or union of models; a rare one is imported when it is asked for."""

    def __getitem__(self, kind: Kind) -> Any:  # noqa: ANN401 - a model, or a union of models
        return named(_RARE[kind]) if kind in _RARE else _USUAL[kind]

    def __iter__(self) -> Iterator[Kind]:
        yield from _USUAL
        yield from _RARE

    def __len__(self) -> int:
        return len(_USUAL) + len(_RARE)

    def __contains__(self, kind: object) -> bool:
        return kind in _USUAL or kind in _RARE


MODELS = Models()
