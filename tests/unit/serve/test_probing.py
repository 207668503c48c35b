"""The probes of a deployment's document, respected by the supervisor of a local endpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serve.test_endpoint import call, wish
from tests.waiting import PATIENCE_S, until
from tidemill.backends.targets.local import LocalTarget, open_target

FAKE = """
import http.server, os, pathlib, re, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        name = self.path.strip("/")
        self.answer(503 if pathlib.Path(f"not-{name}").exists() else 200)
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hold":
            re.match("(a+)+$", "a" * 64 + "b")  # never returns, and lets no other thread run
        self.answer(200)
    def answer(self, status):
        body = str(os.getpid()).encode()
        self.send_response(status); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
if pathlib.Path("never").exists():
    time.sleep(3600)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    (tmp_path / "fake.py").write_text(FAKE)
    opened = open_target(tmp_path)
    yield opened
    for name in opened.endpoints():
        opened.delete(name)


def start(target: LocalTarget, folder: Path, **said: Any) -> None:
    blue = {"argv": [sys.executable, "fake.py", "{port}"], "cwd": str(folder), "model": "m", "version": "1", **said}
    target.put("e", wish(traffic={"blue": 100}, blue=blue))


def blue(target: LocalTarget) -> dict[str, Any]:
    found: dict[str, Any] = target.observe("e").get("deployments", {}).get("blue", {})
    return found


def test_a_server_is_not_asked_whether_it_is_ready_before_the_initial_delay(
    target: LocalTarget, tmp_path: Path
) -> None:
    began = time.monotonic()
    start(target, tmp_path, probe={"ready": {"delay": 2, "successes": 3}})
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert time.monotonic() - began >= 2


def test_one_that_is_not_ready_any_more_leaves_the_traffic_alive_and_comes_back(
    target: LocalTarget, tmp_path: Path
) -> None:
    start(target, tmp_path, probe={"period": 0.2, "ready": {"period": 0.1, "failures": 2}})
    pid = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    (tmp_path / "not-readyz").touch()
    until(lambda: blue(target)["state"] == "Unhealthy")
    time.sleep(1)
    until(lambda: blue(target)["last_error"] == str(pid))  # and not that it did not answer in time
    assert (blue(target)["pid"], blue(target)["restarts"]) == (pid, 0)
    (tmp_path / "not-readyz").unlink()
    until(lambda: blue(target)["state"] == "Healthy")
    assert call(target.observe("e")["url"])[0] == 200


def test_one_that_does_not_live_is_started_again_after_the_failures_it_may_have(
    target: LocalTarget, tmp_path: Path
) -> None:
    start(target, tmp_path, probe={"period": 0.2, "timeout": 1, "failures": 2}, request_timeout=0.2)
    pid = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    (tmp_path / "not-healthz").touch()
    until(lambda: blue(target)["restarts"] >= 1)
    (tmp_path / "not-healthz").unlink()
    assert target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"] != pid


def test_one_that_says_nothing_after_its_initial_delay_is_started_again(target: LocalTarget, tmp_path: Path) -> None:
    (tmp_path / "never").touch()
    start(target, tmp_path, probe={"delay": 1, "period": 0.5, "failures": 2})
    until(lambda: blue(target).get("restarts", 0) >= 1)
    (tmp_path / "never").unlink()
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)


def test_a_request_that_holds_its_whole_server_is_504_and_the_server_is_replaced(
    target: LocalTarget, tmp_path: Path
) -> None:
    start(target, tmp_path, probe={"period": 0.2, "timeout": 0.5}, request_timeout=0.2)
    pid = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    url = target.observe("e")["url"]
    assert call(url, path="/hold")[0] == 504
    until(lambda: call(url)[0] == 200)
    assert target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"] != pid
