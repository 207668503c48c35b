"""Everything of one endpoint in a namespace, whatever settings it was made with: found by its labels, and taken away."""

from __future__ import annotations

from typing import Any

from lightkube.generic_resource import get_generic_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v1 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Pod, Secret, Service, ServiceAccount
from lightkube.resources.networking_v1 import Ingress, NetworkPolicy
from lightkube.resources.policy_v1 import PodDisruptionBudget

from tidemill.backends.targets.objects import HTTP_ROUTES, NOT_MINE, NOT_THERE, OLDER, Objects
from tidemill.base.clock import Clock
from tidemill.base.errors import FailedError
from tidemill.release.labels import ENDPOINT_LABEL, FRONTEND_LABEL, MANAGED, keys_name
from tidemill.release.objects import Object

POLL_S = 0.5
# What brings requests goes first, what pods need last; a cluster has one of the two names of some.
KINDS: tuple[Any, ...] = (
    *HTTP_ROUTES, Ingress, HorizontalPodAutoscaler, Deployment, PodDisruptionBudget,
    get_generic_resource(OLDER["policy/v1"], "PodDisruptionBudget"), Service, NetworkPolicy, ServiceAccount,
)  # fmt: skip


def find_belongings(objects: Objects, namespace: str, endpoint: str) -> list[Object]:
    """Kind and name of all that carries the endpoint's labels and is ours, in the order to take it away."""
    found: dict[tuple[str, str], Object] = {}
    for kind in KINDS:
        for name in _named(objects, kind, namespace, endpoint):
            about = kind._api_info.resource  # noqa: SLF001 - the client tells a kind's names nowhere else
            version = f"{about.group}/{about.version}" if about.group else about.version
            item = {"apiVersion": version, "kind": about.kind, "metadata": {"name": name, "namespace": namespace}}
            found.setdefault((about.kind, name), item)
    name = keys_name(endpoint)
    if objects.is_ours(Secret, name, namespace):  # by its name: nobody has to be let list Secrets
        found["Secret", name] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
        }
    return list(found.values())


def remove_belongings(objects: Objects, clock: Clock, namespace: str, endpoint: str, *, timeout_s: float) -> None:
    """Take all of it away, and return when its pods are gone. The namespace stays: others may live there, too."""
    for item in find_belongings(objects, namespace, endpoint):
        objects.delete(item)
    deadline = clock.monotonic() + timeout_s
    while left := _named(objects, Pod, namespace, endpoint):
        if clock.monotonic() > deadline:
            raise FailedError(
                f"Pods of `{endpoint}` are still ending after {timeout_s:g} s: {', '.join(left)}",
                hint=f"Look at: kubectl -n {namespace} get pods",
            )
        clock.sleep(POLL_S)


def _named(objects: Objects, kind: Any, namespace: str, endpoint: str) -> list[str]:  # noqa: ANN401 - any of the client's kinds
    """Names of the endpoint's and its frontend's objects; an account that may not see HTTPRoutes has made none."""
    tolerated = NOT_MINE if kind in HTTP_ROUTES else NOT_THERE
    labels = [{**MANAGED, label: endpoint} for label in (ENDPOINT_LABEL, FRONTEND_LABEL)]
    found = [o for wanted in labels for o in objects.find(kind, namespace, wanted, tolerated=tolerated)]
    return sorted({o.metadata.name for o in found})
