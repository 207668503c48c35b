"""An application of the user's own, served with the model mounted and described beside it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from tidemill.base.errors import FailedError, UsageError
from tidemill.serve.loading import load_application

pytestmark = pytest.mark.filterwarnings("ignore")
ASGI = """
import os
STARTED = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        STARTED.append(open(os.environ["MODEL_PATH"]).read())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    if path == "/fail":
        raise RuntimeError("secret words")
    if path == "/say-and-fail":  # as Starlette does
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        raise RuntimeError("secret words")
    body = b""
    while True:
        try:
            message = await receive()
        except Exception:  # as frameworks do
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            raise
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status = 200 if path == "/predict" else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": STARTED[0].encode() + b":", "more_body": True})
    await send({"type": "http.response.body", "body": body})
"""
WSGI = """
def make():
    def app(environ, start_response):
        start_response("201 Created", [("Content-Type", "text/plain"), ("X-Request-Id", "own")])
        yield environ["REQUEST_METHOD"].encode() + b" " + environ["QUERY_STRING"].encode() + b" "
        yield environ["wsgi.input"].read() + environ["HTTP_X_ONE"].encode()
    return app
"""


@contextmanager
def serving(folder: Path, name: str, *options: str, env: Mapping[str, str]) -> Iterator[int]:
    argv = [sys.executable, "-m", "tidemill.serve", "--app", name, "--app-dir", str(folder), "--port", "0", *options]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**env})
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().decode().rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, "it stopped because it was told to"


def ask(
    port: int, method: str, path: str, body: str | Iterator[bytes] = "", **headers: str
) -> tuple[int, Mapping[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    given = {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, path, body, given, encode_chunked="transfer-encoding" in given)
    answer = connection.getresponse()
    found = answer.status, dict(answer.headers), answer.read().decode()
    connection.close()
    return found


def followed(port: int, path: str) -> list[int]:
    """The answers to two requests that were sent together."""
    one = "GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall((one.format(path) + one.format("/tidemill/version")).encode())
        said = b""
        while said.count(b"HTTP/1.1 ") < 2 and (more := client.recv(65536)):
            said += more
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def test_an_asgi_application_is_served_with_its_model_described_beside_it(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(ASGI)
    (tmp_path / "model.txt").write_text("weights")
    about = ["--model", str(tmp_path / "model.txt"), "--name", "m", "--version", "7", "--max-body", "100"]
    with serving(tmp_path, "main:app", *about, env={"MODEL_PATH": str(tmp_path / "model.txt")}) as port:
        status, headers, text = ask(port, "POST", "/predict", "row", x_request_id="mine")
        assert (status, text, headers["x-request-id"]) == (200, "weights:row", "mine")
        version = json.loads(ask(port, "GET", "/tidemill/version")[2])
        assert (version["name"], version["version"], len(version["digest"]) > 20) == ("m", "7", True)
        assert 'tidemill_requests_total{path="app",status="200"}' in ask(port, "GET", "/tidemill/metrics")[2]
        for path in ("/healthz", "/readyz", "/tidemill/healthz"):
            assert ask(port, "GET", path)[0] == 200, "ours answers where the application has nothing"
        assert ask(port, "GET", "/nothing")[0] == 404
        assert ask(port, "POST", "/predict", "x" * 101)[0] == 413
        assert ask(port, "POST", "/predict", iter([b"x" * 60, b"x" * 60]), transfer_encoding="chunked")[0] == 413
        status, _, text = ask(port, "GET", "/fail")
        assert (status, "secret" in text) == (500, False)
        assert followed(port, "/say-and-fail") == [500, 200], "a failure ends no connection"


def test_a_wsgi_application_from_a_factory_behind_a_token(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(WSGI)
    (tmp_path / "tokens").write_text("secret\n")
    with serving(tmp_path, "shop:make()", "--token-file", str(tmp_path / "tokens"), env={}) as port:
        assert ask(port, "POST", "/a?b=c", "body", x_one="1")[0] == 401
        given = {"x_one": "1", "authorization": "Bearer secret"}
        status, headers, text = ask(port, "POST", "/a?b=c", "body", **given)
        assert (status, text) == (201, "POST b=c body1")
        assert headers["x-request-id"] == "own"
        assert ask(port, "POST", "/", iter([b"bo", b"dy"]), transfer_encoding="chunked", **given)[2] == "POST  body1"
        socket = {"connection": "upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
        key = {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}
        assert ask(port, "GET", "/chat", **socket, **key, **given)[0] == 403


STREAM = """
import pathlib, time
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    try:
        for number in range(int(environ["QUERY_STRING"])):
            yield f"data: {number}\\n\\n".encode()
            time.sleep(0.05)
    finally:
        pathlib.Path(__file__).with_name("closed").touch()
