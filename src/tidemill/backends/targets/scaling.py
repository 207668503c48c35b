"""How many pods a version has, where an autoscaler may have a say in it.

The autoscaler owns the number: what is applied does not name it. While traffic is moved the number is ours, so the
autoscaler's least and most are both set to it; its range is on the Deployment, to be given back from there.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from lightkube import ApiError, Client
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v1 import HorizontalPodAutoscaler
from lightkube.types import PatchType

from tidemill.backends.cluster import FIELD_MANAGER, speaking_to_cluster
from tidemill.release.labels import ENDPOINT_LABEL, MANAGED, REPLICAS_ANNOTATION
from tidemill.release.objects import Object
from tidemill.release.workload import read_range

# Holds the number for the moment between our letting go of it and the autoscaler's first change of it.
KEEPER = "tidemill-replicas"


class Scaling:
    """The numbers of pods of the versions of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def hand_over(self, item: Object) -> None:
        """Before a Deployment without a number is applied: one that we had applied stays, and does not fall back to 1."""
        if item["kind"] != "Deployment" or "replicas" in item["spec"]:
            return
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        with speaking_to_cluster(f"reading `{name}`"):
            found = self._get(name, namespace)
        if found is None or not _is_ours(found):
            return
        about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}}
        kept = {**about, "spec": {"replicas": found.spec.replicas}}
        with speaking_to_cluster(f"keeping the pods of `{name}`"):
            self._client.patch(
                Deployment, name, kept, namespace=namespace,
                patch_type=PatchType.APPLY, field_manager=KEEPER, force=True,
            )  # fmt: skip

    def at_least(self, name: str, namespace: str, replicas: int) -> None:
        """A Deployment that has fewer gets so many: an autoscaler would come to it later."""
        with speaking_to_cluster(f"scaling `{name}`"):
            found = self._get(name, namespace)
            if found is not None and (found.spec.replicas or 0) < replicas:
                self._client.patch(Deployment, name, {"spec": {"replicas": replicas}}, namespace=namespace)

    def pin(self, name: str, namespace: str, replicas: int) -> None:
        """So many pods, whatever the autoscaler would have, until `let`."""
        with speaking_to_cluster(f"scaling `{name}`"):
            self._set_range(name, namespace, replicas, replicas)
            self._client.patch(Deployment, name, {"spec": {"replicas": replicas}}, namespace=namespace)

    def let(self, name: str, namespace: str) -> None:
        """The number is the autoscaler's again, if there is one."""
        with speaking_to_cluster(f"giving `{name}` back to its autoscaler"):
            found = self._get(name, namespace)
            told = (found.metadata.annotations or {}).get(REPLICAS_ANNOTATION, "") if found is not None else ""
            if told:
                least, most = read_range(told)
                self._set_range(name, namespace, least, max(least, most))

    def is_free(self, namespace: str, endpoint: str) -> bool:
        """Whether no autoscaler of the endpoint is held to one number."""
        labels = {**MANAGED, ENDPOINT_LABEL: endpoint}
        with speaking_to_cluster("listing autoscalers"):
            found = self._client.list(HorizontalPodAutoscaler, namespace=namespace, labels=labels)
            return all(h.spec is None or h.spec.minReplicas != h.spec.maxReplicas for h in found)

    def _set_range(self, name: str, namespace: str, least: int, most: int) -> None:
        change = {"spec": {"minReplicas": least, "maxReplicas": most}}
        try:
            self._client.patch(HorizontalPodAutoscaler, name, change, namespace=namespace)
        except ApiError as exc:
            if exc.status.code != HTTPStatus.NOT_FOUND:
                raise

    def _get(self, name: str, namespace: str) -> Any:  # noqa: ANN401 - the client's model has optional everything
        try:
            return self._client.get(Deployment, name, namespace=namespace)
        except ApiError as exc:
            if exc.status.code != HTTPStatus.NOT_FOUND:
                raise
            return None


def _is_ours(found: Any) -> bool:  # noqa: ANN401
    """Whether the number is in what we applied."""
    return any(
        entry.manager == FIELD_MANAGER
        and entry.operation == "Apply"
        and "f:replicas" in (entry.fieldsV1 or {}).get("f:spec", {})
        for entry in found.metadata.managedFields or ()
    )
