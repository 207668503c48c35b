"""A Kubernetes cluster through a typed client: server-side apply in order, wait until ready, say why not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import httpx2 as httpx
from lightkube import ApiError, Client
from lightkube.config import client_adapter
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Endpoints, Event, Namespace, Pod, Service

from tidemill.backends.cluster import FIELD_MANAGER, find_cluster, speaking_to_cluster
from tidemill.backends.targets.belongings import find_belongings, remove_belongings
from tidemill.backends.targets.namespaces import Namespaces, NamespaceState
from tidemill.backends.targets.objects import NOT_MINE, NOT_THERE, Objects
from tidemill.backends.targets.routes import Routes
from tidemill.backends.targets.scaling import Scaling
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import FailedError
from tidemill.release.labels import DEPLOYMENT_LABEL, ENDPOINT_LABEL, MANAGED, SERVING_ANNOTATION
from tidemill.release.objects import (
    Workload,
    everything_around,
    make_objects,
    service,
    shared_service,
    version_service,
)
from tidemill.release.pod_counts import PodCounts, read_counts
from tidemill.release.routes import Split

POLL_S = 0.5
SWITCH_S = 30.0
LOG_LINES = 20
HOPELESS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
}
RESTARTS_TOLERATED = 2


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version as the cluster sees it."""

    deployment: str
    image: str
    ready: int
    wanted: int
    serving: bool
    annotations: Mapping[str, str]
    model_image: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """Healthy when every wanted pod is ready."""
        return "Healthy" if self.ready >= self.wanted > 0 else "Starting" if self.wanted else "Stopped"


