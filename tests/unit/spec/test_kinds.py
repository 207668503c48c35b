from __future__ import annotations

from typing import Any

import pytest
import yaml

from tidemill.spec.kinds import Kind, detect_kind

BASE = "https://azuremlschemas.azureedge.net/"


def kind_of(text: str) -> Kind:
    return detect_kind(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("latest/commandJob.schema.json", Kind.COMMAND_JOB),
        ("development/pipelineJob.schema.json", Kind.PIPELINE_JOB),
        ("latest/commandComponent.schema.json", Kind.COMMAND_COMPONENT),
        ("latest/managedOnlineDeployment.schema.json", Kind.ONLINE_DEPLOYMENT),
        ("latest/kubernetesOnlineEndpoint.schema.json", Kind.ONLINE_ENDPOINT),
        ("latest/modelBatchDeployment.schema.json", Kind.BATCH_DEPLOYMENT),
        ("latest/data.schema.json", Kind.DATA),
        ("latest/amlCompute.schema.json", Kind.COMPUTE),
        ("latest/computeInstance.schema.json", Kind.COMPUTE),
        ("latest/azureBlob.schema.json", Kind.DATASTORE),
        ("latest/workspaceConnection.schema.json", Kind.CONNECTION),
        ("latest/workspace.schema.json", Kind.WORKSPACE),
        ("latest/autoMLJob.schema.json", Kind.AUTOML_JOB),
        ("latest/model.schema.json", Kind.MODEL),
        ("latest/environment.schema.json", Kind.ENVIRONMENT),
        ("latest/schedule.schema.json", Kind.SCHEDULE),
    ],
)
def test_the_schema_says_the_kind(schema: str, kind: Kind) -> None:
    assert detect_kind({"$schema": BASE + schema}) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("type: command\ncommand: ls\nenvironment: azureml:e:1\ncompute: azureml:c\ninputs: {a: 1}", Kind.COMMAND_JOB),
        ("command: ls\nenvironment: azureml:e:1", Kind.COMMAND_JOB),
        ("name: a\nversion: 1\ncommand: ls\nenvironment: azureml:e:1", Kind.COMMAND_COMPONENT),
        (
            "name: a\ntype: command\ncommand: ls\nenvironment: e\ninputs: {a: {type: uri_folder}}",
            Kind.COMMAND_COMPONENT,
        ),
        ("type: pipeline\njobs: {a: {component: ./x.yml}}", Kind.PIPELINE_JOB),
        ("jobs: {a: {command: ls, environment: azureml:e:1}}", Kind.PIPELINE_JOB),
        ("name: r\ntype: git\ntarget: https://example.org/x.git", Kind.CONNECTION),
        ("name: s\ntype: s3\nbucket: x\ncredentials: {type: access_key}", Kind.CONNECTION),
        ("type: pipeline\nversion: 1\njobs: {a: {component: ./x.yml}}", Kind.PIPELINE_COMPONENT),
        ("name: e\nimage: x\nconda_file: conda.yml", Kind.ENVIRONMENT),
        ("name: e\nbuild: {path: .}", Kind.ENVIRONMENT),
        ("name: d\ntype: uri_folder\npath: ./d", Kind.DATA),
        ("name: m\ntype: mlflow_model\npath: ./m", Kind.MODEL),
        ("name: e\nauth_mode: key", Kind.ONLINE_ENDPOINT),
        ("name: blue\nendpoint_name: e\nmodel: azureml:m@latest\ninstance_type: x", Kind.ONLINE_DEPLOYMENT),
        (
            "name: b\nendpoint_name: e\nmodel: azureml:m:1\ncompute: azureml:c\nmini_batch_size: 10",
            Kind.BATCH_DEPLOYMENT,
        ),
        ("name: c\ntype: amlcompute\nsize: x", Kind.COMPUTE),
        ("name: s\ntrigger: {type: cron, expression: '* * * * *'}\ncreate_job: ./p.yml", Kind.SCHEDULE),
    ],
)
def test_without_a_schema_the_content_says_it(text: str, kind: Kind) -> None:
    assert kind_of(text) is kind


@pytest.mark.parametrize(
    "text",
    [
        "name: ci\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: []}}",
        "jobs: {build: {docker: [], steps: []}}\nversion: 2.1",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: NodePort}",
        "services: {web: {image: x}}\nversion: '3'",
        "name: e\nchannels: [conda-forge]\ndependencies: [python]",
        "repos: [{repo: x, hooks: []}]",
        "type: object\nproperties: {}",
        "$schema: ../schemas/environment.schema.json\nname: production\nimage: x",
        "$schema: https://example.org/schedule.schema.json\nname: x\nversion: 1",
        "language: python\njobs: {fast_finish: true, include: [{stage: test}]}",
        "name: nightly\njobs: {train: {command: python train.py, schedule: daily}}",
        "name: api\nimage: {tag: x}\ntype: custom\ntarget: x\nservice: {type: ClusterIP}",
        "type: git\nurl: https://example.org/x.git",
        "type: [command]\nx: 1",
        "- a\n- b",
        "just text",
        "",
        "$schema: https://json.schemastore.org/github-workflow.json\non: push",
    ],
)
def test_files_of_other_tools_are_not_taken_for_azures(text: str) -> None:
    assert kind_of(text) is Kind.UNKNOWN


def test_the_project_file_is_known_by_its_name() -> None:
    assert detect_kind({}, "tidemill.yaml") is Kind.PROJECT


@pytest.mark.parametrize(
    "data", [None, 3, [], {1: 2}, {"type": 3}, {"$schema": 3}, {"jobs": 3}, {"inputs": 3, "type": "command"}]
)
def test_any_value_has_a_kind(data: Any) -> None:
    assert isinstance(detect_kind(data), Kind)
