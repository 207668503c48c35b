"""On a real cluster: shares and copies as weights on an Ingress or an HTTPRoute, and what cannot be had is refused.

No controller runs here, so the objects are what is looked at; an IngressClass, and a Gateway with the status a
controller would give it, stand for one.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.gateway_api import DEFINITIONS, GROUP
from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.contracts.test_kubernetes_shift import SERVER
from tests.waiting import PATIENCE_S
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.base import proc
from tidemill.base.errors import UsageError
from tidemill.release.routes import Split
from tidemill.release.workload import Workload
from tidemill.spec.project import Route, Stage

__all__ = ["namespace", "registry", "target"]
pytestmark = pytest.mark.needs_cluster

NGINX = "nginx.ingress.kubernetes.io"
HOST = "echo.example.org"


def kubectl(*words: str, given: object = None) -> str:
    done = proc.run(["kubectl", *words], stdin=json.dumps(given) if given is not None else None, timeout_s=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def get(namespace: str, kind: str) -> dict[str, Any]:
    found = json.loads(kubectl("-n", namespace, "get", kind, "-o", "json"))["items"]
    return {o["metadata"]["name"]: o for o in found}


@contextlib.contextmanager
def there(*items: dict[str, Any]) -> Iterator[None]:
    """Objects of the cluster itself, gone afterwards."""
    listing = {"apiVersion": "v1", "kind": "List", "items": items}
    kubectl("apply", "-f", "-", given=listing)
    try:
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-f", "-", given=listing)


def ingress_class(controller: str) -> dict[str, Any]:
    name = f"tm-{uuid.uuid4().hex[:8]}"
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }


class Release:
    """Versions of one endpoint, and what the cluster's routes were at each step of moving its traffic."""

    def __init__(self, target: Any, old: Workload, new: Workload) -> None:
        self.target, self.old, self.new = target, old, new
        self.steps: list[Any] = []
        for version in (old, new):
            target.apply(version, serving=old.deployment)
            target.wait_ready(version, timeout_s=90)

    def move(self, kind: str, stage: Stage, said: list[str]) -> tuple[str, ...]:
        def say(words: str) -> None:
            said.append(words)
            self.steps.append(get(self.new.namespace, kind))

        (before,) = [v for v in self.target.observe(self.new.namespace, "echo") if v.serving]
        return shift_on_cluster(self.target, self.new, before, stage, say)


def stage_of(route: dict[str, Any], **more: Any) -> Stage:
    about = {"target": "kubernetes", "strategy": "canary", "steps": [10, 50], "start_timeout_s": 90}
    return Stage(**{**about, "route": Route(**{"host": HOST, **route}), **more})


