"""Programs in pods, over the API server's websocket.

Speaks version 4 of the channel protocol, which every cluster since 1.4 understands: a byte that names the channel, then
data. It cannot close standard input, so what reads it has to know where it ends. One thread alone reads and writes:
Python's TLS sockets do not bear two at once, which rules out websocket clients that read in a thread of their own.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO, Any

import httpx2 as httpx
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping

from tidemill.base.errors import BackendError

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS = range(4)
CHUNK = 1 << 17
READ_BYTES = 1 << 16


def run_in_pod(
    http: httpx.Client,
    pod: tuple[str, str],
    argv: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    sink: Callable[[bytes], object] = len,
    silence_s: float | None = None,
) -> str:
    """Run a program in the pod (namespace, name) to its end; what it wrote to standard error.

    `sink` is given its output as it comes; after `silence_s` without any the connection is taken for dead. `BackendError` when it cannot start, is cut off, or ends with another code than 0.
    """
    namespace, name = pod
    params = [*(("command", word) for word in argv), ("stdout", "true"), ("stderr", "true")]
    params += [("stdin", "true")] if stdin else []
    said: list[bytes] = []
    with _connected(http, f"/api/v1/namespaces/{namespace}/pods/{name}/exec", params) as (stream, connection):
        while stdin and (data := stdin.read(CHUNK)):
            stream.write(connection.send(BytesMessage(bytes((STDIN,)) + data)))
        for channel, body in _messages(stream, connection, silence_s):
            if channel == STDOUT:
                sink(body)
            elif channel == STDERR:
                said.append(body)
            elif channel == STATUS:
                words = b"".join(said).decode(errors="replace").strip()
                _require_success(json.loads(body), name, words)
                return words
    raise BackendError(f"The cluster cut off the connection to pod `{name}`")


@contextmanager
def _connected(http: httpx.Client, url: str, params: list[tuple[str, str]]) -> Iterator[tuple[Any, Connection]]:
    """The raw stream behind an upgraded request, and the framing on it."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Sec-WebSocket-Protocol": PROTOCOL,
    }
    timeout = httpx.Timeout(60, read=None)
    with http.stream("GET", url, params=tuple(params), headers=headers, timeout=timeout) as answer:
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            answer.read()
            raise BackendError(
                f"The cluster refused to run a program in a pod: HTTP {answer.status_code}: {_why(answer)}"
            )
        yield answer.extensions["network_stream"], Connection(ConnectionType.CLIENT)


def _messages(stream: Any, connection: Connection, silence_s: float | None) -> Iterator[tuple[int, bytes]]:  # noqa: ANN401 - the HTTP library's
    """Whole messages as (channel, data), until the other side has no more to say."""
    message = bytearray()
    while True:
        data = stream.read(READ_BYTES, silence_s)
        connection.receive_data(data or None)
        for event in connection.events():
            if isinstance(event, BytesMessage):
                message += event.data
                if event.message_finished and message:
                    yield message[0], bytes(message[1:])
                    message.clear()
            elif isinstance(event, Ping):
                stream.write(connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                return
        if not data:
            return


def _why(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _require_success(status: Any, name: str, words: str) -> None:  # noqa: ANN401 - a Status object
    if status.get("status") == "Success":
        return
    tail = words.splitlines()[-1] if words else status.get("message", "")
    raise BackendError(f"Pod `{name}` could not take part: {tail}")
