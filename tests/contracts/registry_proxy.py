"""A registry in front of the registry: what a node is given of one repository can be lost or changed on the way."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator

from tests.waiting import PATIENCE_S

CHUNK = 1 << 16


class Proxy(http.server.ThreadingHTTPServer):
    """Passes everything on. `fault` is what happens to blobs whose path holds `of`: "", "lost" or "changed"."""

    daemon_threads = True
    fault, of = "", "-model/blobs/"

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Passer)
        self.behind = behind

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Passer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass(self) -> None:
        body = self._body()
        bad = self.server.of in self.path and self.command == "GET" and self.server.fault
        if bad == "lost":
            self._answer(404, [("content-length", "0")], b"")
            return
        far = http.client.HTTPConnection(self.server.behind, timeout=120)
        try:
            far.request(self.command, self.path, body, dict(self.headers))
            answer = far.getresponse()
            data = answer.read()
            about = [(k, v) for k, v in answer.getheaders() if k.lower() not in {"connection", "transfer-encoding"}]
            if not any(k.lower() == "content-length" for k, _ in about):
                about.append(("content-length", str(len(data))))
            if bad == "changed" and data:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self._answer(answer.status, about, data)
        finally:
            far.close()

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        del self.headers["transfer-encoding"]
        return b"".join(parts)

    def _answer(self, status: int, about: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for key, value in about:
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names http.server looks for

    def log_message(self, *words: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def proxy(behind: str) -> Iterator[Proxy]:
    """A registry of one's own that has what `behind` has."""
    made = Proxy(behind)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join(PATIENCE_S)
