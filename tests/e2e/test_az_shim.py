"""Shell scripts as people keep them around their workflows: they call `az`, and meet the shim."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

COMPUTE = """\
$schema: https://azuremlschemas.azureedge.net/latest/computeInstance.schema.json
name: teach-box
type: computeinstance
size: STANDARD_DS3_v2
"""
ENVIRONMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: {name}
image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04
version: "0.1.0"
"""
PREPARE = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: prepare
version: 0.1.0
type: command
inputs:
  raw: {type: uri_folder}
outputs:
  clean: {type: uri_folder}
code: ./code
environment: azureml:env-prep:0.1.0
command: cp ${{inputs.raw}}/*.txt ${{outputs.clean}}/
"""
TRAIN = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: train
version: 0.1.0
type: command
inputs:
  clean: {type: uri_folder}
  epochs: {type: integer, default: 1}
outputs:
  model: {type: custom_model}
code: ./code
environment: azureml:env-train:0.1.0
command: python train.py ${{inputs.clean}} ${{inputs.epochs}} ${{outputs.model}}
"""
PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
name: placeholder
experiment_name: animals
settings: {default_compute: azureml:teach-box}
inputs:
  raw: {type: uri_folder, path: ../data}
  epochs: 1
outputs:
  model: {type: custom_model, name: animal-model}
jobs:
  prep:
    type: command
    component: azureml:prepare@latest
    inputs: {raw: "${{parent.inputs.raw}}"}
  fit:
    type: command
    component: azureml:train@latest
    inputs: {clean: "${{parent.jobs.prep.outputs.clean}}", epochs: "${{parent.inputs.epochs}}"}
    outputs: {model: "${{parent.outputs.model}}"}
"""
TRAIN_PY = """\
import pathlib, sys
folder, epochs, out = sys.argv[1:]
seen = sum(1 for _ in pathlib.Path(folder).glob("*.txt"))
pathlib.Path(out).mkdir(parents=True, exist_ok=True)
(pathlib.Path(out) / "weights.txt").write_text(f"{seen} files, {epochs} epochs\\n")
"""
SETUP = """\
set -eu
az login --service-principal -u "$CLIENT_ID" -p "$CLIENT_SECRET" --tenant "$TENANT_ID" --output none
az account set --subscription "$SUB_ID"
az account show --query state -o tsv
az extension add --name ml -y
az extension add -n ml --upgrade --yes --only-show-errors
az configure --defaults group=$GROUP workspace=$WORKSPACE location=$LOCATION

if az ml compute show --name teach-box &> /dev/null; then
  echo "there already"
else
  az ml compute create --file ./ml/compute.yaml --resource-group "$GROUP" --workspace-name "$WORKSPACE" > /dev/null
fi
STATE=$(az ml compute show --name teach-box --query "provisioning_state" -o tsv)
echo "provisioning: $STATE"
if [ "$STATE" == "Succeeded" ]; then
  az ml compute start --name teach-box || echo "may be running already"
fi
az ml compute show -n teach-box --query state -o tsv
"""
PUBLISH = """\
set -eu
COMPONENT_VERSION="${COMPONENT_VERSION:-0.1.${GITHUB_RUN_NUMBER}}"
for file in ./ml/environment/*.yaml; do
  if [[ -f "$file" ]]; then
    az ml environment create --file "$file" > /dev/null || echo "Environment may already exist"
  fi
done
for dir in ./ml/components/*/; do
  for file in "$dir"*.yaml; do
    base=$(basename "$file")
    if [[ "$base" != "conda.yaml" ]] && [[ -f "$file" ]]; then
      az ml component create --file "$file" --set version="$COMPONENT_VERSION" --query "join(':', [name, version])" -o tsv
    else
      echo "skipped $file"
    fi
  done
done
"""
TRAIN_SH = """\
set -eu
RUN="animals-$GITHUB_RUN_NUMBER"
az ml job create --file ./ml/pipelines/animals.yaml --stream --set name="$RUN" inputs.epochs=3 \\
  --resource-group "$GROUP" --workspace-name "$WORKSPACE" > /dev/null
