"""Which kind of document a mapping is: by `$schema` first, then by what it holds, since many real files name no schema."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of document of the CLI v2, and Tidemill's own."""

    PIPELINE_JOB = "pipeline_job"
    COMMAND_JOB = "command_job"
    SWEEP_JOB = "sweep_job"
    PARALLEL_JOB = "parallel_job"
    SPARK_JOB = "spark_job"
    AUTOML_JOB = "automl_job"
    FINETUNING_JOB = "finetuning_job"
    DISTILLATION_JOB = "distillation_job"
    COMMAND_COMPONENT = "command_component"
    PIPELINE_COMPONENT = "pipeline_component"
    PARALLEL_COMPONENT = "parallel_component"
    SPARK_COMPONENT = "spark_component"
    SWEEP_COMPONENT = "sweep_component"
    DATA_TRANSFER_COMPONENT = "data_transfer_component"
    ENVIRONMENT = "environment"
    DATA = "data"
    DATA_IMPORT = "data_import"
    MODEL = "model"
    MODEL_PACKAGE = "model_package"
    COMPUTE = "compute"
    ONLINE_ENDPOINT = "online_endpoint"
    ONLINE_DEPLOYMENT = "online_deployment"
    BATCH_ENDPOINT = "batch_endpoint"
    BATCH_DEPLOYMENT = "batch_deployment"
    SCHEDULE = "schedule"
    DATASTORE = "datastore"
    WORKSPACE = "workspace"
    REGISTRY = "registry"
    CONNECTION = "connection"
    FEATURE_SET = "feature_set"
    FEATURE_SET_SPEC = "feature_set_spec"
    FEATURE_STORE_ENTITY = "feature_store_entity"
    FLOW = "flow"
    PROJECT = "project"
    UNKNOWN = "unknown"


COMPONENTS = (
    Kind.COMMAND_COMPONENT,
    Kind.PIPELINE_COMPONENT,
    Kind.PARALLEL_COMPONENT,
    Kind.SPARK_COMPONENT,
    Kind.SWEEP_COMPONENT,
    Kind.DATA_TRANSFER_COMPONENT,
)
JOBS = (
    Kind.PIPELINE_JOB, Kind.COMMAND_JOB, Kind.SWEEP_JOB, Kind.PARALLEL_JOB, Kind.SPARK_JOB, Kind.AUTOML_JOB,
    Kind.FINETUNING_JOB, Kind.DISTILLATION_JOB,
)  # fmt: skip

