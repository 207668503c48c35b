"""A small OpenTelemetry collector: takes OTLP/HTTP JSON on a free port, and can be told to misbehave."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE_S

FIELDS = {
    "traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status",
    "flags", "traceState", "events", "links", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount",
}  # fmt: skip


@dataclass
class Faults:
    """What the next answers are: a status each, with headers; and how long it takes to give one."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    delay_s: float = 0.0
    answering: threading.Event = field(default_factory=threading.Event)
    body: bytes = b"{}"


@dataclass
class Collector:
    port: int
    faults: Faults
    requests: list[tuple[float, str, dict[str, str], Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, enough: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        until = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < until, f"{len(self.requests)} requests, {len(self.taken)} spans"
            time.sleep(0.01)

    def spans(self, name: str = "") -> list[dict[str, Any]]:
        return [s for s in self.taken if name in {"", s["name"]}]


def attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in of["attributes"]}


def check(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of an ExportTraceServiceRequest; assertions are what the protocol's JSON mapping asks for."""
    assert set(document) == {"resourceSpans"}
    found = []
    for resource in document["resourceSpans"]:
        assert set(resource) <= {"resource", "scopeSpans", "schemaUrl"}
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                assert set(span) <= FIELDS
                assert len(bytes.fromhex(span["traceId"])) == 16
                assert len(bytes.fromhex(span["spanId"])) == 8
                assert isinstance(span["startTimeUnixNano"], str)
                assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
                assert span["kind"] in range(1, 6)
                found.append({**span, "resource": attributes(resource["resource"])})
    return found


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            raw = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            document = json.loads(raw)
            given = {k.lower(): v for k, v in self.headers.items()}
            collector.requests.append((time.monotonic(), self.path, given, document))
            time.sleep(collector.faults.delay_s)
            collector.faults.answering.wait(PATIENCE_S)
            status, headers = collector.faults.answers.pop(0) if collector.faults.answers else (200, {})
            if status == 200:
                collector.taken += check(document)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(collector.faults.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(collector.faults.body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that did not wait for a slow answer

    server = Server(("127.0.0.1", port), Handler)
    collector = Collector(server.server_address[1], Faults())
    collector.faults.answering.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.faults.answering.set()
        server.shutdown()
        server.server_close()