def test_a_canary_along_an_ingress_is_copied_to_then_weighed_and_leaves_a_plain_route(
    tmp_path: Path, registry: str, namespace: str, target: Any
) -> None:
    chosen = ingress_class("k8s.io/ingress-nginx")
    name = chosen["metadata"]["name"]
    route = {"route": "ingress", "host": HOST, "ingress_class": name}
    old = Workload("echo", "v1", namespace, build(tmp_path, registry, "one-200", script=SERVER).reference, **route)  # type: ignore[arg-type]
    new = replace(old, deployment="v2", image=build(tmp_path, registry, "two-200", script=SERVER).reference)
    with pytest.raises(UsageError, match="no IngressClass"):
        target.check_route(old)
    try:
        with there(chosen):
            target.check_route(old, mirror=True)
            release = Release(target, old, new)
            said: list[str] = []
            stage = stage_of({"kind": "ingress", "class": name, "mirror": True}, bake_s=0.5)
            evidence = release.move("ingress", stage, said)
            copied, ten, fifty, done = release.steps
            assert copied["echo"]["metadata"]["annotations"][f"{NGINX}/mirror-target"] == (
                f"http://echo-v2.{namespace}.svc.cluster.local$request_uri"
            )
            assert f"{NGINX}/mirror-target" not in (ten["echo"]["metadata"].get("annotations") or {})
            weights = [s["echo-canary"]["metadata"]["annotations"][f"{NGINX}/canary-weight"] for s in (ten, fifty)]
            assert weights == ["10", "50"]
            backend = ten["echo-canary"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
            assert get(namespace, "endpoints")[backend]["subsets"][0]["addresses"], "the share has pods to go to"
            assert list(done) == ["echo"]
            assert target.settled(namespace, "echo")
            assert said[0] == "v2 gets a copy of every request along the ingress"
            assert "no request came" in evidence[0]
            assert target.request(namespace, "echo", "/ask") == (200, b"two")
            target.delete_version(old)
            assert set(get(namespace, "services")) == {"echo", "echo-v2"}
            # as a CLI that was killed in the middle of a canary leaves it, and as the next command begins
            target.divide(new, Split(old.name, 10))
            assert not target.settled(namespace, "echo")
            target.apply(new)
            assert target.settled(namespace, "echo")
            # another route, or none: nothing of this one is left
            plain = replace(new, route="service", host="", ingress_class="")
            target.apply(plain)
            target.prune(plain)
            assert get(namespace, "ingress") == {}
            assert set(get(namespace, "services")) == {"echo"}
    finally:
        target.delete_endpoint(new, with_namespace=True)


def test_bad_copies_end_a_release_before_anyone_is_served_by_it_and_pods_make_shares_where_nothing_weighs(
    tmp_path: Path, registry: str, namespace: str, target: Any
) -> None:
    other = ingress_class("example.org/other")
    route = {"route": "ingress", "host": HOST, "ingress_class": other["metadata"]["name"]}
    old = Workload("echo", "v1", namespace, build(tmp_path, registry, "one-200", script=SERVER).reference, **route)  # type: ignore[arg-type]
    bad = replace(old, deployment="v2", image=build(tmp_path, registry, "bad-500", script=SERVER).reference)
    try:
        with there(other):
            with pytest.raises(UsageError, match="does not read ingress-nginx's annotations"):
                target.check_route(old, mirror=True)
            release, said = Release(target, old, bad), list[str]()
            stage = stage_of({"kind": "ingress"}, steps=[50])
            release.move("ingress", stage, said)
            assert said[0].endswith("shares are made by numbers of pods")
            assert "1 of 2 pods" in said[1]
            assert all(list(step) == ["echo"] for step in release.steps), "no weight was written"
            target.switch(old)
            nginx = ingress_class("k8s.io/ingress-nginx")
            with there(nginx):
                watched = replace(bad, ingress_class=nginx["metadata"]["name"])
                target.apply(watched, serving="v1")
                target.wait_ready(watched, timeout_s=90)
                stage = stage_of({"kind": "ingress", "mirror": True}, bake_s=5)
                (before,) = [v for v in target.observe(namespace, "echo") if v.serving]
                with copies_of_requests(target, watched), pytest.raises(BakeFailedError, match="error rate"):
                    shift_on_cluster(target, watched, before, stage, said.append)
                assert said[-1] == "putting v1 back"
                assert list(get(namespace, "ingress")) == ["echo"]
                assert target.settled(namespace, "echo")
                assert [v.deployment for v in target.observe(namespace, "echo")] == ["v1"]
                assert target.request(namespace, "echo", "/ask") == (200, b"one")
    finally:
        target.delete_endpoint(old, with_namespace=True)


@contextlib.contextmanager
def copies_of_requests(target: Any, version: Workload) -> Iterator[None]:
    """Do what a controller that mirrors would: ask the version's own Service for as long as the Ingress says so."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.2):
            about = get(version.namespace, "ingress")["echo"]["metadata"].get("annotations") or {}
            if f"{NGINX}/mirror-target" in about:
                target.request(version.namespace, version.name, "/ask")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_weights_along_a_gateway_and_a_cluster_without_one_is_refused(
    tmp_path: Path, registry: str, namespace: str, target: Any
) -> None:
    route = {"route": "gateway", "host": HOST, "gateway": "public"}
    old = Workload("echo", "v1", namespace, build(tmp_path, registry, "one-200", script=SERVER).reference, **route)  # type: ignore[arg-type]
    new = replace(old, deployment="v2", image=build(tmp_path, registry, "two-200", script=SERVER).reference)
    with pytest.raises(UsageError, match="does not know the Gateway API"):
        target.apply(old)
    assert proc.run(["kubectl", "get", "namespace", namespace], timeout_s=30).returncode != 0, "nothing was sent"
    with there(*DEFINITIONS):
        kubectl("wait", "--for=condition=Established", *(f"crd/{d['metadata']['name']}" for d in DEFINITIONS))
        try:
            with pytest.raises(UsageError, match="no Gateway `public`"):
                target.check_route(old)
            make_gateway(namespace)
            assert "no controller has taken" in target.why_not_by_weight(old)
            take_gateway(namespace)
            assert target.why_not_by_weight(old) == ""
            release, said = Release(target, old, new), list[str]()
            stage = stage_of({"kind": "gateway", "gateway": "public", "mirror": True}, bake_s=0.5)
            with answering(namespace, "True", only_first=True):
                release.move("httproute", stage, said)
            assert [w.endswith("(no controller confirmed it within 10 s)") for w in said] == [False, True, True, False]
            found = [s["echo"]["spec"]["rules"][0] for s in release.steps]
            weights = [{b["name"]: b["weight"] for b in rule["backendRefs"]} for rule in found]
            assert weights == [{"echo": 100}, {"echo": 90, "echo-v2": 10}, {"echo": 50, "echo-v2": 50}, {"echo": 100}]
            assert ["filters" in rule for rule in found] == [True, False, False, False]
            assert target.settled(namespace, "echo")
            target.divide(new, Split(old.name, 10))
            assert not target.settled(namespace, "echo")
            target.apply(new)
            assert target.settled(namespace, "echo")
            target.delete_version(old)
            target.apply(old, serving="v2")
            target.wait_ready(old, timeout_s=90)
            (before,) = [v for v in target.observe(namespace, "echo") if v.serving]
            with answering(namespace, "False"), pytest.raises(BakeFailedError, match="NotAllowedByListeners: not here"):
                shift_on_cluster(target, old, before, stage, said.append)
            assert target.serving(namespace, "echo") == "v2"
            assert target.settled(namespace, "echo")
            target.prune(replace(new, route="service", host=""))
            assert get(namespace, "httproute") == {}
        finally:
            target.delete_endpoint(new, with_namespace=True)


def make_gateway(namespace: str) -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    item = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": namespace},
        "spec": {"gatewayClassName": "example", "listeners": [listener]},
    }
    with contextlib.suppress(AssertionError):  # it is there already where a test before left it
        kubectl("create", "namespace", namespace)
    kubectl("apply", "-f", "-", given=item)


def take_gateway(namespace: str) -> None:
    """What a controller writes when a Gateway works."""
    url = f"/apis/{GROUP}/v1/namespaces/{namespace}/gateways/public"
    found = json.loads(kubectl("get", "--raw", url))
    found["status"] = {
        "conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed", "message": "ready"}]
    }
    kubectl("replace", "--raw", f"{url}/status", "-f", "-", given=found)


@contextlib.contextmanager
def answering(namespace: str, accepted: str, *, only_first: bool = False) -> Iterator[None]:
    """Say of the HTTPRoute what a controller would, whenever it changes while it is divided."""
    stop, url = threading.Event(), f"/apis/{GROUP}/v1/namespaces/{namespace}/httproutes/echo"

    def answer() -> None:
        said = 0
        while not stop.wait(0.2):
            found = json.loads(kubectl("get", "--raw", url))
            present, rule = found["metadata"]["generation"], found["spec"]["rules"][0]
            if present <= said or not ("filters" in rule or len(rule["backendRefs"]) > 1) or (said and only_first):
                continue
            condition = {"type": "Accepted", "status": accepted, "observedGeneration": present}
            condition |= {"reason": "NotAllowedByListeners", "message": "not here"}
            parent = {"parentRef": {"name": "public"}, "controllerName": "example.org/c", "conditions": [condition]}
            found["status"] = {"parents": [parent]}
            if (
                proc.run(
                    ["kubectl", "replace", "--raw", f"{url}/status", "-f", "-"], stdin=json.dumps(found), timeout_s=30
                ).returncode
                == 0
            ):
                said = present

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
