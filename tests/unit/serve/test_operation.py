"""The server under way: a full queue, calls that hang, TLS, tokens that change, workers behind the router."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.serve.test_process import children
from tests.waiting import PATIENCE_S, until
from tidemill.serve.http import Request, Tokens
from tidemill.serve.probing import Probing
from tidemill.serve.router import Router
from tidemill.serve.script import load_scoring_script
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import ServerSettings
from tidemill.serve.supervisor import Supervisor, Wish

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = """
import os, time

def init():
    pass

def run(raw_data):
    if raw_data == "hang":
        time.sleep(3600)
    if raw_data == "slow":
        time.sleep(0.3)
    while raw_data == "wait" and not os.path.exists(__file__ + ".go"):
        time.sleep(0.02)
    return {"pid": os.getpid()}
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    return tmp_path / "code"


@contextmanager
def running(code: Path, *options: str, module: str = "tidemill.serve") -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    argv = [sys.executable, "-m", module, "--code", str(code), "--port", "0", *options]
    with (code.parent / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().partition(" ")[2].strip()
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(PATIENCE_S)


def score(url: str, body: str, token: str = "", context: ssl.SSLContext | None = None) -> tuple[int, Any]:
    scheme, _, host = url.partition("://")
    connection = (
        http.client.HTTPSConnection(host, timeout=PATIENCE_S, context=context)
        if scheme == "https"
        else http.client.HTTPConnection(host, timeout=PATIENCE_S)
    )
    try:
        connection.request("POST", "/score", body, {"authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def score_again(url: str, body: str) -> tuple[int, Any]:
    """As `score`, also while one of several workers has just ended and no other is ready yet."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return score(url, body)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def call_together(application: InferenceServer, bodies: list[bytes]) -> list[dict[str, Any]]:
    """The starts of the answers to requests that come at once."""

    async def one(body: bytes) -> dict[str, Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/score", "headers": [(b"host", b"127.0.0.1")]}
        await application(scope, receive, send)
        return {"status": sent[0]["status"], "headers": dict(sent[0]["headers"])}

    async def all_of_them() -> list[dict[str, Any]]:
        return await asyncio.gather(*(one(b) for b in bodies))

    return asyncio.run(all_of_them())


def test_more_requests_than_may_wait_get_429_and_are_told_when_to_come_back(code: Path) -> None:
    script = load_scoring_script(code, "score.py", None, name="m", version="1")
    answers = call_together(InferenceServer(None, script, ServerSettings(max_queue=2)), [b"slow"] * 4)
    assert sorted(a["status"] for a in answers) == [200, 200, 429, 429]
    assert all(a["headers"][b"retry-after"] == b"1" for a in answers if a["status"] == 429)


def test_several_workers_let_in_together_what_may_be_inside(code: Path) -> None:
    with running(code, "--workers", "2", "--max-queue", "2") as (process, url):
        seen: set[int] = set()
        while len(seen) < 2:
            seen.add(score_again(url, "x")[1]["pid"])
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(score, url, "wait") for _ in range(8)]
            until(lambda: sum(one.done() for one in asked) >= 6)
            (code / "score.py.go").touch()
            answers = [one.result()[0] for one in asked]
    assert 1 <= answers.count(200) <= 2
    assert set(answers) == {200, 429}
    assert process.returncode == 0


def test_a_worker_whose_model_hangs_answers_504_and_another_takes_its_place(code: Path) -> None:
    with running(code, "--workers", "2", "--timeout", "1") as (process, url):
        before = set(children(process.pid))
        assert score(url, "hang")[0] == 504
        until(lambda: len(children(process.pid)) == 2 and set(children(process.pid)) != before)
        assert "did not return" in (code.parent / "log").read_text()
        assert score_again(url, "x")[0] == 200


def certificate(folder: Path) -> tuple[Path, Path]:
    """One that signs itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_over_tls_tokens_are_read_again_when_their_file_changes(code: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    tokens = tmp_path / "tokens"
    tokens.write_text("old\nolder\n")
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--token-file", str(tokens)]
    with running(code, *options) as (_, address):
        assert address.startswith("https://")
        url = address.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=str(cert))
        assert [score(url, "x", t, trusting)[0] for t in ("old", "older", "new", "")] == [200, 200, 401, 401]
        tokens.write_text("new\nold\n")
        assert [score(url, "x", t, trusting)[0] for t in ("new", "old", "older")] == [200, 200, 401]
        with pytest.raises(ssl.SSLError):
            score(url, "x", "new", ssl.create_default_context())


def test_a_token_file_that_is_no_text_or_cannot_be_read_costs_nobody_an_error(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(b"\xe9\r\nkey\r\n\n")
    tokens = Tokens(file)
    assert [allows(tokens, t) for t in ("key", "no", "")] == [True, False, False]
    file.unlink()
    file.mkdir()
    (file / "one").mkdir()  # a folder where a token should be holds none
    assert [allows(tokens, t) for t in ("key", "")] == [False, False]


def test_a_token_file_that_is_being_written_lets_those_in_who_were_let_in(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("key\n")
    tokens = Tokens(file)
    assert allows(tokens, "key")
    file.write_text("")  # as `echo new > tokens` does first
    assert allows(tokens, "key")
    when = file.stat().st_mtime_ns
    file.write_text("new\n")
    os.utime(file, ns=(when, when))  # within one tick of the file system's clock
    assert [allows(tokens, t) for t in ("new", "key")] == [True, False]
    file.write_text("")
    os.utime(file, (1, 1))  # and stays so
    assert [allows(tokens, t) for t in ("new", "")] == [False, False]


def allows(tokens: Tokens, token: str) -> bool:
    return tokens.allow(Request("POST", "/score", {b"authorization": f"Bearer {token}".encode()}, ""))


def test_a_certificate_that_cannot_be_used_is_an_error_of_use(code: Path, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    argv = [sys.executable, "-m", "tidemill.serve", "--code", str(code), "--port", "0"]
    argv += ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "cert.pem")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert "cannot be used: one of them is not the PEM file it should be" in done.stderr
    assert done.stdout == ""


def test_no_request_is_lost_when_workers_behind_the_router_are_killed(code: Path, tmp_path: Path) -> None:
    argv = (sys.executable, "-m", "tidemill.serve", "--code", str(code), "--port", "{port}", "--workers", "3")
    answered = asyncio.run(_kill_workers(tmp_path, argv))
    assert [status for status, _ in answered] == [200] * len(answered)
    assert len(answered) > 50


async def _kill_workers(folder: Path, argv: tuple[str, ...]) -> list[tuple[int, int]]:
    router = Router()
    supervisor = Supervisor(folder, router)
    supervisor.want([Wish("blue", argv, {}, str(folder), {}, Probing(0.2, 2, 3))], {"blue": 100}, {})
    front = await asyncio.start_server(router.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}"
    answered: list[tuple[int, int]] = []
    ticking = asyncio.create_task(_tick(supervisor))
    try:
        while not router.backends["blue"].ready:  # noqa: ASYNC110 - the supervisor only sets it
            await asyncio.sleep(0.05)
        process = supervisor.servers["blue"].process
        assert process is not None
        first = set(children(process.pid))
        for round_ in range(12):
            asked = [asyncio.to_thread(score, url, "x") for _ in range(6)]
            if round_ % 4 == 3:
                os.kill(children(process.pid)[0], signal.SIGKILL)
            answers = await asyncio.gather(*asked)
            answered += [(status, body.get("pid", 0)) for status, body in answers]
        direct = f"http://127.0.0.1:{router.backends['blue'].port}"
        deadline = time.monotonic() + PATIENCE_S
        while (await asyncio.to_thread(score_again, direct, "x"))[1][
            "pid"
        ] in first:  # until one that took a place answers
            assert time.monotonic() < deadline
    finally:
        ticking.cancel()
        front.close()
        await supervisor.stop()
        await router.clients.hang_up()
    return answered


async def _tick(supervisor: Supervisor) -> None:
    while True:
        supervisor.tick()
        await asyncio.sleep(0.02)
