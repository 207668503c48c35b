"""Which rules judge which kind of document."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.spec.kinds import Kind
from tidemill.spec.rules import documents as d
from tidemill.spec.rules.commands import check_command
from tidemill.spec.rules.context import Rule
from tidemill.spec.rules.graph import check_pipeline

RULES: Mapping[Kind, tuple[Rule, ...]] = {
    Kind.COMMAND_JOB: (d.check_asset_name, d.check_code, d.check_literals, check_command),
    Kind.COMMAND_COMPONENT: (d.check_asset_name, d.check_ports, d.check_code, check_command),
    Kind.PIPELINE_JOB: (d.check_asset_name, d.check_tolerated, d.check_pipeline_paths, check_pipeline),
    Kind.PIPELINE_COMPONENT: (
        d.check_asset_name,
        d.check_ports,
        d.check_tolerated,
        d.check_pipeline_paths,
        check_pipeline,
    ),
    Kind.ENVIRONMENT: (d.check_asset_name, d.check_environment),
    Kind.DATA: (d.check_asset_name, d.check_data_path),
    Kind.MODEL: (d.check_asset_name, d.check_data_path),
    Kind.ONLINE_ENDPOINT: (d.check_endpoint_name, d.check_traffic),
    Kind.ONLINE_DEPLOYMENT: (d.check_endpoint_name, d.check_online_deployment),
    Kind.BATCH_ENDPOINT: (d.check_endpoint_name,),
    Kind.BATCH_DEPLOYMENT: (d.check_endpoint_name, d.check_batch_deployment),
}
