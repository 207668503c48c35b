"""Routes into a cluster: whether it has what they take, whether anything there divides requests, and the dividing itself."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2 as httpx
from lightkube import Client
from lightkube.resources.networking_v1 import Ingress, IngressClass

from tidemill.backends.cluster import speaking_to_cluster
from tidemill.backends.targets.objects import GATEWAYS, HTTP_ROUTES, NOT_MINE, Objects
from tidemill.base.clock import Clock
from tidemill.base.errors import FailedError, UsageError
from tidemill.release.labels import ENDPOINT_LABEL
from tidemill.release.routes import NGINX_CONTROLLER, Split, canary_ingress, is_settled, judge_route, route_objects
from tidemill.release.workload import Workload

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
TAKEN = {"Programmed", "Accepted", "Ready", "Scheduled"}
CONFIRMED_S = 10.0
POLL_S = 0.5
NOTHING_SENT = "Nothing was sent to the cluster."


class Routes:
    """The Ingresses and HTTPRoutes of endpoints in one cluster. Safe to repeat."""

    def __init__(self, client: Client, objects: Objects, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._objects = objects

    def check(self, workload: Workload, *, mirror: bool) -> None:
        """`UsageError` when the cluster cannot have such a route at all, or cannot copy requests where that is asked for."""
        if workload.route == "gateway":
            self._check_gateway(workload)
        if workload.route == "ingress" and workload.ingress_class:
            self._find_class(workload.ingress_class)
        if mirror and (why := self.why_not(workload)):
            raise UsageError(f"Requests cannot be mirrored: {why}", hint=f"{NOTHING_SENT} Or take `mirror` away.")

    def why_not(self, workload: Workload) -> str:
        """Why nothing in the cluster divides requests along the route; empty when something does, or nobody may say."""
        if workload.route == "gateway":
            return self._gateway_gap(workload)
        if workload.route == "ingress":
            return self._ingress_gap(workload)
        return "the route is the Service itself"

    def divide(self, workload: Workload, split: Split) -> str:
        """Give another version its share or its copies; `FailedError` when a controller refuses, words when none confirms.

        Controllers of Ingresses never confirm anything.
        """
        for item in route_objects(workload.route, workload.door, split):
            self._objects.apply(item)
        return self._hear(workload) if workload.route == "gateway" else ""

    def _hear(self, workload: Workload) -> str:
        """Wait for what the Gateway's controller says of the route."""
        deadline = self._clock.monotonic() + CONFIRMED_S
        mine = {ENDPOINT_LABEL: workload.endpoint}
        while self._clock.monotonic() < deadline:
            for item in (i for kind in HTTP_ROUTES for i in self._objects.find(kind, workload.namespace, mine)):
                heard, wrong = judge_route(dict(item))
                if wrong:
                    raise FailedError(
                        f"The Gateway `{workload.gateway}` does not take the HTTPRoute `{workload.endpoint}`: {wrong}",
                        hint="The previous version is still serving.",
                    )
                if heard:
                    return ""
            self._clock.sleep(POLL_S)
        return f"no controller confirmed it within {CONFIRMED_S:g} s"

    def settle(self, workload: Workload) -> None:
        """The whole route to the endpoint's Service again, without shares and copies."""
        for item in route_objects(workload.route, workload.door):
            self._objects.apply(item)
        self.drop_share(workload)

    def drop_share(self, workload: Workload) -> None:
        """Take away the Ingress that stands beside the main one while a share goes elsewhere."""
        if workload.route == "ingress":
            self._objects.delete(canary_ingress(workload.door, Split("")))

    def settled(self, namespace: str, endpoint: str) -> bool:
        """Whether no share or copy is on its way to another version."""
        mine = {ENDPOINT_LABEL: endpoint}
        found = [i.to_dict() for i in self._objects.find(Ingress, namespace, mine)]
        found += [dict(i) for kind in HTTP_ROUTES for i in self._objects.find(kind, namespace, mine)]
        return is_settled(found)

    def _check_gateway(self, workload: Workload) -> None:
        with speaking_to_cluster("listing HTTPRoutes"):
            if not any(self._knows(kind, workload.namespace) for kind in HTTP_ROUTES):
                raise UsageError(
                    "The cluster does not know the Gateway API: it has no HTTPRoute",
                    hint=f"{NOTHING_SENT} Install its CustomResourceDefinitions and a controller, or use `route: ingress` or `service`.",
                )
        namespace, name = workload.door.gateway_place
        if self._find_gateway(workload) == {}:
            raise UsageError(
                f"There is no Gateway `{name}` in the namespace `{namespace}`",
                hint=f"{NOTHING_SENT} `gateway:` is NAME, or NAMESPACE/NAME.",
            )

    def _knows(self, kind: Any, namespace: str) -> bool:  # noqa: ANN401 - a class of the client's
        try:
            list(self._client.list(kind, namespace=namespace))
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def _find_gateway(self, workload: Workload) -> Mapping[str, Any] | None:
        """The Gateway as the cluster has it; empty when it is not there, None when this account may not look."""
        namespace, name = workload.door.gateway_place
        for kind in GATEWAYS:
            with speaking_to_cluster(f"reading Gateway `{name}`"):
                try:
                    return dict(self._client.get(kind, name, namespace=namespace))
                except httpx.HTTPStatusError as exc:
                    if exc.response.status_code == HTTPStatus.FORBIDDEN:
                        return None
                    if exc.response.status_code != HTTPStatus.NOT_FOUND:
                        raise
        return {}

    def _gateway_gap(self, workload: Workload) -> str:
        found = self._find_gateway(workload)
        if found is None:
            return ""
        conditions = (found.get("status") or {}).get("conditions") or []
        if any(c.get("type") in TAKEN and c.get("status") == "True" for c in conditions):
            return ""
        return f"no controller has taken the Gateway `{workload.gateway}`"

    def _find_class(self, name: str) -> IngressClass | None:
        """The class; None when this account may not look; `UsageError` when it is not there."""
        with speaking_to_cluster(f"reading IngressClass `{name}`"):
            try:
                return self._client.get(IngressClass, name)
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code == HTTPStatus.FORBIDDEN:
                    return None
                if exc.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
        raise UsageError(
            f"There is no IngressClass `{name}` in the cluster",
            hint=f"{NOTHING_SENT} See which there are: kubectl get ingressclass",
        )

    def _ingress_gap(self, workload: Workload) -> str:
        if workload.ingress_class:
            found = self._find_class(workload.ingress_class)
            if found is None:
                return ""
        else:
            with speaking_to_cluster("listing IngressClasses"):
                try:
                    classes = list(self._client.list(IngressClass))
                except httpx.HTTPStatusError as exc:
                    if exc.response.status_code not in NOT_MINE:
                        raise
                    return ""
            chosen = [c for c in classes if c.metadata and (c.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"]
            if not chosen:
                return "no IngressClass is named and the cluster has no default one"
            found = chosen[0]
        controller = (found.spec.controller if found.spec else "") or "nobody"
        name = found.metadata.name if found.metadata else ""
        if controller == NGINX_CONTROLLER:
            return ""
        return f"the IngressClass `{name}` is {controller}'s, which does not read ingress-nginx's annotations"
