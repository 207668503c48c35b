"""How many processes a step is started as, and the variables by which they find each other. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from tidemill.plan.graph import Distribution, Resources

LOOPBACK = "127.0.0.1"
RAY_LOG = "logs/ray.log"

Processes = tuple[Mapping[str, str], ...]


def count_ports(distribution: Distribution | None, resources: Resources) -> int:
    """How many free ports `make_processes` will want."""
    if distribution is None:
        return 0
    if distribution.type == "tensorflow":
        return _workers(distribution, resources) + distribution.parameter_server_count
    return 1


def make_processes(distribution: Distribution | None, resources: Resources, ports: tuple[int, ...]) -> Processes:
    """Variables of each process; all of them run on this machine, whatever number of instances was asked for."""
    if distribution is None:
        return ({},)
    match distribution.type:
        case "pytorch":
            return _ranked(distribution, resources, {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(ports[0])})
        case "tensorflow":
            return _tensorflow(distribution, resources, ports)
        case "mpi":
            return _mpi(distribution, resources, ports[0])
        case _:
            return ({},)


def wrap_ray(command: str, distribution: Distribution, resources: Resources, port: int) -> str:
    """The command with a Ray cluster around it: a head and a node for each further instance, all on this machine.

    `ray.init()` finds it by RAY_ADDRESS. A cluster whose `address` the document gives is used as it is.
    """
    settings, nodes = distribution.settings, max(1, resources.instance_count)
    if settings.get("address"):
        return f"export RAY_ADDRESS={shlex.quote(str(settings['address']))}\n{command}"
    address = f"{LOOPBACK}:{port}"
    common = f"--disable-usage-stats --block --num-cpus=$(( ($(nproc) + {nodes - 1}) / {nodes} ))"
    head = f"--head --port={port} --include-dashboard=false {settings.get('head_node_additional_args') or ''}"
    worker = f"--address={address} {settings.get('worker_node_additional_args') or ''}"
    # newer Rays want a token of everybody who speaks to a cluster: one of the step's own, whatever lies in ~/.ray
    drawn = "${RAY_AUTH_TOKEN:-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \\n')}"
    start = [f"export RAY_AUTH_MODE=${{RAY_AUTH_MODE:-token}} RAY_AUTH_TOKEN={drawn}"]
    start += [f"ray start {head} {common} > {RAY_LOG} 2>&1 & tm_nodes=$!"]
    start += [
        f"until ray health-check --address={address} > /dev/null 2>&1; do",
        f"  kill -0 $tm_nodes 2> /dev/null || {{ cat {RAY_LOG} >&2; exit 1; }}",
        "  sleep 0.2",
        "done",
    ]
    start += [f'ray start {worker} {common} >> {RAY_LOG} 2>&1 & tm_nodes="$tm_nodes $!"'] * (nodes - 1)
    # asked politely a node takes half a minute; its processes are in sessions of their own, so they are named one by one
    family = 'for tm_one in $tm_nodes; do tm_nodes="$tm_nodes $(cat /proc/$tm_one/task/*/children 2> /dev/null)"; done'
    end = ["tm_code=$?", family, family, "kill -9 $tm_nodes 2> /dev/null", "exit $tm_code"]
    return "\n".join([*start, f"export RAY_ADDRESS={address}", "(", command, ")", *end])


def _ranked(distribution: Distribution, resources: Resources, common: Mapping[str, str]) -> Processes:
    each = max(1, distribution.process_count_per_instance)
    world = each * max(1, resources.instance_count)
    return tuple(
        {
            **common,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank % each),
            "NODE_RANK": str(rank // each),
            "WORLD_SIZE": str(world),
            "LOCAL_WORLD_SIZE": str(each),
        }
        for rank in range(world)
    )


def _mpi(distribution: Distribution, resources: Resources, port: int) -> Processes:
    """What Open MPI's launcher would set, for frameworks that read it; used where there is no launcher."""
    ranked = _ranked(distribution, resources, {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port)})
    return tuple(
        {
            **env,
            "OMPI_COMM_WORLD_RANK": env["RANK"],
            "OMPI_COMM_WORLD_SIZE": env["WORLD_SIZE"],
            "OMPI_COMM_WORLD_LOCAL_RANK": env["LOCAL_RANK"],
            "OMPI_COMM_WORLD_LOCAL_SIZE": env["LOCAL_WORLD_SIZE"],
        }
        for env in ranked
    )


def _workers(distribution: Distribution, resources: Resources) -> int:
    return max(1, distribution.worker_count or resources.instance_count)


def _tensorflow(distribution: Distribution, resources: Resources, ports: tuple[int, ...]) -> Processes:
    addresses = [f"{LOOPBACK}:{port}" for port in ports]
    workers = _workers(distribution, resources)
    cluster = {"worker": addresses[:workers]}
    if addresses[workers:]:
        cluster["ps"] = addresses[workers:]
    return tuple(
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})}
        for role, members in cluster.items()
        for index in range(len(members))
    )