# `https://azuremlschemas.azureedge.net/latest/<name>.schema.json`, by the start of <name> in lower case; longest first.
_SCHEMAS = {
    "pipelinejob": Kind.PIPELINE_JOB,
    "commandjob": Kind.COMMAND_JOB,
    "sweepjob": Kind.SWEEP_JOB,
    "paralleljob": Kind.PARALLEL_JOB,
    "sparkjob": Kind.SPARK_JOB,
    "automljob": Kind.AUTOML_JOB,
    "automl": Kind.AUTOML_JOB,
    "finetuning": Kind.FINETUNING_JOB,
    "distillation": Kind.DISTILLATION_JOB,
    "commandcomponent": Kind.COMMAND_COMPONENT,
    "pipelinecomponent": Kind.PIPELINE_COMPONENT,
    "parallelcomponent": Kind.PARALLEL_COMPONENT,
    "sparkcomponent": Kind.SPARK_COMPONENT,
    "sweepcomponent": Kind.SWEEP_COMPONENT,
    "datatransfercomponent": Kind.DATA_TRANSFER_COMPONENT,
    "datatransfer": Kind.DATA_TRANSFER_COMPONENT,
    "environment": Kind.ENVIRONMENT,
    "dataimport": Kind.DATA_IMPORT,
    "data": Kind.DATA,
    "asset": Kind.DATA,
    "modelpackage": Kind.MODEL_PACKAGE,
    "model": Kind.MODEL,
    "amlcompute": Kind.COMPUTE,
    "computeinstance": Kind.COMPUTE,
    "kubernetescompute": Kind.COMPUTE,
    "virtualmachine": Kind.COMPUTE,
    "synapsespark": Kind.COMPUTE,
    "vmcompute": Kind.COMPUTE,
    "compute": Kind.COMPUTE,
    "managedonlineendpoint": Kind.ONLINE_ENDPOINT,
    "kubernetesonlineendpoint": Kind.ONLINE_ENDPOINT,
    "onlineendpoint": Kind.ONLINE_ENDPOINT,
    "managedonlinedeployment": Kind.ONLINE_DEPLOYMENT,
    "kubernetesonlinedeployment": Kind.ONLINE_DEPLOYMENT,
    "onlinedeployment": Kind.ONLINE_DEPLOYMENT,
    "batchendpoint": Kind.BATCH_ENDPOINT,
    "batchdeployment": Kind.BATCH_DEPLOYMENT,
    "modelbatchdeployment": Kind.BATCH_DEPLOYMENT,
    "pipelinecomponentbatchdeployment": Kind.BATCH_DEPLOYMENT,
    "schedule": Kind.SCHEDULE,
    "monitorschedule": Kind.SCHEDULE,
    "importschedule": Kind.SCHEDULE,
    "azureblob": Kind.DATASTORE,
    "azurefile": Kind.DATASTORE,
    "azuredatalakegen1": Kind.DATASTORE,
    "azuredatalakegen2": Kind.DATASTORE,
    "adlsgen1": Kind.DATASTORE,
    "adlsgen2": Kind.DATASTORE,
    "onelake": Kind.DATASTORE,
    "hdfs": Kind.DATASTORE,
    "workspaceconnection": Kind.CONNECTION,
    "connection": Kind.CONNECTION,
    "workspace": Kind.WORKSPACE,
    "hub": Kind.WORKSPACE,
    "project": Kind.WORKSPACE,
    "featurestoreentity": Kind.FEATURE_STORE_ENTITY,
    "featurestore": Kind.WORKSPACE,
    "featuresetspec": Kind.FEATURE_SET_SPEC,
    "featureset": Kind.FEATURE_SET,
    "flow": Kind.FLOW,
    "k8sonlineendpoint": Kind.ONLINE_ENDPOINT,
    "k8sonlinedeployment": Kind.ONLINE_DEPLOYMENT,
    "k8soneline": Kind.ONLINE_DEPLOYMENT,
    "registry": Kind.REGISTRY,
}
_JOB_TYPES = {
    "command": Kind.COMMAND_JOB, "pipeline": Kind.PIPELINE_JOB, "sweep": Kind.SWEEP_JOB, "parallel": Kind.PARALLEL_JOB,
    "spark": Kind.SPARK_JOB, "automl": Kind.AUTOML_JOB, "finetuning": Kind.FINETUNING_JOB, "distillation": Kind.DISTILLATION_JOB,
}  # fmt: skip
_COMPONENT_TYPES = {
    "command": Kind.COMMAND_COMPONENT, "pipeline": Kind.PIPELINE_COMPONENT, "parallel": Kind.PARALLEL_COMPONENT,
    "spark": Kind.SPARK_COMPONENT, "sweep": Kind.SWEEP_COMPONENT, "data_transfer": Kind.DATA_TRANSFER_COMPONENT,
}  # fmt: skip
_OTHER_TYPES = {
    **dict.fromkeys(("amlcompute", "computeinstance", "virtualmachine", "synapsespark"), Kind.COMPUTE),
    **dict.fromkeys(("azure_blob", "azure_file", "azure_data_lake_gen1", "azure_data_lake_gen2", "one_lake", "hdfs"), Kind.DATASTORE),
    **dict.fromkeys(("uri_file", "uri_folder", "mltable"), Kind.DATA),
    **dict.fromkeys(("custom_model", "mlflow_model", "triton_model"), Kind.MODEL),
    **dict.fromkeys(
        ("git", "python_feed", "container_registry", "feature_store", "snowflake", "s3", "azure_sql_db", "azure_synapse_analytics",
         "azure_my_sql_db", "azure_postgres_db", "azure_ai_search", "azure_speech_services", "azure_one_lake", "azure_open_ai", "azure_content_safety", "azure_ai_services", "cognitive_search", "serverless", "open_ai", "serp", "custom", "api_key"),
        Kind.CONNECTION,
    ),
}  # fmt: skip
# Other tools' schemas are called so, and their files say these types, too.
_ANYBODYS = {
    "asset", "connection", "data", "environment", "flow", "hub", "model", "project", "registry", "schedule", "workspace",
}  # fmt: skip
_COMMON_WORDS = {"git", "s3", "snowflake", "custom", "serverless"}
_CONNECTION_KEYS = {
    "$schema",
    "name",
    "type",
    "target",
    "endpoint",
    "api_key",
    "api_version",
    "is_shared",
    "metadata",
    "tags",
    "description",
}


