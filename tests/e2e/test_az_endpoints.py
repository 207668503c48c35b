"""The script that puts a model behind an endpoint, as the examples of Azure ML have it, with the shim first on PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.test_az_shim import bash

SCORE = """\
import json, os
def init():
    global word
    word = open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "word.txt")).read()
def run(raw):
    return {"said": word, "by": os.environ.get("COLOUR"), "of": json.loads(raw)["data"]}
"""
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: {name}
endpoint_name: {endpoint}
model: {{path: ./model}}
code_configuration: {{code: ./code, scoring_script: score.py}}
environment: {{image: "mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference:latest"}}
environment_variables: {{COLOUR: {name}}}
instance_type: Standard_DS3_v2
instance_count: 1
"""
SCRIPT = """\
set -e
export ENDPOINT_NAME=endpt-7
az configure --defaults workspace=lab group=mlops location=westeurope
az ml online-endpoint create --name $ENDPOINT_NAME -f endpoint.yml -o none
az ml online-deployment create --name blue --endpoint $ENDPOINT_NAME -f blue.yml --all-traffic -o none
az ml online-endpoint show -n $ENDPOINT_NAME --query "provisioning_state" -o tsv
az ml online-endpoint invoke --name $ENDPOINT_NAME --request-file request.json
az ml online-deployment create -n green --endpoint-name $ENDPOINT_NAME -f green.yml -o none
az ml online-endpoint invoke --name $ENDPOINT_NAME --deployment-name green --request-file request.json
az ml online-endpoint update --name $ENDPOINT_NAME --traffic "blue=90 green=10" --query traffic.green -o tsv
az ml online-endpoint update --name $ENDPOINT_NAME --set traffic.blue=0 traffic.green=100 --query traffic.green -o tsv
az ml online-deployment update -n green -e $ENDPOINT_NAME --set environment_variables.COLOUR=lime instance_count=2 -o none
az ml online-endpoint invoke --name $ENDPOINT_NAME --request-file request.json
az ml online-deployment show -n green -e $ENDPOINT_NAME --query instance_count -o tsv
az ml online-deployment get-logs --name green --endpoint-name $ENDPOINT_NAME --lines 5 > /dev/null
az ml online-endpoint get-credentials -n $ENDPOINT_NAME --query primaryKey -o tsv | wc -w
az ml online-deployment delete --name blue --endpoint $ENDPOINT_NAME --yes --no-wait
az ml online-deployment list --endpoint-name $ENDPOINT_NAME --query "[].name" -o tsv
az ml online-endpoint delete --name $ENDPOINT_NAME --yes --no-wait
az ml online-endpoint list --query "[].name" -o tsv
"""


@pytest.mark.slow
def test_the_blue_green_script_of_the_examples_runs_word_for_word(tidemill: Run, tmp_path: Path) -> None:
    for name, text in {
        "endpoint.yml": "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json\nname: any\nauth_mode: key\n",
        "blue.yml": DEPLOYMENT.format(name="blue", endpoint="any"),
        "green.yml": DEPLOYMENT.format(name="green", endpoint="any"),
        "request.json": '{"data": [1, 2]}',
        "code/score.py": SCORE,
        "model/word.txt": "hello",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    tidemill("az-shim", "bin")
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    said = bash(SCRIPT, tmp_path, env).stdout.splitlines()
    assert said == [
        "Succeeded",
        '{"said": "hello", "by": "blue", "of": [1, 2]}',
        '{"said": "hello", "by": "green", "of": [1, 2]}',
        "10",
        "100",
        '{"said": "hello", "by": "lime", "of": [1, 2]}',
        "2",
        "1",
        "green",
    ]
