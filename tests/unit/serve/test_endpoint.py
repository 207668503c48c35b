"""A local endpoint as a daemon: versions change without losing a request, what dies comes back, nothing is left."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from tests.ports import free_port
from tests.waiting import PATIENCE_S, until
from tidemill.backends.targets.local import LocalTarget, open_target
from tidemill.base import proc
from tidemill.base.errors import BackendError, FailedError
from tidemill.serve.supervisor import rotate

FAKE = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self): self.answer()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"])); self.answer()
    def answer(self):
        body = sys.argv[2].encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.serve_forever()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    opened = open_target(tmp_path)
    yield opened
    for name in opened.endpoints():
        opened.delete(name)


def version(script: Path, words: str) -> dict[str, Any]:
    return {
        "argv": [sys.executable, str(script), "{port}", words],
        "cwd": str(script.parent),
        "model": "m",
        "version": words,
    }


def wish(port: int = 0, traffic: dict[str, int] | None = None, **versions: dict[str, Any]) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "deployments": versions, "traffic": traffic or {}, "mirror_traffic": {}}


def call(url: str, headers: dict[str, str] | None = None, path: str = "/predict") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(urlparse(url).netloc, timeout=PATIENCE_S)
    connection.request("POST", path, b"{}", headers or {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers.get("azureml-model-deployment", ""), body


def test_traffic_follows_the_weights_and_a_header_picks_a_version(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"blue": 75, "green": 25}, blue=version(script, "one"), green=version(script, "two")))
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    target.wait_healthy("e", "green", timeout_s=PATIENCE_S)
    url = target.observe("e")["url"]
    assert Counter(call(url)[1] for _ in range(100)) == {"blue": 75, "green": 25}
    assert call(url, {"azureml-model-deployment": "green"}) == (200, "green", "two")
    assert call(url, {"azureml-model-deployment": "red"})[0] == 404


def test_no_request_is_lost_while_versions_change_under_load(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"v0": 100}, v0=version(script, "0")))
    target.wait_healthy("e", "v0", timeout_s=PATIENCE_S)
    observed = target.observe("e")
    port = urlparse(observed["url"]).port or 0
    stop, answers = threading.Event(), Counter[tuple[int, bool]]()

    def load() -> None:
        while not stop.is_set():
            status, name, body = call(observed["url"])
            answers[status, name == f"v{body}"] += 1

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(1, 5):
        both = {f"v{i - 1}": version(script, str(i - 1)), f"v{i}": version(script, str(i))}
        target.put("e", {**wish(port, {f"v{i - 1}": 100}), "deployments": both})
        target.wait_healthy("e", f"v{i}", timeout_s=PATIENCE_S)
        target.put("e", {**wish(port, {f"v{i}": 100}), "deployments": {f"v{i}": both[f"v{i}"]}})
    stop.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {(200, True)}
    assert answers[200, True] > 50


def test_a_version_that_is_killed_comes_back(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one")))
    first = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: target.observe("e")["deployments"]["blue"]["restarts"] == 1)
    assert target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"] != first["pid"]
    assert call(target.observe("e")["url"])[0] == 200


def test_a_version_that_cannot_start_says_its_last_words_and_the_old_one_serves_on(
    target: LocalTarget, script: Path
) -> None:
    bad = {"argv": [sys.executable, "-c", "raise SystemExit('no weights')", "{port}"], "cwd": str(script.parent)}
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one"), green=bad))
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    with pytest.raises(FailedError, match="no weights"):
        target.wait_healthy("e", "green", timeout_s=PATIENCE_S)
    assert call(target.observe("e")["url"]) == (200, "blue", "one")


def test_nothing_is_left_after_delete_or_after_the_daemon_is_killed(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one")))
    child = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    assert target.delete("e")
    assert not proc.is_alive(child)
    assert not target.delete("e")
    target.put("f", wish(traffic={"blue": 100}, blue=version(script, "one")))
    child = target.wait_healthy("f", "blue", timeout_s=PATIENCE_S)["pid"]
    os.kill(target.observe("f")["pid"], signal.SIGKILL)
    until(lambda: not proc.is_alive(child))
    assert target.observe("f")["state"] == "Stopped"
    target.put("f", json.loads((target._folder / "f" / "desired.json").read_text()))
    target.wait_healthy("f", "blue", timeout_s=PATIENCE_S)


def test_a_taken_port_is_named(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one")))
    port = urlparse(target.observe("e")["url"]).port or 0
    with pytest.raises(BackendError, match=f"port {port}"):
        target.put("f", wish(port, {"blue": 100}, blue=version(script, "one")))


def test_a_changed_version_of_the_same_name_takes_over_only_when_it_is_ready(target: LocalTarget, script: Path) -> None:
    before = wish(traffic={"blue": 100}, blue=version(script, "one"))
    target.put("e", before)
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    url = target.observe("e")["url"]
    bad = {"argv": [sys.executable, "-c", "raise SystemExit('no weights')"], "cwd": str(script.parent)}
    target.put("e", wish(traffic={"blue": 100}, blue=bad))
    with pytest.raises(FailedError, match="no weights"):
        target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert target.observe("e")["deployments"]["blue"]["replaces"]["state"] == "Healthy"
    assert call(url) == (200, "blue", "one")
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "two")))
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert call(url) == (200, "blue", "two")
    target.put("e", before)
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert call(url) == (200, "blue", "one")


def test_a_wish_that_cannot_be_read_changes_nothing_and_is_said(target: LocalTarget, script: Path) -> None:
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one")))
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    with pytest.raises(BackendError, match=r"desired\.json"):
        target.put("e", {**wish(), "deployments": {"blue": {}}})
    assert call(target.observe("e")["url"]) == (200, "blue", "one")


def test_another_port_is_moved_to(target: LocalTarget, script: Path) -> None:
    asked = wish(traffic={"blue": 100}, blue=version(script, "one"))
    target.put("e", asked)
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    port = free_port()
    target.put("e", {**asked, "port": port})
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert target.observe("e")["url"] == f"http://127.0.0.1:{port}"
    assert call(target.observe("e")["url"])[0] == 200
    assert target.numbers("e")["blue"]["answered"] == 1


def test_servers_a_killed_daemon_left_are_stopped_by_the_next(target: LocalTarget, script: Path) -> None:
    stubborn = script.with_name("stubborn.py")
    stubborn.write_text("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + script.read_text())
    target.put("e", wish(traffic={"blue": 100}, blue=version(stubborn, "one")))
    left = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    os.kill(target.observe("e")["pid"], signal.SIGKILL)
    until(lambda: target.observe("e")["state"] == "Stopped")
    target.put("e", wish(traffic={"blue": 100}, blue=version(script, "one")))
    target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
    assert not proc.is_alive(left)
    target.put("f", wish(traffic={"blue": 100}, blue=version(stubborn, "one")))
    left = target.wait_healthy("f", "blue", timeout_s=PATIENCE_S)["pid"]
    os.kill(target.observe("f")["pid"], signal.SIGKILL)
    until(lambda: target.observe("f")["state"] == "Stopped")
    assert target.delete("f")
    assert not proc.is_alive(left)


def test_a_long_log_is_turned_over_and_read_across_the_turn(target: LocalTarget, tmp_path: Path) -> None:
    log = tmp_path / "endpoints" / "e" / "blue.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\n")
    assert rotate(log, limit=3)
    with log.open("a") as file:
        file.write("three\n")
    assert target.logs("e", "blue", lines=2) == ["two", "three"]
    assert not rotate(log)


@pytest.mark.slow
def test_under_load_switches_and_kills_lose_nothing(target: LocalTarget, script: Path) -> None:
    """`TIDEMILL_LOAD_SWITCHES=50 TIDEMILL_LOAD_REQUESTS=100000` makes it the long run; every other switch is followed by a kill."""
    switches, wanted = (
        int(os.environ.get("TIDEMILL_LOAD_SWITCHES", "8")),
        int(os.environ.get("TIDEMILL_LOAD_REQUESTS", "1000")),
    )
    target.put("e", wish(traffic={"v0": 100}, v0=version(script, "0")))
    target.wait_healthy("e", "v0", timeout_s=PATIENCE_S)
    observed = target.observe("e")
    port = urlparse(observed["url"]).port or 0
    stop, answers = threading.Event(), Counter[tuple[int, bool]]()

    def load() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        while not stop.is_set():
            connection.request("POST", "/predict", b"{}")
            answer = connection.getresponse()
            name = answer.headers.get("azureml-model-deployment", "")
            answers[answer.status, name == f"v{answer.read().decode()}"] += 1
        connection.close()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(1, switches + 1):
        both = {f"v{i - 1}": version(script, str(i - 1)), f"v{i}": version(script, str(i))}
        target.put("e", {**wish(port, {f"v{i - 1}": 100}), "deployments": both})
        target.wait_healthy("e", f"v{i}", timeout_s=PATIENCE_S)
        target.put("e", {**wish(port, {f"v{i}": 100}), "deployments": {f"v{i}": both[f"v{i}"]}})
        if i % 2:
            os.kill(target.wait_healthy("e", f"v{i}", timeout_s=PATIENCE_S)["pid"], signal.SIGKILL)
    target.wait_healthy("e", f"v{switches}", timeout_s=PATIENCE_S)
    deadline = time.monotonic() + 240  # the long run asks for a hundred thousand
    while sum(answers.values()) < wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(
        f"{sum(answers.values())} answered through {switches} switches and {(switches + 1) // 2} kills: {dict(answers)}\n"
    )
    assert answers[200, True] >= wanted
    assert set(answers) == {(200, True)}


def test_a_real_model_behind_a_key_recognises_digits_also_right_after_its_server_was_killed(
    target: LocalTarget, digits_model: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "tokens"
    keys.write_text("secret\n")
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(digits_model), "--port", "{port}", "--allow-pickle"]
    served = {"argv": [*argv, "--token-file", str(keys)], "cwd": str(tmp_path)}
    target.put("e", {**wish(traffic={"blue": 100}, blue=served), "tokens": str(keys)})
    pid = target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"]
    netloc = urlparse(target.observe("e")["url"]).netloc
    golden = json.loads((digits_model / "golden.json").read_text())

    def predict(number: int, key: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(netloc, timeout=PATIENCE_S)
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        connection.request("POST", "/predict", json.dumps(golden["inputs"][number]).encode(), headers)
        answer = connection.getresponse()
        body = json.load(answer)
        connection.close()
        return answer.status, body

    assert predict(3, "wrong")[0] == 401
    assert predict(3, "secret")[1]["prediction"] == golden["predictions"][3]
    os.kill(pid, signal.SIGKILL)
    status, body = predict(7, "secret")
    assert (status, body["prediction"]) == (200, golden["predictions"][7])
    assert target.numbers("e")["blue"]["answered"] >= 1


@pytest.mark.slow
def test_a_server_that_takes_long_to_come_back_is_waited_for(target: LocalTarget, script: Path) -> None:
    slow = script.with_name("slow.py")
    slow.write_text(
        "import pathlib, time\nmark = pathlib.Path('mark')\nif mark.exists(): time.sleep(7)\nmark.touch()\n"
        + script.read_text()
    )
    target.put("e", wish(traffic={"blue": 100}, blue=version(slow, "one")))
    os.kill(target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)["pid"], signal.SIGKILL)
    assert call(target.observe("e")["url"]) == (200, "blue", "one")
    assert target.observe("e")["deployments"]["blue"]["restarts"] == 1
