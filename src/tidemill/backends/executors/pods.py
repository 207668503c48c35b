"""One cluster's pods of steps: made, waited for, spoken to, taken away."""

from __future__ import annotations

import io
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

import httpx2 as httpx
from lightkube import ApiError, Client
from lightkube.codecs import from_dict
from lightkube.config import client_adapter
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import CascadeType

from tidemill.backends.cluster import FIELD_MANAGER, HOPELESS, find_cluster, learn_kinds, speaking_to_cluster
from tidemill.backends.executors import remote_worker
from tidemill.backends.executors.pod_objects import (
    AGENT,
    LABEL_JOB,
    Object,
    PodRequest,
    as_label,
    make_agent,
    make_job,
)
from tidemill.backends.executors.remote import unpack_below
from tidemill.backends.pod_exec import run_in_pod
from tidemill.base.errors import BackendError, FailedError

POLL_S = 0.3
REACH_S = 60.0
RETRY_S = 1.0
SILENCE_S = 60.0  # the pod says something every ten
LENGTH = 16
SPOOL_BYTES = 64 << 20
SENT_THERE = tuple(Path(__file__).with_name(name) for name in ("pod_agent.py", "remote_worker.py"))
LOST = {"Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "UnexpectedAdmissionError"}


MODELS = (("batch/v1", "Job"), ("v1", "Pod"), ("v1", "Namespace"), ("v1", "ConfigMap"))
_PREPARING = threading.Lock()
HINT_OF_IMAGE = (
    "Name an image in place of `{image}` that the nodes can pull: in the environment's document, by `image` of the compute "
    "(below packages), or `environments: {{NAME: {{python: container, image: …}}}}`. For one behind a login: `pull_secret`."
)


class PodLostError(BackendError):
    """The pod is gone for a reason that says nothing about the step."""


class StepPods:
    """The pods in one namespace of the cluster of a kubeconfig context."""

    def __init__(self, context: str, namespace: str) -> None:
        _prepare_models()
        config = find_cluster(context)
        learn_kinds(Job, Pod, Namespace, ConfigMap)
        self.namespace = namespace or config.namespace or "default"
        self._client = Client(config=config, field_manager=FIELD_MANAGER)
        self._http = client_adapter.Client(
            config, client_adapter.ConnectionParams(timeout=httpx.Timeout(60, pool=None))
        )
        self._agent = ""
        self._has_listed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
        self._http.close()

    def agent(self) -> str:
        """The name of the program's ConfigMap, put there when the first step wants it."""
        with self._lock:
            if not self._agent:
                wanted = make_agent(self.namespace, SENT_THERE)
                self._require_namespace()
                self._apply(wanted)
                self._agent = wanted["metadata"]["name"]
            return self._agent

    def create(self, request: PodRequest) -> None:
        """Make the step's Job."""
        with speaking_to_cluster(f"making job `{request.name}`"):
            self._client.create(from_dict(make_job(request)))

    def await_running(self, name: str, canceled: Callable[[], bool], say: Callable[[str], None]) -> str:
        """The name of the job's pod once it runs; empty when `canceled` says so before.

        A pod that can never start (no such image, no Python in it) is a `FailedError` at once; one that waits for room
        waits, and `say` is told why.
        """
        told = ""
        while not canceled():
            pod = self._find(name)
            if pod is not None:
                self._require_hope(pod)
                if pod.status and pod.status.phase == "Running":
                    return str(pod.metadata.name)
                reason = _why_waiting(pod)
                if reason and reason != told:
                    told = reason
                    say(f"waiting for the cluster: {reason}")
            time.sleep(POLL_S)
        return ""

    def send(self, pod: str, spec: Mapping[str, Any], roots: Sequence[str]) -> None:
        """Hand the task over: its description and its files."""
        head = json.dumps(spec).encode()
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            spool.write(b"%016d" % len(head) + head)
            remote_worker.pack_trees(roots, spool, spec["folder"])
            spool.seek(0)
            with self._while_it_is_there(pod):
                self._agent_in(pod, "receive", stdin=spool)

    def follow(self, pod: str, sinks: Sequence[Callable[[str], None]], known: Sequence[int]) -> dict[str, Any]:
        """Give each sink what is added to its file, from so many bytes on, while the task runs; how it ended.

        A torn line is taken up again.
        """
        offsets = list(known)
        ends: list[dict[str, Any]] = []

        def hear(message: list[Any]) -> None:
            if message[0] == "end":
                ends.append(message[1])
            if not isinstance(message[0], int):
                return
            offsets[message[0]] += len(message[1].encode("utf-8", "surrogateescape"))
            sinks[message[0]](message[1])

        trouble_since = 0.0
        while not ends:
            lines = _Lines(hear)
            before = list(offsets)
            try:
                self._agent_in(pod, "follow", *map(str, offsets), sink=lines.take, silence_s=SILENCE_S)
            except (BackendError, httpx.HTTPError, OSError, TimeoutError) as exc:
                trouble_since = time.monotonic() if offsets != before or not trouble_since else trouble_since
                self._require_running(pod, exc, trouble_since)
                time.sleep(RETRY_S)
        return ends[0]

    def find_taken(self, name: str) -> tuple[str, str] | None:
        """The pod of a job and the folder its task works in; None when it has no task, or is gone."""
        pod = self._find(name)
        if pod is None or not pod.status or pod.status.phase != "Running":
            return None
        said = io.BytesIO()
        self._agent_in(str(pod.metadata.name), "folder", sink=said.write)
        return str(pod.metadata.name), str(json.loads(said.getvalue()))

    def collect(self, pod: str, folder: Path, there: str) -> None:
        """Bring back what the task wrote below its folder, which is called `there` in the pod."""
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool, self._while_it_is_there(pod):
            self._agent_in(pod, "collect", sink=spool.write)
            spool.seek(0)
            unpack_below(spool, folder, there)
            self._agent_in(pod, "collected")

    def cancel(self, pod: str) -> None:
        """Ask the task to end."""
        self._agent_in(pod, "cancel")

    def delete(self, name: str) -> bool:
        """Take a job and its pod away; whether it was there."""
        with speaking_to_cluster(f"deleting job `{name}`"):
            try:
                self._client.delete(Job, name, namespace=self.namespace, cascade=CascadeType.BACKGROUND)
            except ApiError as exc:
                if exc.status.code == HTTPStatus.NOT_FOUND:
                    return False
                raise
        return True

    def of_job(self, job: str) -> list[str]:
        """The names of the Jobs a Tidemill job has here."""
        with speaking_to_cluster("listing jobs"):
            found = self._client.list(Job, namespace=self.namespace, labels={LABEL_JOB: as_label(job)})
            return [str(j.metadata.name) for j in found]

    def _require_namespace(self) -> None:
        with speaking_to_cluster(f"namespace `{self.namespace}`"):
            try:
                self._client.get(Namespace, self.namespace)
            except ApiError as exc:
                if exc.status.code == HTTPStatus.NOT_FOUND:
                    self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
                elif exc.status.code != HTTPStatus.FORBIDDEN:  # an account of one namespace may not look at it
                    raise

    def _apply(self, item: Object) -> None:
        with speaking_to_cluster(f"{item['kind']} `{item['metadata']['name']}`"):
            self._client.apply(from_dict(item), force=True)

    def _find(self, name: str) -> Any:  # noqa: ANN401 - the client's model has optional everything
        with ExitStack() as held:
            if not self._has_listed:  # the type of a list is made for the first one
                held.enter_context(_PREPARING)
            held.enter_context(speaking_to_cluster("looking at a step's pod"))
            found = list(self._client.list(Pod, namespace=self.namespace, labels={"job-name": name}))
            self._has_listed = True
        return next(iter(found), None)

    def _require_hope(self, pod: Any) -> None:  # noqa: ANN401
        name, status = pod.metadata.name, pod.status
        if status and status.reason in LOST:
            raise PodLostError(f"pod `{name}` was lost: {status.reason}: {status.message or ''}")
        for container in (status.containerStatuses or []) if status else []:
            waiting, ended = container.state.waiting, container.state.terminated
            if waiting and waiting.reason in HOPELESS:
                raise FailedError(
                    f"pod `{name}` cannot start: {waiting.reason}: {waiting.message or ''}",
                    hint=HINT_OF_IMAGE.format(image=container.image) if "Image" in waiting.reason else "",
                )
            if ended:
                said = self._last_words(name) or ended.message or ended.reason or ""
                raise FailedError(
                    f"pod `{name}` ended before it took its step (exit code {ended.exitCode}): {said}",
                    hint="Its image must have `python3`, 3.8 or newer.",
                )

    @contextmanager
    def _while_it_is_there(self, pod: str) -> Iterator[None]:
        """What fails because the pod is being taken away says nothing about the step."""
        try:
            yield
        except (BackendError, httpx.HTTPError, OSError) as exc:
            self._require_running(pod, exc, time.monotonic())
            raise

    def _require_running(self, pod: str, cause: Exception, since: float) -> None:
        """Return if the pod is still there, or the cluster has been silent for a short time only."""
        if time.monotonic() - since > REACH_S:
            raise PodLostError(f"the cluster did not answer for {REACH_S:g} s: {cause}") from cause
        try:
            found: Any = self._client.get(Pod, pod, namespace=self.namespace)
        except ApiError as exc:
            raise PodLostError(f"pod `{pod}` is gone: {exc.status.message}") from exc
        except httpx.HTTPError:
            return
        if found.metadata.deletionTimestamp or found.status.phase in {"Failed", "Succeeded", "Unknown"}:
            raise PodLostError(f"pod `{pod}` was lost: {found.status.reason or found.status.phase}") from cause

    def _last_words(self, pod: str) -> str:
        try:
            return " | ".join(line.strip() for line in self._client.log(pod, namespace=self.namespace, tail_lines=5))
        except ApiError:
            return ""

    def _agent_in(
        self,
        pod: str,
        *words: str,
        stdin: IO[bytes] | None = None,
        sink: Callable[[bytes], object] = len,
        silence_s: float | None = None,
    ) -> None:
        argv = ["python3", f"{AGENT}/pod_agent.py", *words]
        run_in_pod(self._http, (self.namespace, pod), argv, stdin=stdin, sink=sink, silence_s=silence_s)


def _prepare_models() -> None:
    """Have the client learn its types in one thread: msgspec, which it is made of, crashes when two do so at once."""
    with _PREPARING:
        for version, kind in MODELS:
            from_dict({"apiVersion": version, "kind": kind})


class _Lines:
    """Cuts what comes in pieces into JSON lines."""

    def __init__(self, hear: Callable[[list[Any]], None]) -> None:
        self._hear = hear
        self._rest = io.BytesIO()

    def take(self, data: bytes) -> None:
        self._rest.write(data)
        if b"\n" not in data:
            return
        *lines, rest = self._rest.getvalue().split(b"\n")
        self._rest = io.BytesIO()
        self._rest.write(rest)
        for line in lines:
            self._hear(json.loads(line))


def _why_waiting(pod: Any) -> str:  # noqa: ANN401
    status = pod.status
    for condition in (status.conditions or []) if status else []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{condition.reason}: {condition.message}"
    return ""