az ml job show --name "$RUN" --query status -o tsv
az ml job list --parent-job-name "$RUN" --query "[].display_name" -o tsv
VERSION=$(az ml model list -n animal-model --query "[0].version" -o tsv)
az ml model download --name animal-model --version $VERSION --download-path ./inference/model
az ml compute stop --name teach-box --no-wait
az ml compute show -n teach-box --query state -o tsv
"""
VARIABLES = {
    "CLIENT_ID": "client",
    "CLIENT_SECRET": "word",
    "TENANT_ID": "tenant",
    "SUB_ID": "11111111-2222-3333-4444-555555555555",
    "GROUP": "mlops",
    "WORKSPACE": "lab",
    "LOCATION": "westeurope",
    "GITHUB_RUN_NUMBER": "7",
}


@pytest.fixture
def shell(tidemill: Run, tmp_path: Path) -> dict[str, str]:
    """A repository with an `ml` folder, and an environment in which `az` is the shim."""
    texts = {
        "ml/compute.yaml": COMPUTE,
        "ml/environment/prep.yaml": ENVIRONMENT.format(name="env-prep"),
        "ml/environment/train.yaml": ENVIRONMENT.format(name="env-train"),
        "ml/components/prep/prep.yaml": PREPARE,
        "ml/components/prep/conda.yaml": "dependencies: [python=3.12]\n",
        "ml/components/prep/code/note.txt": "nothing to see\n",
        "ml/components/train/train.yaml": TRAIN,
        "ml/components/train/code/train.py": TRAIN_PY,
        "ml/pipelines/animals.yaml": PIPELINE,
        "ml/data/cat.txt": "cat\n",
        "ml/data/dog.txt": "dog\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".git").mkdir()
    tidemill("az-shim", "bin")
    return {**os.environ, **VARIABLES, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def bash(script: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One `run:` block of a workflow; its output, after exit 0."""
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_scripts_that_set_up_publish_train_and_download_run_word_for_word(
    shell: dict[str, str], tmp_path: Path
) -> None:
    first = bash(SETUP, tmp_path, shell)
    assert first.stdout.split("\n")[:2] == ["Enabled", "provisioning: Succeeded"]
    assert first.stdout.endswith("Running\n")
    assert "there already" in bash(SETUP, tmp_path, shell).stdout
    published = bash(PUBLISH, tmp_path, shell)
    assert published.stdout.splitlines() == ["skipped ./ml/components/prep/conda.yaml", "prepare:0.1.7", "train:0.1.7"]
    bash(PUBLISH, tmp_path, shell)
    trained = bash(TRAIN_SH, tmp_path, shell)
    assert trained.stdout.splitlines() == ["Completed", "prep", "fit", "Stopped"]
    assert (tmp_path / "inference/model/animal-model/weights.txt").read_text() == "2 files, 3 epochs\n"


def test_python_that_calls_az_through_subprocess_gets_json_and_exit_codes(
    shell: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "trigger.py"
    script.write_text(
        "import json, shutil, subprocess, sys\n"
        "def az(*words):\n"
        "    return subprocess.run(['az', *words], capture_output=True, text=True)\n"
        "assert 'bin' in shutil.which('az')\n"
        "missing = az('ml', 'compute', 'show', '--name', 'teach-box')\n"
        "made = json.loads(az('ml', 'compute', 'create', '-f', 'ml/compute.yaml', '-g', 'x', '-w', 'y').stdout)\n"
        "again = az('ml', 'compute', 'start', '-n', 'teach-box')\n"
        "one = subprocess.check_output('az ml compute list --query \"[?state==\\'Running\\'].name\" -o tsv', shell=True, text=True)\n"
        "json.dump({'missing': [missing.returncode, missing.stderr], 'made': made, 'again': again.returncode, 'list': one}, sys.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=shell, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["missing"][0] != 0
    assert "ResourceNotFound" in said["missing"][1]
    assert said["made"]["size"] == "STANDARD_DS3_v2"
    assert (said["again"], said["list"]) == (0, "teach-box\n")
