"""Which rules judge which kind of document."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.spec.kinds import Kind
from tidemill.spec.rules import documents as d
from tidemill.spec.rules.batches import check_batch_steps, check_parallel, check_spark
from tidemill.spec.rules.commands import check_command
from tidemill.spec.rules.context import Rule
from tidemill.spec.rules.graph import check_pipeline
from tidemill.spec.rules.near_names import check_near_names
from tidemill.spec.rules.projects import (
    check_agreement,
    check_codes,
    check_environments,
    check_files,
    check_gates,
    check_mappings,
)
from tidemill.spec.rules.registration import check_models
from tidemill.spec.rules.schedules import check_compute_name, check_schedule, check_store_name
from tidemill.spec.rules.trials import check_automl, check_sweep_component, check_sweep_job, check_sweep_steps

RULES: Mapping[Kind, tuple[Rule, ...]] = {
    Kind.COMMAND_JOB: (
        d.check_asset_name,
        d.check_code,
        d.check_literals,
        check_command,
        check_models,
        check_near_names,
    ),
    Kind.COMMAND_COMPONENT: (d.check_asset_name, d.check_ports, d.check_code, check_command, check_near_names),
    Kind.PIPELINE_JOB: (
        d.check_asset_name,
        d.check_tolerated,
        d.check_pipeline_paths,
        check_pipeline,
        check_sweep_steps,
        check_batch_steps,
        check_models,
        check_near_names,
    ),
    Kind.PIPELINE_COMPONENT: (
        d.check_asset_name,
        d.check_ports,
        d.check_tolerated,
        d.check_pipeline_paths,
        check_pipeline,
        check_sweep_steps,
        check_batch_steps,
    ),
    Kind.ENVIRONMENT: (d.check_asset_name, d.check_environment),
    Kind.DATA: (d.check_asset_name, d.check_data_path),
    Kind.MODEL: (d.check_asset_name, d.check_data_path),
    Kind.ONLINE_ENDPOINT: (d.check_endpoint_name, d.check_traffic),
    Kind.ONLINE_DEPLOYMENT: (d.check_endpoint_name, d.check_online_deployment, check_near_names),
    Kind.BATCH_ENDPOINT: (d.check_endpoint_name,),
    Kind.BATCH_DEPLOYMENT: (d.check_endpoint_name, d.check_batch_deployment),
    Kind.SWEEP_JOB: (d.check_asset_name, d.check_code, d.check_literals, check_sweep_job, check_near_names),
    Kind.SWEEP_COMPONENT: (d.check_asset_name, d.check_ports, check_sweep_component),
    Kind.PARALLEL_JOB: (d.check_asset_name, d.check_code, d.check_literals, check_parallel, check_near_names),
    Kind.PARALLEL_COMPONENT: (d.check_asset_name, d.check_ports, d.check_code, check_parallel),
    Kind.SPARK_JOB: (d.check_asset_name, d.check_code, d.check_literals, check_spark, check_near_names),
    Kind.SPARK_COMPONENT: (d.check_asset_name, d.check_ports, d.check_code, check_spark),
    Kind.DATA_TRANSFER_COMPONENT: (d.check_asset_name, d.check_ports),
    Kind.AUTOML_JOB: (d.check_asset_name, check_automl),
    Kind.DATA_IMPORT: (d.check_asset_name,),
    Kind.FEATURE_SET: (d.check_asset_name, d.check_feature_set),
    Kind.FEATURE_STORE_ENTITY: (d.check_asset_name,),
    Kind.SCHEDULE: (d.check_asset_name, check_schedule),
    Kind.COMPUTE: (check_compute_name,),
    Kind.DATASTORE: (check_store_name,),
    Kind.PROJECT: (check_codes, check_gates, check_environments, check_files, check_agreement, check_mappings),
}
