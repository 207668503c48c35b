"""Traffic onto a new version: watched at every step, and what is bad is said before everybody gets it."""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.waiting import PATIENCE_S
from tidemill.app.shift import BakeFailedError, shift_traffic
from tidemill.backends.targets.local import LocalTarget, open_target
from tidemill.release.ports import DeployTarget
from tidemill.spec.project import Stage

_: type[DeployTarget] = LocalTarget

FAKE = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        asked = self.path == "/ask"
        time.sleep(float(sys.argv[3]) if asked else 0)
        self.send_response(int(sys.argv[2]) if asked else 200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    (tmp_path / "fake.py").write_text(FAKE)
    opened = open_target(tmp_path)
    yield opened
    for name in opened.endpoints():
        opened.delete(name)


def version(folder: Path, status: int = 200, seconds: float = 0) -> dict[str, Any]:
    return {"argv": [sys.executable, "fake.py", "{port}", str(status), str(seconds)], "cwd": str(folder)}


@contextlib.contextmanager
def load(url: str) -> Iterator[None]:
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with contextlib.suppress(HTTPError), urllib.request.urlopen(f"{url}/ask", timeout=PATIENCE_S):
                continue

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def both(target: LocalTarget, folder: Path, new: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "deployments": {"old": version(folder), "new": new},
        "traffic": {"old": 100},
        "mirror_traffic": {},
    }
    target.put("e", asked)
    for name in asked["deployments"]:
        target.wait_healthy("e", name, timeout_s=PATIENCE_S)
    return asked


def test_a_good_canary_grows_to_everything_and_the_old_version_is_gone(target: LocalTarget, tmp_path: Path) -> None:
    asked, said = both(target, tmp_path, version(tmp_path)), list[str]()
    stage = Stage(strategy="canary", steps=[20], bake_s=0.3)
    with load(target.observe("e")["url"]):
        shift_traffic(target, "e", asked, "new", stage, said.append)
    assert [s.partition(" of ")[0] for s in said] == ["new takes 20 %", "new takes 100 %"]
    assert target.desired("e")["traffic"] == {"new": 100}
    assert list(target.observe("e")["deployments"]) == ["new"]


@pytest.mark.parametrize(("status", "seconds", "why"), [(500, 0, "error rate"), (200, 0.1, "p99 latency")])
def test_a_canary_that_fails_or_turns_slow_is_stopped_at_its_first_step(
    target: LocalTarget, tmp_path: Path, status: int, seconds: float, why: str
) -> None:
    asked = both(target, tmp_path, version(tmp_path, status, seconds))
    stage = Stage(strategy="canary", steps=[20], bake_s=60, max_latency_ms=50)  # bad is said as soon as it is plain
    with load(target.observe("e")["url"]), pytest.raises(BakeFailedError, match=why):
        shift_traffic(target, "e", asked, "new", stage, lambda _: None)
    assert target.desired("e")["traffic"] == {"old": 80, "new": 20}


def test_without_time_to_bake_the_switch_is_at_once(target: LocalTarget, tmp_path: Path) -> None:
    said = list[str]()
    shift_traffic(target, "e", both(target, tmp_path, version(tmp_path)), "new", Stage(strategy="canary"), said.append)
    assert said == []
    assert target.desired("e")["traffic"] == {"new": 100}