"""


def test_a_wsgi_application_may_say_its_answer_bit_by_bit_until_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(STREAM)
    with serving(tmp_path, "main:app", env={}) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", "/?2000")
        answer = connection.getresponse()
        assert answer.readline() == b"data: 0\n", "long before its end, a hundred seconds later"
        answer.close()
        connection.close()
        until((tmp_path / "closed").exists)
        assert ask(port, "GET", "/?2")[2] == "data: 0\n\ndata: 1\n\n"


def test_an_application_that_cannot_start_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(ASGI)
    argv = [sys.executable, "-m", "tidemill.serve", "--app", "main:app", "--app-dir", str(tmp_path), "--port", "0"]
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={"MODEL_PATH": str(tmp_path / "none")},
    )
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr
    assert "ready" not in done.stdout


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("import nothing_like_it\n", "one:app", r"one\.py:1: ModuleNotFoundError"),
        ("\napp = (\n", "two:app", r"two\.py:2: SyntaxError"),
        ("def make():\n    return 1 / 0\n", "three:make()", r"three\.py:2: ZeroDivisionError"),
    ],
)
def test_an_import_that_fails_names_the_file_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, words: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{name.partition(':')[0]}.py").write_text(text)
    with pytest.raises(FailedError, match=words):
        load_application(name, tmp_path)


def test_a_name_that_is_not_there_is_met_with_the_names_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "four.py").write_text("def application(environ, start): ...\n")
    with pytest.raises(UsageError, match="no application `app`") as caught:
        load_application("four:app", tmp_path)
    assert "application" in caught.value.hint
    with pytest.raises(UsageError, match="is no application"):
        load_application("four", tmp_path)


def test_a_module_that_is_not_there_is_met_with_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "here.py").touch()
    with pytest.raises(UsageError, match="no module `nowhere` in") as caught:
        load_application("nowhere:app", tmp_path)
    assert caught.value.hint == "There is: here"
    with pytest.raises(UsageError, match="is a file") as caught:
        load_application("./inner/main.py:app", tmp_path)
    assert caught.value.hint == "--app inner.main:app"


FORMS = """
import sys
async def asgi(scope, receive, send): ...
def wrapped(scope, receive, send): return asgi(scope, receive, send)
def wsgi(environ, start_response): ...
def make(name="x"): return asgi
def ends(): sys.exit(3)
async def later(): return asgi
class Made:
    async def __call__(self, scope, receive, send): ...
class Holder:
    inner = Made()
number = 5
"""


def test_an_application_is_found_whatever_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "forms.py").write_text(FORMS)
    asgi = load_application("forms:asgi", tmp_path)
    assert load_application("forms:make", tmp_path) is asgi, "what takes no request makes the application"
    assert load_application("forms:make()", tmp_path) is asgi
    assert type(load_application("forms:Holder.inner", tmp_path)).__name__ == "Made"
    assert type(load_application("forms:Made()", tmp_path)).__name__ == "Made"
    assert load_application("forms:wrapped", tmp_path).__name__ == "wrapped"
    assert load_application("forms:wsgi", tmp_path).__module__ == "tidemill.serve.wsgi"
    for name, words in (("number", "is int"), ("Made", "is a class"), ("later()", "asynchronous")):
        with pytest.raises(UsageError, match=words):
            load_application(f"forms:{name}", tmp_path)
    with pytest.raises(FailedError, match=r"forms\.py:7: it called sys\.exit\(3\)"):
        load_application("forms:ends", tmp_path)


def test_a_module_of_a_package_is_served_from_the_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "app5.py").write_text("from . import other\n")
    with pytest.raises(FailedError, match="no known parent package") as caught:
        load_application("app5:app", tmp_path / "inside")
    assert "--app inside.app5:app" in caught.value.hint
