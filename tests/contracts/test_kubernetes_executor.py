"""The Kubernetes executor keeps the promises of executors, on a real cluster."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.namespaces import scratch_namespace
from tests.waiting import until
from tidemill.base.ids import JobName
from tidemill.plan.graph import Resources
from tidemill.run.ports import PreparedEnvironment, Task, TaskWatch
from tidemill.testing.executors import ExecutorContract, GrowingFilesContract, make_task, submit

pytestmark = [pytest.mark.needs_cluster, pytest.mark.filterwarnings("default")]


PIPELINE = """
type: pipeline
settings: {default_compute: azureml:big}
outputs: {final: {type: uri_folder}}
jobs:
  upper:
    type: command
    command: python step.py ${{inputs.text}} ${{outputs.out}}
    code: .
    environment: azureml:listed:1
    inputs: {text: {type: uri_file, path: ./in.txt}}
    outputs: {out: {type: uri_folder}}
  copy:
    type: command
    command: cp -r ${{inputs.text}}/. ${{outputs.out}} && echo "said $WORD"
    environment: azureml:listed:1
    environment_variables: {WORD: tide}
    inputs: {text: "${{parent.jobs.upper.outputs.out}}"}
    outputs: {out: "${{parent.outputs.final}}"}
"""
ENVIRONMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: listed
version: "1"
image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
conda_file: {name: listed, dependencies: [pip, {pip: [mlflow-skinny, packaging]}]}
"""
STEP = """
import os, sys, packaging, mlflow
out = sys.argv[2]
open(out + "/text", "w").write(open(sys.argv[1]).read().upper() + packaging.__version__)
os.symlink(out + "/text", out + "/same")
mlflow.log_metric("score", 0.5, step=1)
mlflow.log_text("kept", "note.txt")
"""


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with scratch_namespace("steps") as name:
        yield name


@pytest.fixture
def executor(namespace: str, tmp_path: Path) -> Iterator[Any]:
    from tidemill.backends.environments.images import ImageEnvironments
    from tidemill.backends.environments.provider import Environments
    from tidemill.backends.executors.kubernetes import KubernetesExecutor
    from tidemill.backends.executors.pods import StepPods

    class InImage(KubernetesExecutor):
        """Gives tasks an image, as a step's `prepare` does, and little to reserve, since the cluster is small."""

        def submit(self, task: Task, watch: TaskWatch) -> None:
            image = task.environment.image or os.environ["BASE_IMAGE"]
            environment = replace(task.environment, image=image)
            resources = task.resources if task.resources.cpus > 1 else replace(task.resources, cpus=0.1)
            super().submit(replace(task, environment=environment, resources=resources), watch)

    images = ImageEnvironments(tmp_path / "images", Environments(tmp_path / "envs"))
    found = InImage(StepPods("", namespace), images, grace_s=0.5)
    yield found
    found.close()


class TestKubernetesExecutor(ExecutorContract, GrowingFilesContract):
    """All of them."""


