"""What the processes of a distributed step are told."""

from __future__ import annotations

import json

from tidemill.plan.graph import Distribution, Resources
from tidemill.run.distribution import count_ports, make_processes


def test_an_ordinary_step_is_one_process() -> None:
    assert make_processes(None, Resources(), ()) == ({},)


def test_pytorch_ranks_count_over_all_instances() -> None:
    found = make_processes(Distribution("pytorch", 2), Resources(instance_count=2), (5000,))
    assert [(e["RANK"], e["LOCAL_RANK"], e["NODE_RANK"], e["WORLD_SIZE"]) for e in found] == [
        ("0", "0", "0", "4"), ("1", "1", "0", "4"), ("2", "0", "1", "4"), ("3", "1", "1", "4"),
    ]  # fmt: skip
    assert {e["MASTER_PORT"] for e in found} == {"5000"}


def test_tensorflow_gets_its_cluster() -> None:
    distribution = Distribution("tensorflow", worker_count=2, parameter_server_count=1)
    assert count_ports(distribution, Resources()) == 3
    found = [json.loads(e["TF_CONFIG"]) for e in make_processes(distribution, Resources(), (1, 2, 3))]
    assert [f["task"] for f in found] == [
        {"type": "worker", "index": 0}, {"type": "worker", "index": 1}, {"type": "ps", "index": 0}
    ]  # fmt: skip
    assert found[0]["cluster"] == {"worker": ["127.0.0.1:1", "127.0.0.1:2"], "ps": ["127.0.0.1:3"]}


def test_mpi_processes_know_their_rank_without_a_launcher() -> None:
    found = make_processes(Distribution("mpi", 2), Resources(), (1,))
    assert [e["OMPI_COMM_WORLD_RANK"] for e in found] == ["0", "1"]
