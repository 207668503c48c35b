"""The pods of a version in a cluster: why they do not come, what they say, what they counted, and asking one."""

from __future__ import annotations

import builtins
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from lightkube import Client
from lightkube.resources.core_v1 import Event, Pod

from tidemill.backends.cluster import HOPELESS, speaking_to_cluster
from tidemill.backends.targets.causes import container_words, events_of, how_it_ended, memory_hint
from tidemill.backends.targets.proxy import ClusterProxy
from tidemill.base.errors import FailedError
from tidemill.release.frontend import FRONTEND_MEMORY
from tidemill.release.labels import FRONTEND_LABEL
from tidemill.release.pod_counts import PodCounts, read_counts
from tidemill.release.workload import Workload

LOG_LINES = 20
RESTARTS_TOLERATED = 2
PACK = """
import os, sys, tarfile
root = sys.argv[1]
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not name.startswith("."):
                archive.add(path, os.path.relpath(path, root))
"""


@dataclass(frozen=True, slots=True)
class PodGroup:
    """The pods of one Deployment: a version's, or its frontend's."""

    name: str
    namespace: str
    selector: Mapping[str, str]
    image: str
    container: str
    memory_limit: str

    @staticmethod
    def of_version(workload: Workload) -> PodGroup:
        """The version's own."""
        place = (workload.name, workload.namespace, workload.selector)
        return PodGroup(*place, workload.image, "server", workload.memory_limit)

    @staticmethod
    def of_frontend(workload: Workload) -> PodGroup:
        """Those of the frontend before it."""
        place = (workload.frontend_name, workload.namespace, {FRONTEND_LABEL: workload.endpoint})
        return PodGroup(*place, workload.frontend_image, "frontend", FRONTEND_MEMORY)


