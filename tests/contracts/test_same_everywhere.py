"""The same documents give the same outputs on this machine, on two nodes of Ray, and on a real Kubernetes.

Two of the three examples take minutes: `TIDEMILL_EXAMPLES=1` has them too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.namespaces import scratch_namespace
from tests.contracts.ray_cluster import two_nodes
from tidemill.base.hashing import hash_folder

pytestmark = [pytest.mark.needs_cluster, pytest.mark.needs_ray, pytest.mark.filterwarnings("default")]
EXAMPLES = Path(__file__).parents[2] / "examples"
PROJECTS = {"damage": "azure-ml/job.yml"} | (
    {"digits": "pipeline.yml", "animals": "pipelines/animals-classification.yaml"}
    if os.environ.get("TIDEMILL_EXAMPLES")
    else {}
)
PLACES = ("local", "ray", "kubernetes")
RUN_S = 280
ENVIRONMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: listed
version: "1"
image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
conda_file: {name: listed, dependencies: [pip, {pip: [mlflow-skinny]}]}
"""
TRAIN = """
import argparse, mlflow
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--out")
found = parser.parse_args()
for step in range(3):
    mlflow.log_metric("loss", (found.rate - 0.3) ** 2 + 1 / (step + 1), step=step)
open(found.out + "/rate", "w").write(str(found.rate))
"""
SWEEP = """
type: sweep
trial:
  command: python train.py --rate ${{search_space.rate}} --out ${{outputs.model}}
  code: .
  environment: azureml:listed:1
sampling_algorithm: grid
search_space: {rate: {type: choice, values: [0.1, 0.3, 0.9]}}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 3, max_concurrent_trials: 2}
outputs: {model: {type: uri_folder}}
"""
ENTRY = """
import os
def init():
    pass
def run(batch):
    return [os.path.basename(name) + ":" + open(name).read().upper() for name in batch]
"""
PARALLEL = """
type: pipeline
outputs: {rows: {type: uri_file}}
jobs:
  score:
    type: parallel
    mini_batch_size: "2"
    resources: {instance_count: 1}
    max_concurrency_per_instance: 2
    input_data: ${{inputs.data}}
    inputs: {data: {type: uri_folder, path: ./data}}
    outputs: {rows: "${{parent.outputs.rows}}"}
    task:
      type: run_function
      code: .
      entry_script: entry.py
      environment: azureml:listed:1
      append_row_to: ${{outputs.rows}}
"""
INNER = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
name: inner
type: pipeline
inputs: {text: {type: uri_file}, word: {type: string, default: tide}}
outputs: {out: {type: uri_folder}}
jobs:
  add:
    type: command
    command: cat ${{inputs.text}} > ${{outputs.out}}/text && echo ${{inputs.word}} >> ${{outputs.out}}/text
    environment: azureml:listed:1
    inputs: {text: "${{parent.inputs.text}}", word: "${{parent.inputs.word}}"}
    outputs: {out: "${{parent.outputs.out}}"}
"""
NESTED = """
type: pipeline
outputs: {first: {type: uri_folder}, second: {type: uri_folder}}
jobs:
  one:
    type: pipeline
    component: ./inner.yml
    inputs: {text: {type: uri_file, path: ./data/a}}
    outputs: {out: "${{parent.outputs.first}}"}
  two:
    type: pipeline
    component: ./inner.yml
    inputs: {text: {type: uri_file, path: ./data/b}, word: mill}
    outputs: {out: "${{parent.outputs.second}}"}
"""
RANKS = """
import os, socket, sys, time
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    with socket.create_server(address) as server:
        server.settimeout(60)
        found = sorted(server.accept()[0].recv(9).decode() for _ in range(world - 1))
    open(sys.argv[1] + "/heard", "w").write(",".join(found))
else:
    for _ in range(600):
        try:
            socket.create_connection(address).sendall(str(rank).encode())
            break
        except OSError:
            time.sleep(0.1)
"""
DISTRIBUTED = """
type: command
command: python ranks.py ${{outputs.out}}
code: .
environment: azureml:listed:1
distribution: {type: pytorch, process_count_per_instance: 3}
outputs: {out: {type: uri_folder}}
"""
JOBS = {"sweep": SWEEP, "parallel": PARALLEL, "nested": NESTED, "distributed": DISTRIBUTED}


@pytest.fixture(scope="module")
def computes() -> Iterator[dict[str, Any]]:
    """One compute per place; the cluster's namespace and Ray's nodes are gone afterwards."""
    with scratch_namespace("same") as name, two_nodes() as ray:
        # little is reserved: the node is small, and other tests' pods want room on it too
        kubernetes = {"executor": "kubernetes", "namespace": name, "slots": 2, "cpus": 0.1}
        images = {"registry": os.environ["REGISTRY"], "image": os.environ["BASE_IMAGE"]}
        yield {"over-there": kubernetes | images, "nodes": {"executor": "ray", "address": ray.address}}


def run(project: Path, job: str, place: str, home: Path) -> dict[str, Any]:
    """Run a job somewhere; what it says, and the content of its outputs by name."""
    argv = [sys.executable, "-m", "tidemill", "run", job, "--executor", place, "-o", "json"]
    env = {**os.environ, "TIDEMILL_HOME": str(home)}
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=RUN_S)
    assert done.returncode == 0, f"{place}: {done.stderr}"
    said = json.loads(done.stdout)
    outputs = {name: Path(path) for name, path in said["outputs"].items()}
    content = {
        name: {e.path: e.digest for e in hash_folder(path)} if path.is_dir() else path.read_text()
        for name, path in outputs.items()
    }
    return {"outputs": content, "metrics": {name: step.get("metrics") for name, step in said["steps"].items()}}


@pytest.mark.parametrize("kind", JOBS)
def test_a_job_gives_the_same_in_three_places(kind: str, computes: dict[str, Any], tmp_path: Path) -> None:
    files = {
        "train.py": TRAIN,
        "entry.py": ENTRY,
        "inner.yml": INNER,
        "ranks.py": RANKS,
        "environment.yml": ENVIRONMENT,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "data").mkdir()
    for name in "abcde":
        (tmp_path / "data" / name).write_text(f"{name} of {kind}\n")
    (tmp_path / "job.yml").write_text(JOBS[kind])
    (tmp_path / "tidemill.yaml").write_text(
        json.dumps({"name": kind, "environments": {"listed": {"python": "host"}}, "compute": computes})
    )
    found = {place: run(tmp_path, "job.yml", place, tmp_path.parent / f"{kind}-{place}") for place in PLACES}
    assert found["local"]["outputs"]
    assert found["local"] == found["ray"] == found["kubernetes"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PROJECTS)
def test_an_example_measures_the_same_in_three_places(name: str, computes: dict[str, Any], tmp_path: Path) -> None:
    project, job = tmp_path / name, PROJECTS[name]
    shutil.copytree(EXAMPLES / name, project, ignore=shutil.ignore_patterns(".tidemill"))
    subprocess.run([sys.executable, "data/make_data.py"], cwd=project, check=True, capture_output=True)
    with (project / "tidemill.yaml").open("a") as file:
        file.write(f"\ncompute: {json.dumps(computes)}\n")
    found = {place: run(project, job, place, tmp_path / f"home-{place}") for place in PLACES}
    assert any(found["local"]["metrics"].values())
    assert found["local"]["metrics"] == found["ray"]["metrics"] == found["kubernetes"]["metrics"]
    assert {n: sorted(v) for n, v in found["local"]["outputs"].items()}.keys() == found["kubernetes"]["outputs"].keys()