def detect_kind(data: Any, file_name: str = "") -> Kind:  # noqa: ANN401 - any YAML value
    """The kind of a document; UNKNOWN when nothing says that it is one of Azure ML's."""
    if file_name in {"tidemill.yaml", "tidemill.yml"}:
        return Kind.PROJECT
    if not isinstance(data, Mapping):
        return Kind.UNKNOWN
    schema = data.get("$schema")
    if isinstance(schema, str):
        return _by_schema(schema, data)
    return _by_content(data)


def _by_schema(schema: str, data: Mapping[Any, Any]) -> Kind:
    if "azureml" not in schema.casefold() and "schema.json" not in schema.casefold():
        return _by_content(data)
    if "/promptflow/" in schema.casefold():
        return Kind.FLOW
    name = (
        schema.rsplit("/", 1)[-1]
        .removesuffix(".json")
        .removesuffix(".schema")
        .casefold()
        .replace("-", "")
        .replace("_", "")
    )
    if name in _ANYBODYS and "azureml" not in schema.casefold():
        return Kind.UNKNOWN
    if name.endswith("connection"):
        return Kind.CONNECTION
    for start in sorted(_SCHEMAS, key=len, reverse=True):
        if name.startswith(start):
            kind = _SCHEMAS[start]
            return Kind.DATA_IMPORT if kind is Kind.DATA and "source" in data else kind
    return _by_content(data) if "azureml" in schema.casefold() else Kind.UNKNOWN


def _by_content(data: Mapping[Any, Any]) -> Kind:
    keys = set(data)
    kind = _word(data["type"]) if isinstance(data.get("type"), str) else None
    if keys & {"create_job", "create_monitor", "import_data"} and keys & {"trigger", "create_monitor", "create_job"}:
        return Kind.SCHEDULE
    if "endpoint_name" in keys:
        batch = keys & {
            "mini_batch_size",
            "compute",
            "component",
            "max_concurrency_per_instance",
            "output_action",
            "job_definition",
        } or kind in {"model", "pipeline"}
        return Kind.BATCH_DEPLOYMENT if batch else Kind.ONLINE_DEPLOYMENT
    if "auth_mode" in keys:
        return Kind.BATCH_ENDPOINT if "defaults" in keys else Kind.ONLINE_ENDPOINT
    if keys >= {"target_environment", "inferencing_server"} or keys >= {
        "target_environment",
        "base_environment_source",
    }:
        return Kind.MODEL_PACKAGE
    if isinstance(data.get("nodes"), list) and keys & {"inputs", "outputs", "node_variants"}:
        return Kind.FLOW
    if kind == "data_transfer" and "task" in keys:
        return Kind.DATA_TRANSFER_COMPONENT
    if "name" in keys and keys & {"managed_network", "hbi_workspace", "system_datastores_auth_mode"}:
        return Kind.WORKSPACE
    if keys >= {"name", "location", "replication_locations"}:
        return Kind.REGISTRY
    if "jobs" in keys and isinstance(data["jobs"], Mapping):
        return _pipeline(data)
    return _typed(data, keys, kind)


