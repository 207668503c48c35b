"""Steps as actors of a Ray cluster: each reserves its CPUs and GPUs, its log comes back, a lost node is said to be lost."""

from __future__ import annotations

import io
import logging
import os
import secrets
import tarfile
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import ray
from ray import cloudpickle
from ray.exceptions import RayActorError, RayError

from tidemill.backends.executors import remote_worker
from tidemill.backends.executors.ray_address import HINT, require_cluster
from tidemill.backends.executors.remote import cut_to_lines, detach_tracking, growing, travelling, unpack_below
from tidemill.backends.executors.threads import TaskThreads
from tidemill.base.errors import BackendError, UsageError
from tidemill.base.ids import JobName
from tidemill.run.ports import Task, TaskEnd, TaskWatch, Ticket

GRACE_S = 5.0
POLL_S = 0.2
TELL_S = 2.0
CALLS_AT_ONCE = 4
NAMESPACE = "tidemill"


class RayExecutor:
    """Runs each task on a node with room for it. `address` is a cluster's (`auto`, `host:port`); empty starts one here."""

    _connected: ClassVar[str | None] = None  # Ray speaks to one cluster in a process

    def __init__(self, address: str = "", *, slots: int | None = None, grace_s: float = GRACE_S) -> None:
        self._address = address
        self._grace_s = grace_s
        self._wished_slots = slots
        self._tasks: TaskThreads[Any] = TaskThreads("ray", lambda worker: worker.cancel.remote())
        self._connect()

    @property
    def slots(self) -> int:
        """As many tasks as the cluster has CPUs."""
        return self._wished_slots or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def count_parts(self, workers: int, instances: int) -> int:  # noqa: ARG002 - a worker goes where there is room
        """A task for each process: each waits for a CPU of its own, on whatever node has one."""
        return workers or self.slots

    def submit(self, task: Task, watch: TaskWatch) -> None:
        """Start the task in a thread of its own, which waits for room on the cluster and then for its end."""
        self._tasks.start(task, watch, self._drive)

    def cancel(self, ticket: Ticket) -> None:
        """Ask the task's processes to end; one that waits for room does not start."""
        self._tasks.cancel(ticket)

    def reap(self, job: JobName, handles: Iterable[str], spare: Collection[str] = ()) -> int:  # noqa: ARG002 - its handles name what it started
        """End actors a killed run left; Ray itself ends those whose driver is gone."""
        found = 0
        for handle in handles:
            kind, _, name = handle.partition(":")
            if kind == "ray":
                try:
                    ray.kill(ray.get_actor(name, namespace=NAMESPACE))
                    found += 1
                except ValueError:
                    continue  # gone
        return found

    def close(self) -> None:
        """End everything still running; a cluster that was started here goes too."""
        self._tasks.close()
        ray.shutdown()
        RayExecutor._connected = None

    def _connect(self) -> None:
        if ray.is_initialized():
            if RayExecutor._connected not in (None, self._address):
                raise UsageError(
                    f"Computes name two Ray clusters, `{RayExecutor._connected}` and `{self._address}`: a run speaks to one",
                    hint="Give them the same `address` in tidemill.yaml, or run their jobs one by one.",
                )
            return
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        require_cluster(self._address)
        logging.getLogger("ray").setLevel(logging.ERROR)  # it advises those who started the cluster
        quiet = {
            "log_to_driver": False,
            "configure_logging": False,
            "include_dashboard": None if self._address else False,
        }
        try:
            ray.init(
                address=self._address or "local",
                namespace=NAMESPACE,
                **{k: v for k, v in quiet.items() if v is not None},
            )
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as exc:
            raise BackendError(
                f"Ray could not use the cluster at `{self._address or 'this machine'}`: {str(exc).splitlines()[0].partition('. ')[0]}",
                hint=HINT,
            ) from exc
        RayExecutor._connected = self._address
        cloudpickle.register_pickle_by_value(remote_worker)

    def _drive(self, task: Task, watch: TaskWatch) -> TaskEnd:
        """From waiting for room to the end of the task."""
        name = f"{task.job}-{task.step}-{secrets.token_hex(4)}"
        try:
            return self._run(task, watch, name)
        except RayActorError as exc:
            return TaskEnd(None, lost=True, message=f"its Ray node was lost: {str(exc).splitlines()[0]}")
        except (RayError, OSError, tarfile.TarError) as exc:
            return TaskEnd(None, message=f"Ray could not run it: {str(exc).splitlines()[0] if str(exc) else exc!r}")

    def _run(self, task: Task, watch: TaskWatch, name: str) -> TaskEnd:
        worker = self._place(task, watch, name)
        if worker is None:
            return TaskEnd(None, canceled=True)
        try:
            shared = self._shares_files(worker, task)
            known = [cut_to_lines(path) for path in growing(task)]
            if not shared:
                ray.get(worker.unpack.remote(_pack(task), str(task.folder)))
            watch.started(f"ray:{name}")
            over = worker.run.remote(_spec(task if shared else detach_tracking(task), self._grace_s))
            self._follow(worker, over, watch, task, known, shared=shared)
            end = ray.get(over)
            if not shared:
                unpack_below(io.BytesIO(ray.get(worker.pack.remote(str(task.folder)))), task.folder)
            return TaskEnd(**end)
        finally:
            ray.kill(worker)

    def _place(self, task: Task, watch: TaskWatch, name: str) -> Any:  # noqa: ANN401 - an actor handle
        """A worker on a node with room; None when the task was canceled while it waited."""
        wants = task.resources
        needs = {"CPU": wants.cpus * wants.instance_count, "GPU": wants.gpus * wants.instance_count}
        worker = (
            ray.remote(remote_worker.Worker)
            .options(
                name=name,
                max_concurrency=CALLS_AT_ONCE,
                max_restarts=0,
                scheduling_strategy="SPREAD" if task.apart else "DEFAULT",
                num_cpus=needs["CPU"],
                num_gpus=needs["GPU"],
            )
            .remote()
        )
        up = worker.where.remote()
        if not ray.wait([up], timeout=TELL_S)[0]:
            _tell_what_is_missing(needs, watch, task)
        while not ray.wait([up], timeout=POLL_S)[0]:
            if self._tasks.is_canceled(task.ticket):
                ray.kill(worker)
                return None
        ray.get(up)
        self._tasks.runs_as(task.ticket, worker)
        return worker

    def _shares_files(self, worker: Any, task: Task) -> bool:  # noqa: ANN401
        """Whether the node sees the task's folder itself, and not just a path of the same name."""
        probe, text = task.folder / f".probe-{secrets.token_hex(6)}", secrets.token_hex(16)
        probe.write_text(text, encoding="utf-8")
        try:
            return bool(ray.get(worker.sees.remote(str(probe), text)))
        finally:
            probe.unlink()

    def _follow(self, worker: Any, over: Any, watch: TaskWatch, task: Task, known: list[int], *, shared: bool) -> None:  # noqa: ANN401
        """Hand on each line while the task runs; of a node that shares no files, what grows is written here, too.

        So many bytes of its files are `known` here.
        """
        if not watch.wrote and shared:
            ray.wait([over])
            return
        told = 0
        ended = False
        while not ended:
            ended = bool(ray.wait([over], timeout=POLL_S)[0])
            for line in ray.get(worker.read.remote(told)):
                told += 1
                if watch.wrote:
                    watch.wrote(line)
                if not shared:
                    with task.log.open("a", encoding="utf-8") as log:
                        log.write(f"{line}\n")
            for number, path in enumerate(() if shared else growing(task)):
                data = ray.get(worker.read_on.remote(str(path), known[number]))
                known[number] += len(data)
                if data:
                    with path.open("ab") as file:
                        file.write(data)


