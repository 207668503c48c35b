"""The script that promotes a model from a workspace to a registry, with the shim first on PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.test_az_shim import bash

FILES = {
    "job.yml": (
        "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\n"
        "type: command\ncode: ./src\ncommand: python train.py ${{inputs.words}}\nenvironment: azureml:tools@latest\n"
        "inputs:\n  words: {type: uri_file, path: azureml:words@latest}\ncompute: azureml:box\n"
    ),
    "src/train.py": (
        "import pathlib, sys\n"
        "text = pathlib.Path(sys.argv[1]).read_text()\n"
        "folder = pathlib.Path('outputs/model')\n"
        "folder.mkdir(parents=True)\n"
        "(folder / 'count').write_text(str(len(text.split())))\n"
    ),
    "words.txt": "one two three\n",
    "nightly.yml": (
        "name: nightly\ntrigger: {type: cron, expression: '0 3 * * *', time_zone: Romance Standard Time}\n"
        "create_job: {job: ./job.yml, experiment_name: nights}\n"
    ),
    "box.yml": (
        "name: box\ntype: computeinstance\nidle_time_before_shutdown_minutes: 60\n"
        "schedules: {compute_start_stop: [{action: stop, trigger: {type: cron, expression: '0 19 * * 1-5'}}]}\n"
    ),
}
SCRIPT = """\
set -euo pipefail
az account show --query id -o tsv > /dev/null
az configure --defaults group="$GROUP" workspace="$WORKSPACE" location="$LOCATION"
az ml workspace show --name "$WORKSPACE" --resource-group "$GROUP" --output none || az ml workspace create -n "$WORKSPACE" -g "$GROUP"
az ml compute show -n box -o none 2>/dev/null || az ml compute create --file box.yml --no-wait --output none
az ml compute show -n box --query "[state, next_stop.because_of]" -o tsv
az ml environment create --name tools --image busybox --os-type linux -o none --only-show-errors
az ml data create --name words --version 1 --path words.txt --type uri_file -o none
run_id=$(az ml job create -f job.yml --web --query name -o tsv --set experiment_name=counts display_name="the count")
status=$(az ml job show -n $run_id --query status --output tsv)
if [[ "$status" != "Completed" ]]; then exit 1; fi
az ml model create --name counter --version 4 --type custom_model --path "azureml://jobs/$run_id/outputs/artifacts/paths/outputs/model" \\
  --description "how many" --tags stage=dev owner=me -o none
az ml registry show --name shared -o none 2>/dev/null || az ml registry create --name shared --location "$LOCATION" -o none
az ml model share --name counter --version 4 --registry-name shared --share-with-name counter --share-with-version 1 -o none
az ml model update -n counter -v 4 --set tags.stage=prod --query tags.stage -o tsv
az ml model download --name counter --version 1 --registry-name shared --download-path got
cat got/counter/model/count 2>/dev/null || cat got/counter/count
echo
az ml job download --name $run_id --all --download-path left
cat left/artifacts/outputs/model/count
echo
az ml schedule create --file nightly.yml --no-wait -o none
az ml schedule trigger -n nightly --query experiment_name -o tsv
az ml schedule disable -n nightly
az ml schedule list --query "length(@)"
az ml model archive -n counter -v 4
az ml model list -n counter --query "[0].version" -o tsv
az ml compute stop -n box --no-wait
az ml compute list --query "[?state=='Stopped'].name | [0]" -o tsv
az ml compute delete -n box --yes
"""


@pytest.mark.slow
def test_the_script_that_promotes_a_model_runs_word_for_word(tidemill: Run, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    tidemill("az-shim", "bin")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "GROUP": "mlops", "WORKSPACE": "lab", "LOCATION": "westeurope"}
    said = bash(SCRIPT, tmp_path, env).stdout.splitlines()
    assert said[:2] == ["Running", said[1]]
    assert said[1] in {"IdleShutdown", "Schedule"}
    assert said[2:] == ["prod", "3", "3", "nights", "0", "box"]
