"""Azure's scoring scripts; the peer test asks Microsoft's own server the same questions."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.http import Request
from tidemill.serve.scoring import ScoringScript, load_scoring_script
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import ServerSettings

RAW = """
import json
def init():
    global factor
    factor = 2
def run(raw_data):
    if raw_data == "boom":
        raise RuntimeError("secret detail")
    if raw_data == "none":
        return None
    return {"got": raw_data, "twice": len(raw_data) * factor}
"""
RAWHTTP = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    assert isinstance(request, AMLRequest)
    if request.method == "GET":
        return AMLResponse(request.args["name"], 200)
    return AMLResponse(request.get_data()[::-1], 201, {"X-Own": request.headers["X-Given"]})
"""
WRAPPED = """
import functools
def schema(function):
    @functools.wraps(function)
    def inner(*args, **kwargs): return function(*args, **kwargs)
    return inner
def init(): pass
@schema
def run(data, factor=3): return [v * factor for v in data]
"""
MICROSOFT = Path(os.environ.get("TIDEMILL_PEER_PYTHON", "no-peer")).parent / "azmlinfsrv"


def script(folder: Path, text: str) -> ScoringScript:
    (folder / "score.py").write_text(text)
    return load_scoring_script(folder / "score.py", None, name="m", version="1")


def ask(
    loaded: ScoringScript, body: bytes, method: str = "POST", query: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = {
        b"content-type": b"application/json",
        **{k.replace("_", "-").encode(): v.encode() for k, v in headers.items()},
    }
    response = loaded.run(Request(method, "/score", given, query, body))
    return response.status, {k.decode(): v.decode() for k, v in response.headers}, response.body


def test_run_gets_the_raw_body_as_text(tmp_path: Path) -> None:
    status, headers, body = ask(script(tmp_path, RAW), b"abc")
    assert (status, json.loads(body)) == (200, {"got": "abc", "twice": 6})
    assert headers["x-ms-run-function-failed"] == "False"
    assert float(headers["x-ms-run-fn-exec-ms"]) >= 0


def test_a_script_that_raises_is_a_500_that_says_so_without_details(tmp_path: Path) -> None:
    status, headers, body = ask(script(tmp_path, RAW), b"boom")
    assert (status, headers["x-ms-run-function-failed"]) == (500, "True")
    assert b"secret" not in body


def test_rawhttp_scripts_work_without_microsofts_packages(tmp_path: Path) -> None:
    loaded = script(tmp_path, RAWHTTP)
    status, headers, body = ask(loaded, b"\xffab", x_given="yes")
    assert (status, headers["x-own"], body) == (201, "yes", b"ba\xff")
    assert ask(loaded, b"", "GET", "name=Ada")[2] == b"Ada"


def test_decorated_scripts_get_their_arguments_by_name(tmp_path: Path) -> None:
    loaded = script(tmp_path, WRAPPED)
    assert json.loads(ask(loaded, b'{"data": [1, 2]}')[2]) == [3, 6]
    assert ask(loaded, b'{"factor": 2}')[0] == 400
    assert ask(loaded, b"[1]")[0] == 400
    assert ask(loaded, b"{}", content_type="text/plain")[0] == 415


@pytest.mark.parametrize("text", ["def init(): pass\n", "def run(): return 1\n"])
def test_a_script_that_cannot_be_asked_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        script(tmp_path, text)


def test_an_init_that_fails_says_which_script(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"score\.py could not start: KeyError"):
        script(tmp_path, "def init(): {}['x']\ndef run(d): return d\n")


@pytest.mark.needs_peer
@pytest.mark.parametrize("text", [RAW], ids=["raw"])
def test_answers_and_headers_are_those_of_microsofts_server(tmp_path: Path, text: str) -> None:
    if not MICROSOFT.exists():
        pytest.skip("TIDEMILL_PEER_PYTHON names no interpreter with azureml-inference-server-http")
    app = InferenceServer(None, script(tmp_path, text), ServerSettings())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "AZUREML_APP_ROOT": str(tmp_path), "WORKER_COUNT": "1"}
    argv = [str(MICROSOFT), "--entry_script", "score.py", "--port", str(port)]
    theirs = subprocess.Popen(argv, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        questions = [
            ("POST", "/score", b"abc", {}), ("POST", "/score", b"boom", {}), ("POST", "/score", b"none", {}),
            ("POST", "/score", b"\xff", {}), ("GET", "/score?a=1&b=x&b=2", b"", {}), ("GET", "/", b"", {}),
            ("POST", "/score", b"a", {"x-ms-client-request-id": "c1"}), ("POST", "/score", b"a", {"x-request-id": "r1"}),
            ("POST", "/score", b"a", {"x-ms-request-id": "o1"}), ("POST", "/score", b"a", {"x-request-id": "r" * 101}),
        ]  # fmt: skip
        for question in questions:
            assert _of_interest(_ours(app, *question)) == _of_interest(_theirs(port, *question)), question
    finally:
        theirs.terminate()
        theirs.wait(10)


Reply = tuple[int, dict[str, str], bytes]


def _of_interest(reply: Reply) -> tuple[int, dict[str, str], object]:
    status, headers, body = reply
    if status == 431:
        return status, {}, b""
    names = ("x-ms-run-function-failed", "x-ms-client-request-id")
    kept = {n: headers[n] for n in names if n in headers}
    kept |= {n: headers[n] for n in ("x-request-id", "x-ms-request-id") if len(headers.get(n, "")) < 5}
    try:
        return status, kept, json.loads(body)
    except ValueError:
        return status, kept, body


def _theirs(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        finally:
            connection.close()


def _ours(app: InferenceServer, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    answered = {k.decode(): v.decode() for k, v in sent[0]["headers"]}  # type: ignore[attr-defined]
    return int(sent[0]["status"]), answered, bytes(sent[1]["body"])  # type: ignore[call-overload]