class Pods:
    """The pods of versions in one cluster."""

    def __init__(self, client: Client, proxy: ClusterProxy) -> None:
        self._client, self._proxy = client, proxy

    def list(self, workload: Workload | PodGroup) -> builtins.list[Pod]:
        """The version's pods; not those on their way out, which may be of an attempt before this one."""
        with speaking_to_cluster("listing pods"):
            found = builtins.list(self._client.list(Pod, namespace=workload.namespace, labels=dict(workload.selector)))
        return [p for p in found if p.metadata and not p.metadata.deletionTimestamp]

    def why_hopeless(self, workload: PodGroup) -> str:
        """Why the version's pods will never be ready; empty while they may be."""
        for pod in self.list(workload):
            if not _runs_image(pod, workload.image):
                continue
            for status in _statuses(pod):
                waiting = status.state.waiting if status.state else None
                if waiting and waiting.reason in HOPELESS:
                    return f"{waiting.reason}: {waiting.message or ''}".strip()
                if status.restartCount >= RESTARTS_TOLERATED:
                    cause = how_it_ended(status)
                    words = f"it ended {status.restartCount} times" + (f", last: {cause}" if cause else "")
                    return words + memory_hint(cause, workload.memory_limit)
        return ""

    def explain(self, workload: PodGroup) -> str:
        """What the pods and the cluster say: phase, reasons, events, last log lines."""
        lines: builtins.list[str] = []
        pods = self.list(workload)
        for pod in pods:
            name = pod.metadata.name if pod.metadata and pod.metadata.name else ""
            lines.append(f"pod {name}: {pod.status.phase if pod.status else 'Unknown'}")
            lines += [f"  {words}" for words in container_words(pod, _statuses(pod))]
            at = _still_preparing(pod) or workload.container
            lines += [f"  | {line}" for line in self.logs(workload.namespace, name, lines=LOG_LINES, container=at)]
        with speaking_to_cluster("reading events"):
            events = builtins.list(self._client.list(Event, namespace=workload.namespace, fields={"type": "Warning"}))
        return "\n".join([*lines, *events_of(events, workload.name, pods)[-5:]])

    def logs(
        self, namespace: str, pod: str, *, lines: int = LOG_LINES, container: str | None = None
    ) -> builtins.list[str]:
        """The last words of a pod's container, of its previous life if it has said nothing yet in this one."""
        chosen = f"&container={container}" if container else ""
        url = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={lines}{chosen}"
        status, text = self._proxy.call(url, None, {})
        if status == HTTPStatus.OK and text:
            return text.decode(errors="replace").splitlines()
        before, last = self._proxy.call(f"{url}&previous=true", None, {})
        if before == HTTPStatus.OK and last:
            return last.decode(errors="replace").splitlines()
        return ["(it wrote nothing)"] if status == HTTPStatus.OK else [f"(no log: {_reason(text)})"]

    def said(self, workload: Workload, words: str) -> str:
        """The last line in a pod's log that has these words in it; empty when none has."""
        for pod in self.list(workload):
            name = pod.metadata.name if pod.metadata and pod.metadata.name else ""
            lines = [line for line in self.logs(workload.namespace, name, lines=200) if words in line]
            if lines:
                return lines[-1]
        return ""

    def bring(self, workload: Workload, folder: str, into: Path) -> None:
        """What is in a folder that the version's pods see, below `into`; files whose names begin with a dot are not done yet."""
        names = [p.metadata.name for p in self.list(workload) if p.metadata and p.metadata.name]
        if not names:
            raise FailedError(f"`{workload.name}` has no pod that could read {folder}")
        with TemporaryFile() as packed:
            self._proxy.run(workload.namespace, names[0], ["python3", "-c", PACK, folder], packed.write)
            packed.seek(0)
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                archive.extractall(into, filter="data")

    def counts(self, workload: Workload, headers: Mapping[str, str]) -> dict[str, PodCounts]:
        """Per pod of a version what it counted, read from its `/metrics`; a pod that does not answer is not in it."""
        found: dict[str, PodCounts] = {}
        for pod in self.list(workload):
            name = pod.metadata.name if pod.metadata and pod.metadata.name else ""
            states = (pod.status.containerStatuses or []) if pod.status else []
            restarts = sum(s.restartCount for s in states)
            url = f"/api/v1/namespaces/{workload.namespace}/pods/{name}:{workload.port}/proxy/metrics"
            status, text = self._proxy.call(url, None, headers)
            if status == HTTPStatus.OK:
                found[name] = read_counts(text.decode(errors="replace"), restarts=restarts)
            elif restarts:
                found[name] = PodCounts(restarts=restarts)
        return found

    def request(
        self, workload: Workload, path: str, *, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Call one pod of a version that does not serve yet, by the API server's proxy."""
        ready = [
            p.metadata.name
            for p in self.list(workload)
            if p.metadata and p.metadata.name and _runs_image(p, workload.image)
        ]
        if not ready:
            raise FailedError(f"`{workload.name}` has no pod")
        url = f"/api/v1/namespaces/{workload.namespace}/pods/{ready[0]}:{workload.port}/proxy{path}"
        return self._proxy.call(url, body, headers)


def _runs_image(pod: Any, image: str) -> bool:  # noqa: ANN401
    containers: Sequence[Any] = pod.spec.containers if pod.spec else []
    return any(c.image == image for c in containers)


def _reason(text: bytes) -> str:
    """The message of the API server's refusal."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode(errors="replace")


def _statuses(pod: Any) -> list[Any]:  # noqa: ANN401
    """Of the containers that prepare a pod, then of those that serve."""
    status = pod.status
    return [*(status.initContainerStatuses or []), *(status.containerStatuses or [])] if status else []


def _still_preparing(pod: Any) -> str | None:  # noqa: ANN401
    """The container that has to end before the server may start and has not; None for a pod that is past that."""
    for status in (pod.status.initContainerStatuses or []) if pod.status else []:
        ended = status.state.terminated if status.state else None
        if ended is None or ended.exitCode != 0:
            return str(status.name)
    return None