def test_what_a_step_reads_is_there_and_what_it_writes_comes_back(executor: Any, tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("seven")
    inputs = tmp_path / "a" / "inputs"
    inputs.mkdir(parents=True)
    (inputs / "linked").symlink_to(data)
    command = f"cat ../inputs/linked {data} > ../outputs/x; id -u > ../outputs/user; mkdir ../outputs/empty"
    task = make_task(tmp_path / "a", command, reads={"linked": data})
    assert submit(executor, task).wait().ok
    outputs = tmp_path / "a" / "outputs"
    assert (outputs / "x").read_text() == "sevenseven"
    assert (outputs / "user").read_text().strip() != "0", "no step is root in a cluster"
    assert (outputs / "empty").is_dir()


def test_a_value_of_the_environment_is_in_no_object_of_the_cluster(
    executor: Any, namespace: str, tmp_path: Path
) -> None:
    from lightkube import Client
    from lightkube.resources.batch_v1 import Job

    task = make_task(tmp_path / "a", "echo up; sleep 60")
    submitted = submit(executor, replace(task, env={**task.env, "PASSWORD": "s3cr3t-value"}), lines=True)
    until(lambda: "up" in submitted.lines)
    client = Client()
    shown = [json.dumps(j.to_dict()) for j in client.list(Job, namespace=namespace)]
    client.close()
    executor.cancel(task.ticket)
    assert submitted.wait().canceled
    assert shown
    assert not any("s3cr3t-value" in text for text in shown)


def test_a_canceled_command_is_asked_politely_first(executor: Any, tmp_path: Path) -> None:
    script = "trap 'echo goodbye; exit 0' TERM; echo up; while true; do sleep 0.02; done"
    task = make_task(tmp_path / "a", f'bash -c "{script}"; true')
    submitted = submit(executor, task, lines=True)
    until(lambda: "up" in submitted.lines)
    executor.cancel(task.ticket)
    assert submitted.wait().canceled
    assert submitted.lines[-1] == "goodbye"


def test_a_pod_that_is_taken_away_is_lost_and_not_failed(executor: Any, namespace: str, tmp_path: Path) -> None:
    from lightkube import Client
    from lightkube.resources.core_v1 import Pod

    task = make_task(tmp_path / "a", "trap '' TERM; echo up; sleep 60; sleep 60")
    submitted = submit(executor, task, lines=True)
    until(lambda: "up" in submitted.lines)
    client = Client()
    for pod in client.list(Pod, namespace=namespace, labels={"tidemill.io/step": "a"}):
        client.delete(Pod, pod.metadata.name, namespace=namespace, grace_period=0)
    client.close()
    end = submitted.wait()
    assert end.lost
    assert not end.ok


def test_a_pod_that_is_taken_away_before_its_outputs_came_back_is_lost_too(
    executor: Any, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightkube import Client
    from lightkube.resources.core_v1 import Pod

    from tidemill.backends.executors.pods import StepPods

    collect = StepPods.collect

    def collect_late(self: StepPods, pod: str, folder: Path, there: str) -> None:
        client = Client()
        client.delete(Pod, pod, namespace=namespace, grace_period=0)
        client.close()
        collect(self, pod, folder, there)

    monkeypatch.setattr(StepPods, "collect", collect_late)
    end = submit(executor, make_task(tmp_path / "a", "true")).wait()
    assert end.lost
    assert not end.ok


def test_an_image_that_is_not_there_fails_with_the_clusters_words(executor: Any, tmp_path: Path) -> None:
    missing = PreparedEnvironment(Path("python3"), image=f"{os.environ['REGISTRY']}/nobody/has:this")
    end = submit(executor, make_task(tmp_path / "a", "true", environment=missing)).wait()
    assert not end.ok
    assert not end.lost
    assert "nobody/has" in end.message
    assert "Name an image in place of" in end.message


def test_packages_for_another_python_than_the_images_are_not_run_with(executor: Any, tmp_path: Path) -> None:
    environment = PreparedEnvironment(Path("python"), version="3.8")
    end = submit(executor, make_task(tmp_path / "a", "touch ../outputs/ran", environment=environment)).wait()
    assert not end.ok
    assert end.message.startswith("its packages are for Python 3.8, and its image has Python 3.")
    assert not list((tmp_path / "a" / "outputs").iterdir())


def test_a_step_that_waits_for_room_says_so_and_can_be_canceled(executor: Any, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "true", resources=Resources(cpus=500))
    submitted = submit(executor, task, lines=True)
    until(lambda: any("Insufficient cpu" in line for line in submitted.lines))
    executor.cancel(task.ticket)
    assert submitted.wait().canceled


def test_what_a_killed_run_left_is_taken_away(executor: Any, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "echo up; sleep 60")
    submitted = submit(executor, task, lines=True)
    until(lambda: "up" in submitted.lines)
    assert executor.reap(JobName("job"), submitted.handles) == 1
    assert submitted.wait().lost
    assert executor.reap(JobName("job"), submitted.handles) == 0


def test_a_pipeline_gives_the_same_on_kubernetes_as_on_this_machine(namespace: str, tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "in.txt").write_text("tide")
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    outputs = {}
    for name, words in {"local": ["--executor", "local"], "kubernetes": []}.items():
        big = {
            "executor": "kubernetes",
            "namespace": namespace,
            "cpus": 0.1,
            "registry": os.environ["REGISTRY"],
            "image": os.environ["BASE_IMAGE"],
        }
        (tmp_path / "tidemill.yaml").write_text(
            json.dumps({"name": name, "environments": {"listed": {"python": "host"}}, "compute": {"big": big}})
        )
        home = tmp_path / f"home-{name}"
        argv = [sys.executable, "-m", "tidemill", "run", "pipeline.yml", "-o", "json", *words]
        env = {**os.environ, "TIDEMILL_HOME": str(home)}
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=250)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        final = Path(said["outputs"]["final"])
        outputs[name] = ((final / "text").read_text(), (final / "same").read_text())
        with sqlite3.connect(home / "tidemill.db") as db:
            handles = [row[0] for row in db.execute("SELECT body FROM events WHERE kind = 'step_started'")]
        assert all(('"kubernetes:' in h) == (name == "kubernetes") for h in handles)
        with sqlite3.connect(home / "mlflow" / "mlflow.db") as db:
            (artifacts,) = [row[0] for row in db.execute("SELECT artifact_uri FROM runs")]
            assert db.execute("SELECT key, value, step FROM metrics").fetchall() == [("score", 0.5, 1)]
        assert Path(artifacts.removeprefix("file://"), "note.txt").read_text() == "kept"
    assert outputs["local"] == outputs["kubernetes"]
    assert outputs["local"][0].startswith("TIDE")


@pytest.mark.parametrize("words", [["run", "job.yml"], ["job", "resume"]], ids=["run", "resume"])
def test_what_completed_unseen_is_not_run_again(namespace: str, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "job.yml").write_text(
        "type: command\ncommand: echo up $(hostname); sleep 3; hostname > ${{outputs.pod}}\n"
        f"environment: {{image: {os.environ['BASE_IMAGE']}}}\ncompute: azureml:big\noutputs: {{pod: {{type: uri_file}}}}\n"
    )
    compute = {"big": {"executor": "kubernetes", "namespace": namespace, "cpus": 0.1}}
    (tmp_path / "tidemill.yaml").write_text(json.dumps({"name": "x", "compute": compute}))
    tidemill = [sys.executable, "-m", "tidemill"]
    with subprocess.Popen(
        [*tidemill, "run", "job.yml", "--stream"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stderr is not None
        pod = next(line.split()[-1] for line in first.stderr if "] up " in line)
        first.kill()
    time.sleep(4)
    if words[-1] == "resume":
        listed = subprocess.run([*tidemill, "job", "list", "-o", "json"], cwd=tmp_path, capture_output=True, check=True)
        words = [*words, json.loads(listed.stdout)[0]["name"]]
    done = subprocess.run(
        [*tidemill, *words, "-o", "json"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["outputs"]["pod"]).read_text().strip() == pod
    left = subprocess.run(
        ["kubectl", "get", "jobs", "-n", namespace, "-o", "name"], capture_output=True, text=True, check=False
    )
    assert not left.stdout.strip(), "its Job is taken away"


PARALLEL = """
type: parallel
compute: azureml:big
task:
  type: run_function
  code: .
  environment: azureml:listed:1
  entry_script: entry.py
  append_row_to: ${{outputs.rows}}
inputs: {data: {type: uri_folder, path: ./data}}
input_data: ${{inputs.data}}
mini_batch_size: "1"
max_concurrency_per_instance: 1
resources: {instance_count: 2}
outputs: {rows: {type: uri_file}, pods: {type: uri_folder}}
"""
ENTRY = """
import os, socket
def run(batch):
    open(os.environ["AZURE_ML_OUTPUT_pods"] + "/" + socket.gethostname(), "a").close()
    return [open(name).read().upper() for name in batch]
"""


def test_the_instances_of_a_parallel_job_are_pods_that_share_its_mini_batches(namespace: str, tmp_path: Path) -> None:
    files = {"entry.py": ENTRY, "job.yml": PARALLEL, "environment.yml": ENVIRONMENT}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "data").mkdir()
    for name in "abcde":
        (tmp_path / "data" / name).write_text(name)
    images = {"registry": os.environ["REGISTRY"], "image": os.environ["BASE_IMAGE"]}
    compute = {"big": {"executor": "kubernetes", "namespace": namespace, "cpus": 0.1, **images}}
    (tmp_path / "tidemill.yaml").write_text(json.dumps({"name": "x", "compute": compute}))
    argv = [sys.executable, "-m", "tidemill", "run", "job.yml", "-o", "json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert Path(outputs["rows"]).read_text() == "A\nB\nC\nD\nE\n"
    assert len(list(Path(outputs["pods"]).iterdir())) == 2


def test_an_environment_with_packages_needs_a_registry(namespace: str, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    (tmp_path / "job.yml").write_text(
        "type: command\ncommand: echo hello\nenvironment: azureml:listed:1\ncompute: azureml:big\n"
    )
    (tmp_path / "tidemill.yaml").write_text(
        f"name: x\nenvironments: {{listed: {{python: host}}}}\ncompute: {{big: {{executor: kubernetes, namespace: {namespace}}}}}\n"
    )
    argv = [sys.executable, "-m", "tidemill", "run", "job.yml"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert "names no registry" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
