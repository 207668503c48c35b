"""Plain objects onto a cluster and off it, in the words its version of Kubernetes knows."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx2 as httpx
from lightkube import Client
from lightkube.codecs import from_dict, resource_registry
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import Namespace

from tidemill.backends.cluster import speaking_to_cluster
from tidemill.release.labels import MANAGED
from tidemill.release.objects import Object
from tidemill.release.routes import GATEWAY_API

# Kubernetes 1.20 has only the older name of the first; Gateway API had the second before it was stable.
OLDER = {"policy/v1": "policy/v1beta1", f"{GATEWAY_API}/v1": f"{GATEWAY_API}/v1beta1"}
create_namespaced_resource("policy", "v1beta1", "PodDisruptionBudget", "poddisruptionbudgets")
HTTP_ROUTES = tuple(create_namespaced_resource(GATEWAY_API, v, "HTTPRoute", "httproutes") for v in ("v1", "v1beta1"))
GATEWAYS = tuple(create_namespaced_resource(GATEWAY_API, v, "Gateway", "gateways") for v in ("v1", "v1beta1"))
NOT_THERE = {HTTPStatus.NOT_FOUND}
NOT_MINE = {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}


class Objects:
    """Server-side apply and deletion. Safe to repeat.

    A kind the cluster has never heard of is answered with a bare 404, which is no `ApiError`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def apply(self, item: Object) -> None:
        """Make the object so; what else others manage on it stays."""
        if item["kind"] == "Namespace" and self._has_namespace(item["metadata"]["name"]):
            return  # it may be somebody else's: it keeps its labels, and what it lets its pods do
        with speaking_to_cluster(f"{item['kind']} `{item['metadata']['name']}`"):
            try:
                self._client.apply(from_dict(item), force=True)
            except httpx.HTTPStatusError as exc:
                if item["kind"] == "Namespace" and exc.response.status_code == HTTPStatus.FORBIDDEN:
                    return  # an account of one namespace may not touch it; if it is missing, the next object says so
                older = OLDER.get(item["apiVersion"])
                if older is None or exc.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
                self._client.apply(from_dict({**item, "apiVersion": older}), force=True)

    def _has_namespace(self, name: str) -> bool:
        """Whether it is there, or nobody tells this account."""
        with speaking_to_cluster(f"reading namespace `{name}`"):
            try:
                self._client.get(Namespace, name)
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code not in NOT_MINE:
                    raise
                return exc.response.status_code == HTTPStatus.FORBIDDEN
        return True

    def delete(self, item: Object, *, tolerated: set[HTTPStatus] = NOT_THERE) -> None:
        """Remove the object; that it is not there, or what else is `tolerated`, is no error."""
        for variant in _variants(item):
            name, namespace = variant["metadata"]["name"], variant["metadata"]["namespace"]
            with speaking_to_cluster(f"deleting {variant['kind']} `{name}`"):
                try:
                    kind = resource_registry.load(variant["apiVersion"], variant["kind"])
                    self._client.delete(kind, name, namespace=namespace)
                except httpx.HTTPStatusError as exc:
                    if exc.response.status_code not in tolerated:
                        raise

    def find(
        self,
        resource: Any,  # noqa: ANN401 - a class of the client's
        namespace: str,
        labels: dict[str, str],
        *,
        tolerated: set[HTTPStatus] = NOT_MINE,
    ) -> list[Any]:
        """The objects of one kind; none where the cluster has no such kind, or shows it not to this account."""
        with speaking_to_cluster(f"listing {resource.__name__}"):
            try:
                return list(self._client.list(resource, namespace=namespace, labels=dict(labels)))
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code not in tolerated:
                    raise
                return []

    def is_ours(self, resource: Any, name: str, namespace: str) -> bool:  # noqa: ANN401
        """Whether the object is there, may be seen by this account, and was made by Tidemill."""
        with speaking_to_cluster(f"reading {resource.__name__} `{name}`"):
            try:
                found = self._client.get(resource, name, namespace=namespace)
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code not in NOT_MINE:
                    raise
                return False
        return bool((found.metadata.labels or {}).items() >= MANAGED.items())


def _variants(item: Object) -> Iterator[Object]:
    yield item
    if item["apiVersion"] in OLDER:
        yield {**item, "apiVersion": OLDER[item["apiVersion"]]}
