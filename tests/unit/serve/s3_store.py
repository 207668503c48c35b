"""A small store that speaks S3: takes and gives objects, lists them, and knows one key; it can be told to be away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Store:
    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    @property
    def environ(self) -> Mapping[str, str]:
        """What lets in."""
        keys = {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": "secret"}
        return {**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_DEFAULT_REGION": "us-east-1"}


def listing(store: Store, bucket: str, query: Mapping[str, list[str]]) -> bytes:
    prefix, delimiter = (query.get(n, [""])[0] for n in ("prefix", "delimiter"))
    keys = sorted(k.partition("/")[2] for k in store.objects if k.startswith(f"{bucket}/"))
    keys = [k for k in keys if k.startswith(prefix)]
    deep = {
        prefix + k[len(prefix) :].partition(delimiter)[0] + delimiter
        for k in keys
        if delimiter and delimiter in k[len(prefix) :]
    }
    flat = [k for k in keys if not delimiter or delimiter not in k[len(prefix) :]]
    contents = "".join(
        f"<Contents><Key>{escape(k)}</Key><Size>{len(store.objects[f'{bucket}/{k}'])}</Size>"
        f"<LastModified>2026-11-21T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag></Contents>"
        for k in flat
    )
    folders = "".join(f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in sorted(deep))
    head = f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(flat) + len(deep)}</KeyCount>"
    return f"<?xml version='1.0'?><ListBucketResult>{head}<IsTruncated>false</IsTruncated>{contents}{folders}</ListBucketResult>".encode()


def reply(
    store: Store, asked: tuple[str, str, Mapping[str, list[str]]], body: bytes, headers: Any
) -> tuple[int, bytes]:
    command, key, query = asked
    if store.away or "Credential=known/" not in headers.get("authorization", ""):
        return (503 if store.away else 403), b""
    if command == "PUT":
        store.objects[key] = _unsigned(body, headers)
        return 200, b""
    if key in store.objects:
        return 200, store.objects[key]
    return (200, listing(store, key, query)) if "list-type" in query else (404, b"")


@contextmanager
def storing(host: str = "127.0.0.1") -> Iterator[Store]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = (self.command, unquote(parts.path).strip("/"), parse_qs(parts.query, keep_blank_values=True))
            store.asked.append(" ".join(asked[:2]))
            self.say(*reply(store, asked, body, self.headers))

        def do_PUT(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def say(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {
                "content-length": str(len(body)), "etag": '"x"', "last-modified": "Sat, 21 Nov 2026 00:00:00 GMT",
            }.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server((host, 0), Handler)
    store.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def _unsigned(body: bytes, headers: Any) -> bytes:
    """A body in signed chunks, as the SDK sends one with a checksum behind it, is put together again."""
    if "aws-chunked" not in (headers.get("content-encoding") or "") and "STREAMING" not in (
        headers.get("x-amz-content-sha256") or ""
    ):
        return body
    whole, rest = b"", body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            return whole
        whole, rest = whole + rest[:length], rest[length + 2 :]
