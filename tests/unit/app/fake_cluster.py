"""A cluster in memory: what a version's objects say of it, and what the Service selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.backends.targets.kubernetes import VersionState
from tidemill.base.errors import FailedError, UsageError
from tidemill.release.objects import make_objects
from tidemill.release.pod_counts import PodCounts
from tidemill.release.routes import Split
from tidemill.release.workload import Workload


@dataclass
class FakeCluster:
    """One endpoint. `broken` are images whose pods never become ready."""

    there: dict[str, Workload] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)
    selected: str = ""
    shared: bool = False
    broken: set[str] = field(default_factory=set)
    most: int = 10
    did: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    split: Split | None = None
    gap: str = ""
    refuses: str = ""
    knows_no_keys: bool = False
    records: PodCounts = field(default_factory=lambda: PodCounts(sent=1))
    words: str = ""

    def check_route(self, workload: Workload, *, mirror: bool = False) -> None:
        if self.refuses:
            raise UsageError(self.refuses)

    def why_not_by_weight(self, workload: Workload) -> str:
        return self.gap

    def divide(self, workload: Workload, split: Split) -> str:
        self.split = split
        self.did.append("mirror" if split.mirror else f"weight {split.percent}")
        return ""

    def settle(self, workload: Workload) -> None:
        self.split = None
        self.did.append("settle")

    def apply(self, workload: Workload, *, serving: str = "") -> None:
        make_objects(workload, serving=serving)
        self.there[workload.deployment] = workload
        self.pods[workload.deployment] = workload.replicas
        self.selected, self.shared, self.split = serving or workload.deployment, False, None
        self.did.append(f"apply {workload.deployment}")

    def wait_ready(self, workload: Workload, *, timeout_s: float) -> None:
        if workload.image in self.broken or self.pods[workload.deployment] > self.most:
            raise FailedError(f"`{workload.name}` did not become ready within {timeout_s:g} s")

    def switch(self, workload: Workload) -> None:
        self.selected, self.shared = workload.deployment, False
        self.did.append(f"switch {workload.deployment}")

    def share(self, workload: Workload, serving: str) -> None:
        self.selected, self.shared = serving, True
        self.did.append(f"share {workload.deployment}")

    def settled(self, namespace: str, endpoint: str) -> bool:
        return not self.shared and self.split is None

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        self.pods[next(d for d, w in self.there.items() if w.name == name)] = replicas
        self.held.add(name)

    def let_scale(self, namespace: str, name: str) -> None:
        self.held.discard(name)

    def counts(self, workload: Workload) -> dict[str, Any]:
        return {"pod": self.records} if workload.recording else {}

    def said(self, workload: Workload, words: str) -> str:
        return self.words

    def serving(self, namespace: str, endpoint: str) -> str:
        return self.selected

    def observe(self, namespace: str, endpoint: str) -> tuple[VersionState, ...]:
        return tuple(
            VersionState(
                n,
                w.image,
                self.pods[n],
                self.pods[n],
                n == self.selected,
                dict(w.annotations),
                w.model_image,
                w.arguments,
            )
            for n, w in sorted(self.there.items())
        )

    def prune(self, workload: Workload) -> None:
        self.did.append("prune")

    def delete_version(self, workload: Workload) -> None:
        self.there.pop(workload.deployment, None)
        self.pods.pop(workload.deployment, None)

    def version(self) -> str:
        return "1.32"

    def key_headers(self, workload: Workload) -> dict[str, str]:
        return {"cookie": "tidemill-token=first"} if workload.token_secret else {}

    def keys(self, namespace: str, endpoint: str, *, renew: str = "") -> tuple[str, str]:
        return ("new", "first") if renew else ("first", "second")

    def request(self, *_: object, headers: Mapping[str, str], **__: object) -> tuple[int, bytes]:
        return self._answer(self.there[self.selected], headers)

    def request_pod(
        self, workload: Workload, *_: object, headers: Mapping[str, str], **__: object
    ) -> tuple[int, bytes]:
        return self._answer(workload, headers)

    def _answer(self, workload: Workload, headers: Mapping[str, str]) -> tuple[int, bytes]:
        asked = workload.token_secret and not self.knows_no_keys
        return (401, b"") if asked and "first" not in headers.get("cookie", "") else (200, b"{}")

    def belongings(self, namespace: str, endpoint: str) -> tuple[str, ...]:
        found = [
            o
            for w in self.there.values()
            if (w.namespace, w.endpoint) == (namespace, endpoint)
            for o in make_objects(w)
        ]
        return tuple(dict.fromkeys(f"{o['kind']} {o['metadata']['name']}" for o in found if o["kind"] != "Namespace"))

    def take_down(self, namespace: str, endpoint: str, *, timeout_s: float) -> None:
        self.there.clear()
        self.did.append(f"take down {endpoint} of {namespace}")
