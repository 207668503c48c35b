"""On a real cluster: a version that does badly under traffic goes away again, and the old one answers all the time."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.test_kubernetes import build, namespace, registry, target
from tests.waiting import PATIENCE_S
from tidemill.app.shift import BakeFailedError
from tidemill.app.shift_kubernetes import shift_on_cluster
from tidemill.release.workload import Workload
from tidemill.spec.project import Stage

__all__ = ["namespace", "registry", "target"]
pytestmark = pytest.mark.needs_cluster

SERVER = """
import http.server, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
words, status = sys.argv[1].split("-")
lock, counts = threading.Lock(), {}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, body = 200, words.encode()
        if self.path == "/ask":
            code = int(status)
            time.sleep(0.3 if words == "slow" else 0)
            with lock:
                counts[code] = counts.get(code, 0) + 1
        if self.path == "/metrics":
            total = sum(counts.values())
            fast = 0 if words == "slow" else total
            lines = [("0.25", fast), ("0.5", total), ("+Inf", total)]
            body = "".join(f'tidemill_latency_seconds_bucket{{le="{le}",version="1"}} {n}.0\\n' for le, n in lines).encode()
            body += "".join(f'tidemill_requests_total{{path="/ask",status="{c}"}} {n}.0\\\\n' for c, n in counts.items()).encode()
        self.send_response(code); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
""".replace("\\\\n", "\\n")


@contextlib.contextmanager
def load(target: object, namespace: str, seen: Counter[tuple[int, bytes]]) -> Iterator[None]:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen[target.request(namespace, "echo", "/ask")] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("strategy", ["canary", "rolling"])
def test_bad_goes_back_by_itself_and_good_arrives_without_a_failed_request(
    tmp_path: Path, registry: str, namespace: str, target: object, strategy: str
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    stage = Stage(target="kubernetes", strategy=strategy, steps=[25], bake_s=4, start_timeout_s=90)  # type: ignore[arg-type]
    old = Workload("echo", "v1", namespace, build(tmp_path, registry, "one-200", script=SERVER).reference)
    bad = replace(old, deployment="v2", image=build(tmp_path, registry, "bad-500", script=SERVER).reference)
    good = replace(old, deployment="v3", image=build(tmp_path, registry, "good-200", script=SERVER).reference)
    said: list[str] = []
    try:
        target.apply(old)
        target.wait_ready(old, timeout_s=90)
        for version in (bad, good):
            target.apply(version, serving="v1")
            target.wait_ready(version, timeout_s=90)
            seen: Counter[tuple[int, bytes]] = Counter()
            (before,) = [v for v in target.observe(namespace, "echo") if v.deployment == "v1"]
            with load(target, namespace, seen):
                if version is bad:
                    with pytest.raises(BakeFailedError, match="error rate"):
                        shift_on_cluster(target, bad, before, stage, said.append)
                    assert target.serving(namespace, "echo") == "v1"
                else:
                    evidence = shift_on_cluster(target, good, before, stage, said.append)
            assert seen[200, b"one"] > 0
            if version is bad:
                assert [v.deployment for v in target.observe(namespace, "echo")] == ["v1"]
                assert target.request(namespace, "echo", "/ask") == (200, b"one")
        assert set(seen) == {(200, b"one"), (200, b"good")}, "requests failed while the good version came"
        assert target.serving(namespace, "echo") == "v3"
        assert any("watched for 4 s" in words for words in evidence)
    finally:
        target.delete_endpoint(good, with_namespace=True)


def test_a_version_that_turns_slow_goes_back_and_a_killed_canary_is_put_right(
    tmp_path: Path, registry: str, namespace: str, target: object
) -> None:
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    assert isinstance(target, KubernetesTarget)
    stage = Stage(target="kubernetes", strategy="blue-green", bake_s=10, max_latency_ms=200, start_timeout_s=90)
    old = Workload("echo", "v1", namespace, build(tmp_path, registry, "one-200", script=SERVER).reference)
    slow = replace(old, deployment="v2", image=build(tmp_path, registry, "slow-200", script=SERVER).reference)
    try:
        for version in (old, slow):
            target.apply(version, serving="v1")
            target.wait_ready(version, timeout_s=90)
        (before,) = [v for v in target.observe(namespace, "echo") if v.deployment == "v1"]
        seen: Counter[tuple[int, bytes]] = Counter()
        with load(target, namespace, seen), pytest.raises(BakeFailedError, match="p99 latency"):
            shift_on_cluster(target, slow, before, stage, lambda _: None)
        assert set(seen) == {(200, b"one"), (200, b"slow")}
        assert [v.deployment for v in target.observe(namespace, "echo")] == ["v1"]
        # as a CLI that was killed in the middle of a canary leaves it, and as the next `up` begins
        target.apply(slow, serving="v1")
        target.wait_ready(slow, timeout_s=90)
        target.share(slow, "v1")
        assert target.serving(namespace, "echo") == "v1"
        assert [v.serving for v in target.observe(namespace, "echo")] == [True, False]
        target.apply(slow, serving=target.serving(namespace, "echo"))
        target.delete_version(slow)
        assert target.request(namespace, "echo", "/ask") == (200, b"one")
    finally:
        target.delete_endpoint(old, with_namespace=True)