class KubernetesTarget:
    """One cluster and context. Safe to call again: applying twice changes nothing."""

    def __init__(self, context: str = "", clock: Clock | None = None) -> None:
        chosen = find_cluster(context)
        self._client = Client(config=chosen, field_manager=FIELD_MANAGER)
        self._config = chosen
        self._clock = clock or SystemClock()
        self._objects = Objects(self._client)
        self._scaling = Scaling(self._client)
        self._routes = Routes(self._client, self._objects, self._clock)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def apply(self, workload: Workload, *, serving: str = "") -> None:
        """Send every object in order; the Service keeps selecting `serving` until `switch`."""
        self._routes.check(workload, mirror=False)
        for item in make_objects(workload, serving=serving):
            self._scaling.hand_over(item)
            self._objects.apply(item)
        if workload.is_autoscaled:
            self._scaling.at_least(workload.name, workload.namespace, workload.replicas)
        self._routes.drop_share(workload)  # a canary that was killed left a share on its way

    def wait_ready(self, workload: Workload, *, timeout_s: float) -> None:
        """Return when every pod of the version is ready; `FailedError` with the pod's reason and last words if not in time.

        A pod that cannot start (its image is not there, it keeps crashing) fails at once, not at the deadline.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            with speaking_to_cluster(f"reading `{workload.name}`"):
                found = self._client.get(Deployment, workload.name, namespace=workload.namespace)
            if _is_rolled_out(found, workload.replicas):
                return
            reason = self._hopeless(workload)
            if reason or self._clock.monotonic() > deadline:
                raise FailedError(
                    f"`{workload.name}` did not become ready within {timeout_s:g} s: {reason or 'still starting'}\n{self.explain(workload)}",
                    hint="The previous version is still serving.",
                )
            self._clock.sleep(POLL_S)

    def _pods(self, workload: Workload) -> list[Pod]:
        """The version's pods; not those on their way out, which may be of an attempt before this one."""
        with speaking_to_cluster("listing pods"):
            found = list(self._client.list(Pod, namespace=workload.namespace, labels=workload.selector))
        return [p for p in found if p.metadata and not p.metadata.deletionTimestamp]

    def _hopeless(self, workload: Workload) -> str:
        for pod in self._pods(workload):
            if not _runs_image(pod, workload.image):
                continue
            for status in _statuses(pod):
                waiting = status.state.waiting if status.state else None
                if waiting and waiting.reason in HOPELESS:
                    return f"{waiting.reason}: {waiting.message or ''}".strip()
                if status.restartCount >= RESTARTS_TOLERATED:
                    return f"it ended {status.restartCount} times"
        return ""

    def explain(self, workload: Workload) -> str:
        """What the pods and the cluster say: phase, reasons, events, last log lines."""
        lines: list[str] = []
        for pod in self._pods(workload):
            name = pod.metadata.name if pod.metadata else ""
            lines.append(f"pod {name}: {pod.status.phase if pod.status else 'Unknown'}")
            at = _still_preparing(pod)
            lines += [f"  | {line}" for line in self.logs(workload.namespace, name, lines=LOG_LINES, container=at)]
        with speaking_to_cluster("reading events"):
            events = list(self._client.list(Event, namespace=workload.namespace, fields={"type": "Warning"}))
        mine = [e for e in events if (e.involvedObject.name or "").startswith(workload.name)]
        lines += [f"event {e.reason}: {e.message}" for e in mine[-5:]]
        return "\n".join(lines)

    def logs(self, namespace: str, pod: str, *, lines: int = LOG_LINES, container: str | None = None) -> list[str]:
        """The last words of a pod's container, of its previous life if it has said nothing yet in this one."""
        chosen = f"&container={container}" if container else ""
        url = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={lines}{chosen}"
        status, text = self._call(url, None, {})
        if status != HTTPStatus.OK:
            return [f"(no log: {_reason(text)})"]
        if not text:
            status, text = self._call(f"{url}&previous=true", None, {})
        return text.decode(errors="replace").splitlines() if status == HTTPStatus.OK else []

    def switch(self, workload: Workload) -> None:
        """Let the endpoint's Service select this version; requests in flight end where they began.

        Returns when the cluster sends requests to this version's pods alone: until then the others must stay.
        """
        self._objects.apply(service(workload, workload.deployment))
        deadline = self._clock.monotonic() + SWITCH_S
        while not self._arrived(workload):
            if self._clock.monotonic() > deadline:
                raise FailedError(
                    f"The Service `{workload.endpoint}` did not come to select the pods of `{workload.deployment}` within {SWITCH_S:g} s",
                    hint=f"Look at: kubectl -n {workload.namespace} get endpoints {workload.endpoint}",
                )
            self._clock.sleep(POLL_S / 5)

    def _arrived(self, workload: Workload) -> bool:
        """Whether the Service's addresses are pods of the version, and there are any."""
        with speaking_to_cluster(f"reading where `{workload.endpoint}` sends requests"):
            try:
                found = self._client.get(Endpoints, workload.endpoint, namespace=workload.namespace)
            except ApiError as exc:
                if exc.status.code == HTTPStatus.NOT_FOUND:
                    return False
                raise
        names = [a.targetRef.name or "" for s in found.subsets or () for a in s.addresses or () if a.targetRef]
        return bool(names) and all(name.startswith(f"{workload.name}-") for name in names)

    def serving(self, namespace: str, endpoint: str) -> str:
        """Which version the Service selects; empty when there is none."""
        try:
            found = self._client.get(Service, endpoint, namespace=namespace)
        except ApiError as exc:
            if exc.status.code == HTTPStatus.NOT_FOUND:
                return ""
            raise
        selector = found.spec.selector if found.spec and found.spec.selector else {}
        about = (found.metadata.annotations or {}) if found.metadata else {}
        return str(selector.get(DEPLOYMENT_LABEL) or about.get(SERVING_ANNOTATION, ""))

    def settled(self, namespace: str, endpoint: str) -> bool:
        """Whether the Service selects one version and the route leads to it alone, as when no traffic is being moved."""
        with speaking_to_cluster(f"reading where `{endpoint}` sends requests"):
            found = self._client.get(Service, endpoint, namespace=namespace)
        one = bool(found.spec and DEPLOYMENT_LABEL in (found.spec.selector or {}))
        return one and self._routes.settled(namespace, endpoint) and self._scaling.is_free(namespace, endpoint)

    def check_route(self, workload: Workload, *, mirror: bool = False) -> None:
        """`UsageError` when the cluster cannot have the workload's route."""
        self._routes.check(workload, mirror=mirror)

    def why_not_by_weight(self, workload: Workload) -> str:
        """Why nothing here would obey weights on the route; empty when something does."""
        return self._routes.why_not(workload)

    def divide(self, workload: Workload, split: Split) -> str:
        """Give another version a share of the route's requests, or a copy of each; what is doubtful about it, in words."""
        return self._routes.divide(workload, split)

    def settle(self, workload: Workload) -> None:
        """All the route's requests to the endpoint's Service again."""
        self._routes.settle(workload)

    def share(self, workload: Workload, serving: str) -> None:
        """Let the endpoint's Service send requests to every version's pods, `serving` being the one to go back to."""
        self._objects.apply(shared_service(workload, serving))

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Another number of pods of the Deployment `name`; an autoscaler keeps to it until `let_scale`."""
        self._scaling.pin(name, namespace, replicas)

    def let_scale(self, namespace: str, name: str) -> None:
        """The number of pods is the autoscaler's again, if there is one."""
        self._scaling.let(name, namespace)

    def counts(self, workload: Workload) -> dict[str, PodCounts]:
        """Per pod of a version what it counted, read from its `/metrics`; a pod that does not answer is not in it."""
        found: dict[str, PodCounts] = {}
        for pod in self._pods(workload):
            name = pod.metadata.name if pod.metadata and pod.metadata.name else ""
            states = (pod.status.containerStatuses or []) if pod.status else []
            restarts = sum(s.restartCount for s in states)
            url = f"/api/v1/namespaces/{workload.namespace}/pods/{name}:{workload.port}/proxy/metrics"
            status, text = self._call(url, None, {})
            if status == HTTPStatus.OK:
                found[name] = read_counts(text.decode(errors="replace"), restarts=restarts)
            elif restarts:
                found[name] = PodCounts(restarts=restarts)
        return found

    def observe(self, namespace: str, endpoint: str) -> tuple[VersionState, ...]:
        """Every version of an endpoint, by name."""
        with speaking_to_cluster(f"reading endpoint `{endpoint}`"):
            chosen = self.serving(namespace, endpoint)
            found = self._client.list(Deployment, namespace=namespace, labels={ENDPOINT_LABEL: endpoint})
            return tuple(sorted((_state(d, chosen) for d in found), key=lambda v: v.deployment))

    def delete_version(self, workload: Workload) -> None:
        """Remove one version and what belongs to it alone, an autoscaler of other times included."""
        every = replace(workload, route="service", max_replicas=workload.replicas + 1)
        for item in reversed([version_service(workload), *make_objects(every)]):
            if item["metadata"]["name"] == workload.name:
                self._objects.delete(item)

    def prune(self, workload: Workload) -> None:
        """Remove what may be around an endpoint and is not wished any more: an autoscaler, a route, a frontend."""
        wished = {(o["kind"], o["metadata"]["name"]) for o in make_objects(workload)}
        for item in everything_around(workload):
            if (item["kind"], item["metadata"]["name"]) not in wished:
                # an account that may not touch HTTPRoutes has made none
                self._objects.delete(item, tolerated=NOT_MINE if item["kind"] == "HTTPRoute" else NOT_THERE)

    def belongings(self, namespace: str, endpoint: str) -> tuple[str, ...]:
        """Kind and name of everything there is of an endpoint."""
        found = find_belongings(self._objects, namespace, endpoint)
        return tuple(f"{o['kind']} {o['metadata']['name']}" for o in found)

    def take_down(self, namespace: str, endpoint: str, *, timeout_s: float) -> None:
        """Remove everything of an endpoint, and return when its pods are gone; the namespace stays."""
        remove_belongings(self._objects, self._clock, namespace, endpoint, timeout_s=timeout_s)

    def delete_endpoint(self, workload: Workload, *, with_namespace: bool = False) -> None:
        """Remove everything of an endpoint; the namespace too only when asked and when it is ours."""
        for item in find_belongings(self._objects, workload.namespace, workload.endpoint):
            self._objects.delete(item)
        if with_namespace:
            self._delete_namespace(workload.namespace)

    def _delete_namespace(self, name: str) -> None:
        with speaking_to_cluster(f"deleting namespace `{name}`"):
            found = self._client.get(Namespace, name)
            labels = found.metadata.labels if found.metadata and found.metadata.labels else {}
            if labels.items() >= MANAGED.items():
                self._client.delete(Namespace, name)

    def mark_namespace(
        self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str], *, owner: str
    ) -> None:
        """Make or mark a namespace; one without the label `owner` is somebody else's."""
        with speaking_to_cluster(f"marking namespace `{name}`"):
            Namespaces(self._client, self._clock).mark(name, labels, annotations, owner=owner)

    def find_namespaces(self, label: str, value: str) -> list[NamespaceState]:
        """Namespaces with that label."""
        with speaking_to_cluster("listing namespaces"):
            return Namespaces(self._client, self._clock).find(label, value)

    def drop_namespace(self, name: str, *, timeout_s: float) -> None:
        """Delete a namespace and wait until it is gone."""
        with speaking_to_cluster(f"deleting namespace `{name}`"):
            Namespaces(self._client, self._clock).drop(name, timeout_s=timeout_s)

    def request(
        self,
        namespace: str,
        endpoint: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Call the endpoint through its Service by the API server's proxy: the real route, from outside the cluster."""
        url = f"/api/v1/namespaces/{namespace}/services/http:{endpoint}:http/proxy{path}"
        return self._call(url, body, headers or {})

    def request_pod(
        self, workload: Workload, path: str, *, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Call one pod of a version that does not serve yet, by the API server's proxy."""
        ready = [
            p.metadata.name
            for p in self._pods(workload)
            if p.metadata and p.metadata.name and _runs_image(p, workload.image)
        ]
        if not ready:
            raise FailedError(f"`{workload.name}` has no pod")
        url = f"/api/v1/namespaces/{workload.namespace}/pods/{ready[0]}:{workload.port}/proxy{path}"
        return self._call(url, body, headers)

    def _call(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        params = client_adapter.ConnectionParams(timeout=httpx.Timeout(60))
        with speaking_to_cluster("calling the endpoint"), client_adapter.Client(self._config, params) as http:
            answer = http.request("POST" if body is not None else "GET", url, content=body, headers=dict(headers))
            return answer.status_code, answer.content


def _is_rolled_out(found: Any, replicas: int) -> bool:  # noqa: ANN401 - the client's model has optional everything
    status = found.status
    if status is None or status.observedGeneration != found.metadata.generation:
        return False
    return (
        (status.updatedReplicas or 0) >= replicas
        and (status.readyReplicas or 0) >= replicas
        and status.replicas == status.updatedReplicas
    )


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


def _state(found: Any, serving: str) -> VersionState:  # noqa: ANN401
    labels = found.metadata.labels or {}
    name = labels.get(DEPLOYMENT_LABEL, "")
    pod = found.spec.template.spec
    return VersionState(
        deployment=name,
        image=pod.containers[0].image,
        ready=(found.status.readyReplicas or 0) if found.status else 0,
        wanted=found.spec.replicas or 0,
        serving=name == serving,
        annotations=found.metadata.annotations or {},
        model_image=next((c.image for c in pod.initContainers or () if c.name == "model"), ""),
        arguments=tuple(pod.containers[0].args or ()),
    )


def open_target(context: str = "") -> KubernetesTarget:
    """The cluster of a kubeconfig context, or of the current one."""
    return KubernetesTarget(context)
