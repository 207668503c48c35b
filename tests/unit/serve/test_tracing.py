"""Traces as a collector gets them: whose trace, which spans, named how; and nothing of it where nobody asks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serve.collector import attributes, collecting
from tests.unit.serve.conftest import COLUMNS
from tests.waiting import PATIENCE_S, until
from tidemill.backends.targets.local import open_target
from tidemill.serve.options import parse
from tidemill.serve.process import build
from tidemill.serve.server import InferenceServer
from tidemill.serve.spans import TraceContext, read_context
from tidemill.serve.trace_settings import read_settings

pytestmark = pytest.mark.filterwarnings("ignore")
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ROW = dict.fromkeys(COLUMNS, 0.5)
SCRIPT = """
import time

def init():
    pass

def run(raw_data):
    time.sleep(0.05)
    if "break" in raw_data:
        raise KeyError("age")
    return {"ok": True}
"""
ECHO = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): self.answer()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"])); self.answer()
    def answer(self):
        seen = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith("trace")}
        body = json.dumps(seen).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}


@contextmanager
def running(log: Path, environ: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    argv = [sys.executable, "-m", "tidemill.serve", "--port", "0", "--access-log", *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stream, env=clean() | environ)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().split()[-1]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def ask(url: str, value: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(value).encode(), headers or {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line[line.index("{") :]) for line in log.read_text().splitlines() if '"request_id"' in line]


def test_a_request_is_a_span_of_its_callers_trace_with_its_parts_below_it(tmp_path: Path, table_model: Path) -> None:
    with collecting() as collector:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=s%20ecret, tenant=a",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_SERVICE_NAME": "churn",
        }
        options = ["--model", str(table_model), "--allow-pickle", "--name", "m", "--version", "3", "--deployment", "b"]
        with running(tmp_path / "log", environ, *options) as (process, url):
            given = {"traceparent": TRACEPARENT, "tracestate": "vendor=1", "x-request-id": "mine"}
            assert ask(f"{url}/predict?token=secret", ROW, given)[0] == 200
            assert ask(f"{url}/predict", {"wrong": 1})[0] == 422
            assert ask(f"{url}/users/4711", {})[0] == 404
            process.send_signal(signal.SIGTERM)  # the batch's time has not come: the drain sends it
            process.wait(PATIENCE_S)
    (_, path, headers, _document) = collector.requests[0]
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/json"
    assert (headers["x-key"], headers["tenant"]) == ("s ecret", "a")
    good, bad = collector.spans("POST /predict")
    assert (good["traceId"], good["parentSpanId"], good["traceState"]) == (TRACE, PARENT, "vendor=1")
    assert good["kind"] == 2
    assert good["resource"]["service.name"] == "churn"
    assert good["resource"]["deployment.environment.name"] == "test"
    about = attributes(good)
    assert about["http.request.method"] == "POST"
    assert about["url.path"] == about["http.route"] == "/predict"
    assert about["http.response.status_code"] == "200"
    assert about["tidemill.model.name"] == "m"
    assert about["tidemill.model.version"] == "3"
    assert about["tidemill.deployment"] == "b"
    assert about["tidemill.request_id"] == "mine"
    assert "secret" not in json.dumps([r[3] for r in collector.requests]).replace("s ecret", "")
    parts = [s for s in collector.spans() if s.get("parentSpanId") == good["spanId"]]
    assert [p["name"] for p in parts] == ["decode", "predict", "encode"]
    assert all(p["traceId"] == TRACE for p in parts)
    assert "parentSpanId" not in bad
    assert "status" not in bad, "what a client did wrong is no error of the server"
    (nowhere,) = collector.spans("POST")
    assert attributes(nowhere)["url.path"] == "/users/4711"
    logged = entries(tmp_path / "log")
    assert [e["trace_id"] for e in logged] == [TRACE, bad["traceId"], nowhere["traceId"]]


def test_a_script_that_waits_and_fails_shows_where(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/custom", "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with running(tmp_path / "log", environ, "--code", str(tmp_path / "code")) as (_, url):

            async def both() -> None:
                await asyncio.gather(*(asyncio.to_thread(ask, f"{url}/score", {}) for _ in range(2)))

            asyncio.run(both())
            assert ask(f"{url}/score", {"break": 1})[0] == 500
            collector.wait(lambda: len(collector.spans("POST /score")) == 3)
    assert collector.requests[0][1] == "/custom"
    waits = [int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"]) for s in collector.spans("queue")]
    assert max(waits) > 30_000_000
    (failed,) = [s for s in collector.spans("POST /score") if s.get("status")]
    assert failed["status"] == {"code": 2}
    assert attributes(failed)["error.type"] == "500"
    assert failed["resource"]["service.name"] == "tidemill"


def test_requests_answered_together_each_have_the_call(digits_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setattr("tidemill.serve.server.INLINE_S", 0.0)
        app = build(parse(["--model", str(digits_model), "--allow-pickle"]))
        body = json.dumps({"pixels": [0] * 64}).encode()

        async def main() -> None:
            events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            states: asyncio.Queue[Any] = asyncio.Queue()
            lifespan = asyncio.create_task(app({"type": "lifespan"}, events.get, states.put))
            await events.put({"type": "lifespan.startup"})
            await states.get()
            await asyncio.gather(*(post() for _ in range(3)))
            await events.put({"type": "lifespan.shutdown"})
            await states.get()
            await lifespan

        async def post() -> None:
            scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [(b"host", b"localhost")]}

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            async def send(message: Any) -> None:
                assert message.get("status", 200) == 200

            await app(scope, receive, send)

        asyncio.run(main())
    for span in collector.spans("POST /predict"):
        names = [s["name"] for s in collector.spans() if s.get("parentSpanId") == span["spanId"]]
        assert names == ["decode", "queue", "predict", "encode"]
    assert len(collector.spans("predict")) == 3


def test_an_application_of_the_users_own_is_the_parent_of_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'http': raise ValueError('no lifespan')\n"
        "    given = dict(scope['headers'])\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'\"%s\"' % given[b'traceparent']})\n"
    )
    with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with running(tmp_path / "log", environ, "--app", "mine:app", "--app-dir", str(tmp_path)) as (_, url):
            status, seen = ask(f"{url}/anything", {}, {"traceparent": TRACEPARENT})
    assert status == 200
    (span,) = collector.spans("POST")
    assert seen == f"00-{TRACE}-{span['spanId']}-01"
    assert entries(tmp_path / "log")[0]["trace_id"] == TRACE


def test_nothing_is_traced_and_the_callers_trace_is_logged_when_nobody_asks_for_traces(
    tmp_path: Path, table_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    assert isinstance(build(parse(["--model", str(table_model), "--allow-pickle"])), InferenceServer)
    with running(tmp_path / "log", {}, "--model", str(table_model), "--allow-pickle") as (_, url):
        assert ask(f"{url}/predict", ROW, {"traceparent": TRACEPARENT})[0] == 200
        assert ask(f"{url}/predict", ROW)[0] == 200
        metrics = urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S).read().decode()
    assert [e.get("trace_id") for e in entries(tmp_path / "log")[:2]] == [TRACE, None]
    assert "spans" not in metrics


@pytest.mark.parametrize(
    "value",
    [
        "", "00", TRACEPARENT + "-more", TRACEPARENT.upper(), f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-1", f"00-{TRACE}-{PARENT}-01\n",
    ],
)  # fmt: skip
def test_a_malformed_traceparent_begins_a_new_trace(value: str) -> None:
    if value.endswith("\n"):
        assert read_context([(b"traceparent", value.encode() + b"x")]) is None
    else:
        assert read_context([(b"traceparent", value.encode())]) is None


def test_a_traceparent_of_a_later_version_is_read_and_two_of_them_are_not() -> None:
    header = (b"traceparent", f"01-{TRACE}-{PARENT}-00-later".encode())
    assert read_context([header]) == TraceContext(TRACE, PARENT, sampled=False)
    assert read_context([header, header]) is None


@pytest.mark.parametrize(
    ("sampler", "argument", "parent", "kept"),
    [
        ("", "", None, True), ("", "", False, False), ("always_on", "", False, True), ("always_off", "", True, False),
        ("parentbased_always_off", "", None, False), ("parentbased_always_off", "", True, True),
        ("traceidratio", "0", True, False), ("traceidratio", "1", False, True), ("traceidratio", "", None, True),
        ("parentbased_traceidratio", "0", None, False), ("parentbased_traceidratio", "0", True, True),
        ("jaeger_remote", "", None, True),
    ],
)  # fmt: skip
def test_samplers_decide_as_the_specification_says(
    sampler: str, argument: str, parent: bool | None, kept: bool
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_SAMPLER": sampler}
    asked = read_settings(environ | {"OTEL_TRACES_SAMPLER_ARG": argument}, "s")
    assert asked is not None
    assert asked.decide(None if parent is None else TraceContext(TRACE, PARENT, parent), TRACE) is kept


def test_a_ratio_keeps_its_share_of_traces_by_their_low_half() -> None:
    environ = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    asked = read_settings(environ, "s")
    assert asked is not None
    assert asked.url == "http://localhost:4318/v1/traces"
    low = ["3fffffffffffffff", "4000000000000000"]
    assert [asked.decide(None, "f" * 16 + half) for half in low] == [True, False]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:port"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "zipkin"},
    ],
)
def test_no_traces_are_asked_for(environ: dict[str, str]) -> None:
    assert read_settings(environ, "s") is None


def test_settings_that_make_no_sense_are_named_without_their_secrets(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "Bearer hunter2",
        "OTEL_TRACES_SAMPLER_ARG": "7", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_BSP_MAX_QUEUE_SIZE": "many",
    }  # fmt: skip
    with caplog.at_level(logging.WARNING):
        asked = read_settings(environ, "s")
    assert asked is not None
    assert (asked.ratio, asked.queue, asked.headers) == (1.0, 2048, {})
    for name in ("OTLP_HEADERS", "SAMPLER_ARG", "OTLP_PROTOCOL", "MAX_QUEUE_SIZE"):
        assert name in caplog.text
    assert "hunter2" not in caplog.text


def test_an_endpoints_span_is_the_callers_child_and_the_versions_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        target = open_target(tmp_path / "endpoints")
        blue = {"argv": [sys.executable, str(tmp_path / "echo.py"), "{port}"], "cwd": str(tmp_path)}
        target.put("churn", {"port": 0, "deployments": {"blue": blue}, "traffic": {"blue": 100}, "mirror_traffic": {}})
        try:
            until(lambda: target.observe("churn")["state"] == "Healthy")
            url = target.observe("churn")["url"]
            status, seen = ask(f"{url}/score?token=x", {}, {"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
            assert status == 200
            assert ask(f"{url}/score", {}, {"azureml-model-deployment": "green"})[0] == 404
            collector.wait(lambda: len(collector.spans("POST")) == 2)
            state = json.loads(urllib.request.urlopen(f"{url}/_tidemill/state", timeout=PATIENCE_S).read())
            assert state["spans"]["sent"] >= 2
        finally:
            target.delete("churn")
    answered, refused = collector.spans("POST")
    assert (answered["traceId"], answered["parentSpanId"]) == (TRACE, PARENT)
    assert seen == {"traceparent": f"00-{TRACE}-{answered['spanId']}-01", "tracestate": "vendor=1"}
    about = attributes(answered)
    assert (about["tidemill.endpoint"], about["tidemill.deployment"]) == ("churn", "blue")
    assert about["url.path"] == "/score"
    assert answered["resource"]["service.name"] == "churn"
    assert attributes(refused)["http.response.status_code"] == "404"
    assert "status" not in refused, "a client's mistake is no failure of the server"
    assert "GET" in {s["name"] for s in collector.spans()}, "what was left was sent at the end"


def test_a_trace_that_is_left_out_is_still_the_callers_and_still_in_the_log(tmp_path: Path, table_model: Path) -> None:
    with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with running(tmp_path / "log", environ, "--model", str(table_model), "--allow-pickle") as (_, url):
            assert ask(f"{url}/predict", ROW, {"traceparent": TRACEPARENT.removesuffix("1") + "0"})[0] == 200
    assert not collector.requests
    assert entries(tmp_path / "log")[0]["trace_id"] == TRACE