def _word(text: str) -> str:
    """`AmlCompute`, `UriFolder`, `COMMAND`: Azure's words in Azure's casing."""
    known = {k.replace("_", ""): k for k in (*_JOB_TYPES, *_COMPONENT_TYPES, *_OTHER_TYPES)}
    return known.get(text.replace("_", "").casefold(), text)


def _pipeline(data: Mapping[Any, Any]) -> Kind:
    """A GitHub workflow has `jobs` too, but also `on` (read as True) or steps inside."""
    if True in data or "on" in data or "stages" in data:
        return Kind.UNKNOWN
    jobs = [j for j in data["jobs"].values() if isinstance(j, Mapping)]
    if any("runs-on" in j or "steps" in j or "docker" in j or "uses" in j for j in jobs):
        return Kind.UNKNOWN
    if "type" not in data and not any(_is_step(j) for j in jobs):
        return Kind.UNKNOWN
    return Kind.PIPELINE_COMPONENT if _is_component(data) else Kind.PIPELINE_JOB


def _is_step(job: Mapping[Any, Any]) -> bool:
    """Other tools' jobs have a command or a script too; what else a step has, Azure's alone have."""
    return bool(set(job) & {"component", "trial", "task", "entry", "environment", "compute"})


def _is_component(data: Mapping[Any, Any]) -> bool:
    """A component has a version, or ports that say `optional`, `default` or only a type."""
    if "version" in data or "is_deterministic" in data:
        return True
    if set(data) & {"experiment_name", "compute", "settings", "services"}:
        return False
    inputs = data.get("inputs")
    ports = [v for v in inputs.values() if isinstance(v, Mapping)] if isinstance(inputs, Mapping) else []
    return (
        bool(ports)
        and all("path" not in p and "value" not in p for p in ports)
        and isinstance(inputs, Mapping)
        and len(ports) == len(inputs)
    )


def _typed(data: Mapping[Any, Any], keys: set[Any], kind: Any) -> Kind:  # noqa: ANN401
    if kind in _OTHER_TYPES and "jobs" not in keys and "command" not in keys:
        if kind in {"uri_file", "uri_folder", "mltable"} and "source" in keys:
            return Kind.DATA_IMPORT
        if kind in _COMMON_WORDS and "credentials" not in keys and not {"name", "type"} <= keys <= _CONNECTION_KEYS:
            return Kind.UNKNOWN
        return _OTHER_TYPES[kind]
    if kind == "kubernetes" and "resource_id" in keys:
        return Kind.COMPUTE
    if "name" in keys and ("index_columns" in keys or keys >= {"specification", "entities"}):
        return Kind.FEATURE_STORE_ENTITY if "index_columns" in keys else Kind.FEATURE_SET
    component = _is_component(data)
    if isinstance(kind, str) and kind in _JOB_TYPES and _says_job(keys, kind):
        return (
            _COMPONENT_TYPES.get(kind, _JOB_TYPES[kind]) if component and kind in _COMPONENT_TYPES else _JOB_TYPES[kind]
        )
    if "command" in keys and keys & {"environment", "code", "compute"}:
        return (
            Kind.COMMAND_COMPONENT
            if component and "environment" in keys and "compute" not in keys
            else Kind.COMMAND_JOB
        )
    if (
        "name" in keys
        and keys & {"image", "build", "conda_file"}
        and "services" not in keys
        and "dependencies" not in keys
        and "runs" not in keys
    ):
        return Kind.ENVIRONMENT
    return Kind.UNKNOWN


def _says_job(keys: set[Any], kind: str) -> bool:
    """Enough besides `type:` that other tools' files with the same word are left alone."""
    needs = {
        "command": {"command", "component"}, "pipeline": {"jobs", "component"}, "sweep": {"trial", "search_space"},
        "parallel": {"task", "component"}, "spark": {"entry", "component"}, "automl": {"task"},
        "finetuning": {"task", "model_provider"}, "distillation": {"teacher_model_endpoint_connection", "student_model"},
    }  # fmt: skip
    return bool(keys & needs[kind])
