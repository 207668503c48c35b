"""A Kubernetes cluster through a typed client: server-side apply in order, wait until ready, say why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lightkube import ApiError, Client
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Endpoints, Namespace, Service

from tidemill.backends.cluster import FIELD_MANAGER, find_cluster, speaking_to_cluster
from tidemill.backends.targets.belongings import find_belongings, remove_belongings
from tidemill.backends.targets.keys import Keys
from tidemill.backends.targets.namespaces import Namespaces, NamespaceState
from tidemill.backends.targets.objects import NOT_MINE, NOT_THERE, Objects
from tidemill.backends.targets.pods import PodGroup, Pods
from tidemill.backends.targets.proxy import ClusterProxy
from tidemill.backends.targets.routes import Routes
from tidemill.backends.targets.scaling import Scaling
from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import FailedError
from tidemill.release.labels import DEPLOYMENT_LABEL, ENDPOINT_LABEL, MANAGED, SERVING_ANNOTATION
from tidemill.release.objects import everything_around, make_objects, service, shared_service, version_service
from tidemill.release.pod_counts import PodCounts
from tidemill.release.routes import Split
from tidemill.release.workload import Workload

POLL_S = 0.5
SWITCH_S = 30.0
ASK_S = 2


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
        self._proxy = ClusterProxy(chosen)
        self._pods = Pods(self._client, self._proxy)
        self._clock = clock or SystemClock()
        self._objects = Objects(self._client)
        self._keys = Keys(self._client)
        self._scaling = Scaling(self._client)
        self._routes = Routes(self._client, self._objects, self._clock)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def version(self) -> str:
        """Of the cluster, as `1.20`; a cluster that does not answer soon is out of reach."""
        status, text = self._proxy.call("/version", None, {}, timeout_s=ASK_S)
        found = (
            re.match(r"v?(1\.\d+)", str(json.loads(text).get("gitVersion", ""))) if status == HTTPStatus.OK else None
        )
        return found[1] if found else ""

    def apply(self, workload: Workload, *, serving: str = "") -> None:
        """Send every object in order; the Service keeps selecting `serving` until `switch`."""
        self._routes.check(workload, mirror=False)
        for item in make_objects(workload, serving=serving):
            if item["kind"] == "ServiceAccount":
                self._keys.ensure(workload)  # the namespace is there by now, the pods are not
            self._scaling.hand_over(item)
            self._objects.apply(item)
        if workload.is_autoscaled:
            self._scaling.at_least(workload.name, workload.namespace, workload.replicas)
        self._routes.drop_share(workload)  # a canary that was killed left a share on its way

    def wait_ready(self, workload: Workload, *, timeout_s: float) -> None:
        """Return when every pod of the version, and of the frontend before it, is ready; `FailedError` with the pod's reason and last words if not in time.

        A pod that cannot start (its image is not there, it keeps crashing) fails at once, not at the deadline.
        """
        self._wait(PodGroup.of_version(workload), workload.replicas, timeout_s)
        if workload.frontend_image:
            self._wait(PodGroup.of_frontend(workload), None, timeout_s)

    def _wait(self, group: PodGroup, replicas: int | None, timeout_s: float) -> None:
        """Until so many pods are ready, or as many as the Deployment asks for."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            with speaking_to_cluster(f"reading `{group.name}`"):
                found = self._client.get(Deployment, group.name, namespace=group.namespace)
            asked = found.spec.replicas if found.spec else None
            if _is_rolled_out(found, (asked or 1) if replicas is None else replicas):
                return
            reason = self._pods.why_hopeless(group)
            if reason or self._clock.monotonic() > deadline:
                raise FailedError(
                    f"`{group.name}` did not become ready within {timeout_s:g} s: {reason or 'still starting'}\n{self._pods.explain(group)}",
                    hint="The previous version is still serving.",
                )
            self._clock.sleep(POLL_S)

    def counts(self, workload: Workload) -> dict[str, PodCounts]:
        """Per pod of a version what it counted."""
        return self._pods.counts(workload, self._keys.headers(workload))

    def key_headers(self, workload: Workload) -> dict[str, str]:
        """What lets a request of ours in, where the endpoint asks for a key."""
        return self._keys.headers(workload)

    def keys(self, namespace: str, endpoint: str, *, renew: str = "") -> tuple[str, str]:
        """The endpoint's two keys; with `renew`, after they were made anew as `release.keypair` says."""
        return self._keys.renew(namespace, endpoint, renew) if renew else self._keys.read(namespace, endpoint)

    def said(self, workload: Workload, words: str) -> str:
        """The last line in a pod's log that has these words in it; empty when none has."""
        return self._pods.said(workload, words)

    def bring(self, workload: Workload, folder: str, into: Path) -> None:
        """What is in a folder that the version's pods see, below `into`."""
        self._pods.bring(workload, folder, into)

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
        return self._proxy.call(url, body, headers or {})

    def request_pod(
        self, workload: Workload, path: str, *, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Call one pod of a version that does not serve yet, by the API server's proxy."""
        return self._pods.request(workload, path, body=body, headers=headers)


def _is_rolled_out(found: Any, replicas: int) -> bool:  # noqa: ANN401 - the client's model has optional everything
    status = found.status
    if status is None or status.observedGeneration != found.metadata.generation:
        return False
    return (
        (status.updatedReplicas or 0) >= replicas
        and (status.readyReplicas or 0) >= replicas
        and status.replicas == status.updatedReplicas
    )


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