def _tell_what_is_missing(needs: Mapping[str, float], watch: TaskWatch, task: Task) -> None:
    """Say what no node has, free or taken: until one joins that has it, the task waits."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(kind, 0) >= amount for kind, amount in needs.items()) for node in nodes):
        return
    wanted = " and ".join(f"{amount:g} {kind}s" for kind, amount in needs.items() if amount)
    line = f"waiting for a node with {wanted}: the Ray cluster has none (`job cancel` ends the wait)"
    with task.log.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")
    if watch.wrote:
        watch.wrote(line)


def _spec(task: Task, grace_s: float) -> dict[str, Any]:
    return {
        "argv": list(task.argv), "command": task.command, "cwd": str(task.cwd), "env": dict(task.env), "log": str(task.log),
        "processes": [dict(p) for p in task.processes], "timeout_s": task.timeout_s, "grace_s": grace_s, "secrets": list(task.secrets),
    }  # fmt: skip


def _pack(task: Task) -> bytes:
    buffer = io.BytesIO()
    remote_worker.pack_trees(travelling(task), buffer, str(task.folder))
    return buffer.getvalue()


def open_executor(settings: Any, *_: object) -> RayExecutor:  # noqa: ANN401 - a compute's mapping: `address`, `slots`
    """An executor on a cluster, or on one that is started here."""
    return RayExecutor(settings.address or "", slots=settings.slots)
