"""A server that is told to stop: what was sent to it is answered, whoever sent it and how."""

from __future__ import annotations

import collections
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.serve.test_operation import running
from tests.waiting import PATIENCE_S, until
from tidemill.backends.targets.local import open_target

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = """
import json, time

def init():
    pass

def run(raw_data):
    open(__file__ + ".asked", "w").close()
    time.sleep(json.loads(raw_data))
    return {}
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    return tmp_path / "code"


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def connect(url: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*address(url), timeout=PATIENCE_S)
    connection.connect()
    return connection


def ask_until_refused(url: str, met: collections.Counter[str], *, keep: bool) -> None:
    """Request after request, on a connection kept while the server keeps it or on a new one each time."""
    connection = None
    while True:
        try:
            connection = connection or connect(url)
        except OSError:
            return
        try:
            connection.request("POST", "/score", b"0")
            answer = connection.getresponse()
            answer.read()
            met[str(answer.status)] += 1
            ends = answer.headers.get("connection") == "close"
        except (OSError, http.client.HTTPException) as exc:
            met[type(exc).__name__] += 1
            ends = True
        if ends or not keep:
            connection.close()
            connection = None


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("module", ["tidemill.serve", "tidemill.serve.workers"])
def test_a_stop_under_load_loses_no_request(code: Path, module: str, options: tuple[str, ...]) -> None:
    met: collections.Counter[str] = collections.Counter()
    with running(code, *options, module=module) as (process, url):
        clients = [
            threading.Thread(target=ask_until_refused, args=(url, met), kwargs={"keep": i % 2 == 0}) for i in range(12)
        ]
        slow = connect(url)
        slow.request("POST", "/score", b"1.5")
        for client in clients:
            client.start()
        until(lambda: met["200"] >= 20)
        process.terminate()
        for client in clients:
            client.join()
        assert slow.getresponse().status == 200
        assert process.wait(PATIENCE_S) == 0
    assert set(met) == {"200"}
    slow.close()


def test_a_request_that_had_begun_to_come_is_answered_and_an_idle_connection_is_closed(code: Path) -> None:
    with running(code) as (process, url):
        idle, begun = connect(url), socket.create_connection(address(url))
        idle.request("POST", "/score", b"0")
        assert idle.getresponse().read() == b"{}"
        begun.sendall(b"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        time.sleep(0.5)
        process.terminate()
        time.sleep(1.5)  # longer than idle connections are kept
        begun.sendall(b"content-length: 1\r\n\r\n0")
        answer = begun.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert idle.sock.recv(1) == b""
        assert process.wait(PATIENCE_S) == 0
        idle.close()
        begun.close()


def test_requests_sent_together_are_all_answered_before_the_end(code: Path) -> None:
    with running(code) as (process, url), socket.create_connection(address(url)) as client:
        one = b"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 3\r\n\r\n0.4"
        client.sendall(one * 3)
        until((code / "score.py.asked").exists)
        process.terminate()
        assert client.makefile("rb").read().count(b"HTTP/1.1 200") == 3


def test_a_second_stop_does_not_wait(code: Path) -> None:
    with running(code, "--timeout", "3600", module="tidemill.serve.workers") as (process, url):
        slow = connect(url)
        slow.request("POST", "/score", json.dumps(3600).encode())
        until((code / "score.py.asked").exists)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        slow.close()


def test_an_endpoint_that_is_told_to_stop_answers_what_it_got(code: Path, tmp_path: Path) -> None:
    target = open_target(tmp_path)
    argv = [sys.executable, "-m", "tidemill.serve", "--code", str(code), "--port", "{port}"]
    blue = {"argv": argv, "cwd": str(code)}
    target.put("e", {"port": 0, "deployments": {"blue": blue}, "traffic": {"blue": 100}, "mirror_traffic": {}})
    met: collections.Counter[str] = collections.Counter()
    try:
        target.wait_healthy("e", "blue", timeout_s=PATIENCE_S)
        url = target.observe("e")["url"]
        clients = [
            threading.Thread(target=ask_until_refused, args=(url, met), kwargs={"keep": i % 2 == 0}) for i in range(8)
        ]
        slow = connect(url)
        slow.request("POST", "/score", b"1.5")
        for client in clients:
            client.start()
        until(lambda: met["200"] >= 20)
        os.kill(target.observe("e")["pid"], signal.SIGTERM)
        for client in clients:
            client.join()
        assert slow.getresponse().status == 200
        slow.close()
    finally:
        target.delete("e")
    assert set(met) == {"200"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_model_is_loaded_ends_the_server_at_once_and_without_a_traceback(
    code: Path, tmp_path: Path, number: signal.Signals
) -> None:
    begun = tmp_path / "begun"
    (code / "score.py").write_text(
        f"import pathlib, time\ndef init(): pathlib.Path({str(begun)!r}).touch(); time.sleep(60)\ndef run(raw): return raw\n"
    )
    argv = [sys.executable, "-m", "tidemill.serve", "--code", str(code), "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert b"Traceback" not in said
    assert b"ready" not in said


def test_a_server_open_to_others_without_a_token_says_so(code: Path, tmp_path: Path) -> None:
    with running(code, "--host", "0.0.0.0") as (_, url):
        assert url
    assert "no token is asked for" in (tmp_path / "log").read_text()
    (tmp_path / "tokens").write_text("key")
    with running(code, "--host", "0.0.0.0", "--token-file", str(tmp_path / "tokens")) as (_, url):
        assert url
    assert "no token is asked for" not in (tmp_path / "log").read_text()
