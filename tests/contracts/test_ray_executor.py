"""The Ray executor keeps the promises of executors, on a cluster of two nodes on this machine."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.ray_cluster import two_nodes
from tests.waiting import until
from tidemill.base.errors import BackendError, UsageError
from tidemill.plan.graph import Resources
from tidemill.testing.executors import ExecutorContract, GrowingFilesContract, make_task, submit

PIPELINE = """
type: pipeline
settings: {default_compute: azureml:big}
outputs: {final: {type: uri_file}}
jobs:
  upper:
    type: command
    command: python step.py ${{inputs.text}} ${{outputs.out}}
    code: .
    environment: azureml:h:1
    inputs: {text: {type: uri_file, path: ./in.txt}}
    outputs: {out: {type: uri_file}}
  copy:
    type: command
    command: cp ${{inputs.text}} ${{outputs.out}}
    environment: azureml:h:1
    inputs: {text: "${{parent.jobs.upper.outputs.out}}"}
    outputs: {out: "${{parent.outputs.final}}"}
"""
pytestmark = [pytest.mark.needs_ray, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_nodes() as made:
        yield made


@pytest.fixture
def executor(cluster: Any) -> Iterator[Any]:
    from tidemill.backends.executors.ray import RayExecutor

    found = RayExecutor(cluster.address, grace_s=0.5)
    yield found
    found.close()


class TestRayExecutor(ExecutorContract, GrowingFilesContract):
    """All of them."""


def test_tasks_share_the_cluster_and_never_take_more_than_there_is(executor: Any, tmp_path: Path) -> None:
    assert executor.slots == 4
    # nobody ends before a second one has begun, however long a node takes to start a worker
    meet = "for i in $(seq 200); do [ $(grep -c start ../../times) -ge 2 ] && break; sleep 0.1; done"
    command = f"echo start $(date +%s%N) >> ../../times; {meet}; sleep 0.5; echo end $(date +%s%N) >> ../../times"
    tasks = [make_task(tmp_path / f"t{i}", command, resources=Resources(cpus=2)) for i in range(4)]
    for one in [submit(executor, t) for t in tasks]:
        assert one.wait().ok
    running = most = 0
    for line in sorted((tmp_path / "times").read_text().splitlines(), key=lambda text: int(text.split()[1])):
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert most == 2, "four CPUs have room for two tasks of two"


def test_a_task_whose_node_is_lost_is_lost_and_not_failed(cluster: Any, executor: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=8)
    cluster.wait_for_nodes()
    task = make_task(tmp_path / "a", "echo up; sleep 60", resources=Resources(cpus=8))
    submitted = submit(executor, task, lines=True)
    until(lambda: "up" in submitted.lines)
    threading.Thread(target=cluster.remove_node, args=(node,), kwargs={"allow_graceful": False}).start()
    end = submitted.wait()
    assert end.lost
    assert not end.ok
    until(lambda: executor.slots == 4)  # the cluster takes a while to forget it, and the next test counts


def test_a_node_without_the_drivers_files_gets_them_and_sends_back_what_was_written(
    executor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(executor), "_shares_files", lambda *_: False)
    (tmp_path / "data.txt").write_text("seven")
    task = make_task(
        tmp_path / "a", f"cat {tmp_path}/data.txt > ../outputs/x; echo said", reads={"data": tmp_path / "data.txt"}
    )
    submitted = submit(executor, task, lines=True)
    assert submitted.wait().ok
    assert (tmp_path / "a" / "outputs" / "x").read_text() == "seven"
    assert "said" in submitted.lines


def test_what_no_node_has_is_said_while_the_task_waits(executor: Any, tmp_path: Path) -> None:
    task = make_task(tmp_path / "a", "true", resources=Resources(cpus=64))
    submitted = submit(executor, task, lines=True)
    until(lambda: bool(submitted.lines))
    assert submitted.lines[0].startswith("waiting for a node with 64 CPUs: the Ray cluster has none")
    assert "64 CPUs" in task.log.read_text()
    executor.cancel(task.ticket)
    assert submitted.wait().canceled


def test_a_second_cluster_in_one_run_is_refused_and_not_taken_for_the_first(cluster: Any, executor: Any) -> None:
    assert type(executor)(cluster.address).slots == executor.slots
    with pytest.raises(UsageError, match=f"`{cluster.address}` and `elsewhere:6379`"):
        type(executor)("elsewhere:6379")


def test_a_cluster_that_is_not_there_is_named() -> None:
    ray = pytest.importorskip("ray")
    from tidemill.backends.executors.ray import RayExecutor

    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9"):
        RayExecutor("127.0.0.1:9")


def test_a_pipeline_gives_the_same_on_ray_as_on_this_machine(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read().upper())")
    (tmp_path / "in.txt").write_text("tide")
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    compute = json.dumps({"big": {"executor": "ray", "address": cluster.address}})
    outputs = {}
    for name, words in {"local": ["--executor", "local"], "ray": []}.items():
        (tmp_path / "tidemill.yaml").write_text(
            f"name: {name}\nenvironments: {{h: {{python: host}}}}\ncompute: {compute}\n"
        )
        argv = [sys.executable, "-m", "tidemill", "run", "pipeline.yml", "-o", "json", *words]
        env = {**os.environ, "TIDEMILL_HOME": str(tmp_path / f"home-{name}")}
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr
        outputs[name] = Path(json.loads(done.stdout)["outputs"]["final"]).read_text()
        with sqlite3.connect(tmp_path / f"home-{name}" / "tidemill.db") as db:
            handles = [row[0] for row in db.execute("SELECT body FROM events WHERE kind = 'step_started'")]
        assert all(('"ray:' in h) == (name == "ray") for h in handles)
    assert outputs["local"] == outputs["ray"] == "TIDE"


PARALLEL = """
type: parallel
compute: azureml:big
task:
  type: run_function
  code: .
  environment: azureml:h:1
  entry_script: entry.py
  append_row_to: ${{outputs.rows}}
