"""Distributed commands with real processes that must find each other."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, command, pipeline
from tests.waiting import until
from tidemill.plan.graph import Distribution, Resources
from tidemill.run.result import StepResult
from tidemill.run.state import Status

MEET = """
    # rank 0 waits on MASTER_PORT until all others have said who they are, as torch's rendezvous does
    import json, os, socket, sys, time
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    mine = {k: os.environ[k] for k in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    if rank == 0:
        with socket.create_server(place) as server:
            seen = [mine]
            while len(seen) < world:
                with server.accept()[0] as friend, friend.makefile() as words:
                    seen.append(json.loads(words.readline()))
        json.dump(sorted(seen, key=lambda r: int(r["RANK"])), open(sys.argv[1], "w"))
    else:
        deadline = time.monotonic() + 120
        while True:
            try:
                with socket.create_connection(place, timeout=60) as friend:
                    friend.sendall(json.dumps(mine).encode() + b"\\n")
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
"""

CLUSTER = """
    # every task listens on the address TF_CONFIG gives it; the first worker greets all the others
    import json, os, socket, sys, time
    config = json.loads(os.environ["TF_CONFIG"])
    task = config["task"]
    host, port = config["cluster"][task["type"]][task["index"]].split(":")
    everyone = [a for members in config["cluster"].values() for a in members]
    if (task["type"], task["index"]) != ("worker", 0):
        with socket.create_server((host, int(port))) as server:
            server.accept()[0].close()
        sys.exit()
    for address in everyone[1:]:
        host, port = address.split(":")
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=60).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    json.dump(config["cluster"], open(sys.argv[1], "w"))
"""


def run(
    workspace: Workspace, tmp_path: Path, script: str, distribution: Distribution, instances: int = 1
) -> StepResult:
    code = tmp_path / "code"
    code.mkdir()
    (code / "meet.py").write_text(textwrap.dedent(script))
    step = command(
        "train",
        "python meet.py ${{outputs.seen}}",
        code=code,
        outputs={"seen": "uri_file"},
        distribution=distribution,
        resources=Resources(instance_count=instances),
    )
    return workspace.run(pipeline(step)).steps["train"]


def test_pytorch_processes_of_two_nodes_meet(workspace: Workspace, tmp_path: Path) -> None:
    end = run(workspace, tmp_path, MEET, Distribution("pytorch", process_count_per_instance=2), instances=2)
    assert end.status is Status.COMPLETED, end.message
    assert json.loads(end.outputs["seen"].read_text()) == [
        {"RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "4"},
        {"RANK": "1", "LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "4"},
        {"RANK": "2", "LOCAL_RANK": "0", "NODE_RANK": "1", "WORLD_SIZE": "4"},
        {"RANK": "3", "LOCAL_RANK": "1", "NODE_RANK": "1", "WORLD_SIZE": "4"},
    ]


def test_tensorflow_workers_and_parameter_servers_meet(workspace: Workspace, tmp_path: Path) -> None:
    distribution = Distribution("tensorflow", worker_count=2, parameter_server_count=1)
    end = run(workspace, tmp_path, CLUSTER, distribution)
    assert end.status is Status.COMPLETED, end.message
    cluster = json.loads(end.outputs["seen"].read_text())
    assert {role: len(members) for role, members in cluster.items()} == {"worker": 2, "ps": 1}


def test_mpi_without_a_launcher_gives_what_the_launcher_would(workspace: Workspace, tmp_path: Path) -> None:
    if shutil.which("mpirun"):
        pytest.skip("there is a launcher")
    script = """
        import os, sys
        assert os.environ["OMPI_COMM_WORLD_SIZE"] == "3"
        rank = os.environ["OMPI_COMM_WORLD_RANK"]
        print("rank", rank, "local", os.environ["OMPI_COMM_WORLD_LOCAL_RANK"])
        if rank == "0":
            open(sys.argv[1], "w").close()
    """
    end = run(workspace, tmp_path, script, Distribution("mpi", process_count_per_instance=3))
    assert end.status is Status.COMPLETED, end.message
    lines = sorted(line[line.index("rank") :] for line in end.log.read_text().splitlines() if "rank" in line)
    assert lines == ["rank 0 local 0", "rank 1 local 1", "rank 2 local 2"]


def test_one_process_that_fails_ends_the_others(workspace: Workspace, tmp_path: Path) -> None:
    script = 'import os, time\nif os.environ["RANK"] == "1":\n    raise SystemExit(7)\ntime.sleep(3600)\n'
    end = run(workspace, tmp_path, script, Distribution("pytorch", process_count_per_instance=3))
    assert end.status is Status.FAILED
    assert "exit code 7" in end.message


@pytest.mark.needs_ray
def test_ray_nodes_are_there_for_the_command_and_gone_after_it(workspace: Workspace, tmp_path: Path) -> None:
    if not shutil.which("ray", path=str(Path(sys.executable).parent)):
        pytest.skip("Ray is not installed")
    script = """
        import sys, time
        import ray
        ray.init()
        deadline = time.monotonic() + 120
        while len(ray.nodes()) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        double = ray.remote(lambda x: x * 2)
        print(len(ray.nodes()), sum(ray.get([double.remote(n) for n in range(4)])), file=open(sys.argv[1], "w"))
    """
    end = run(workspace, tmp_path, script, Distribution("ray"), instances=2)
    assert end.status is Status.COMPLETED, end.message + end.log.read_text()
    assert end.outputs["seen"].read_text() == "2 12\n"
    until(lambda: not _left(workspace))


def _left(workspace: Workspace) -> list[str]:
    mark = f"TIDEMILL_STATE={workspace.home}".encode()
    return [
        _read(p.parent / "cmdline").decode()[:200] for p in Path("/proc").glob("[0-9]*/environ") if mark in _read(p)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_ray_cluster_that_is_there_already_is_used(workspace: Workspace, tmp_path: Path) -> None:
    script = 'import os, sys\nopen(sys.argv[1], "w").write(os.environ["RAY_ADDRESS"])\n'
    end = run(workspace, tmp_path, script, Distribution("ray", settings={"address": "10.0.0.1:6379"}))
    assert end.outputs["seen"].read_text() == "10.0.0.1:6379"