inputs: {data: {type: uri_folder, path: ./data}}
input_data: ${{inputs.data}}
mini_batch_size: "1"
max_concurrency_per_instance: 2
resources: {instance_count: 2}
outputs: {rows: {type: uri_file}, nodes: {type: uri_folder}}
"""
ENTRY = """
import os, time
def parent(pid):
    return int(open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[1])
def run(batch):
    node = parent(parent(os.getppid()))  # the head, Ray's worker, the node
    open(os.environ["AZURE_ML_OUTPUT_nodes"] + "/%d" % node, "a").close()
    time.sleep(0.5)
    return [open(name).read().upper() for name in batch]
"""


def test_a_parallel_job_is_shared_by_two_nodes_and_gives_the_same(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text(ENTRY)
    (tmp_path / "job.yml").write_text(PARALLEL)
    (tmp_path / "data").mkdir()
    for name in "abcdefgh":
        (tmp_path / "data" / name).write_text(name)
    compute = json.dumps({"big": {"executor": "ray", "address": cluster.address}})
    (tmp_path / "tidemill.yaml").write_text(f"name: x\nenvironments: {{h: {{python: host}}}}\ncompute: {compute}\n")
    rows, nodes = [], []
    for words in (["--executor", "local"], ["--executor", "ray"]):
        argv = [sys.executable, "-m", "tidemill", "run", "job.yml", "-o", "json", "--force", *words]
        env = {**os.environ, "TIDEMILL_HOME": str(tmp_path / "home")}
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr + done.stdout
        outputs = json.loads(done.stdout)["outputs"]
        rows.append(Path(outputs["rows"]).read_text())
        nodes.append(len(list(Path(outputs["nodes"]).iterdir())))
    assert rows == ["A\nB\nC\nD\nE\nF\nG\nH\n"] * 2
    assert nodes[1] == 2
