"""Programs in pods, over the API server's websocket.

Speaks version 4 of the channel protocol, which every cluster since 1.4 understands. It cannot close standard input, so what
reads it has to know where it ends. (https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/, TranslateStreamCloseWebsocketRequests)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import IO, Any

import httpx2 as httpx

from tidemill.base.errors import BackendError

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS = range(4)
CHUNK = 1 << 17
MESSAGE = 1 << 22


def run_in_pod(
    http: httpx.Client,
    pod: tuple[str, str],
    argv: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    sink: Callable[[bytes], object] = len,
    timeout_s: float | None = None,
) -> str:
    """Run a program in the pod (namespace, name) to its end; what it wrote to standard error.

    `sink` is given its output as it comes. `BackendError` when it cannot start or ends with another code than 0.
    """
    namespace, name = pod
    params: list[tuple[str, str | int | float | bool | None]] = [("command", word) for word in argv]
    params += [("stdout", "true"), ("stderr", "true"), *([("stdin", "true")] if stdin else [])]
    url = f"/api/v1/namespaces/{namespace}/pods/{name}/exec"
    said: list[bytes] = []
    with http.websocket(
        url,
        params=tuple(params),
        subprotocols=[PROTOCOL],
        max_message_size_bytes=MESSAGE,
        keepalive_ping_interval_seconds=None,
    ) as session:
        while stdin and (data := stdin.read(CHUNK)):
            session.send_bytes(bytes((STDIN,)) + data)
        while True:
            message = session.receive_bytes(timeout=timeout_s)
            channel, body = message[0], message[1:]
            if channel == STDOUT and body:
                sink(body)
            elif channel == STDERR:
                said.append(body)
            elif channel == STATUS:
                words = b"".join(said).decode(errors="replace").strip()
                _require_success(json.loads(body), name, words)
                return words


def _require_success(status: Any, name: str, words: str) -> None:  # noqa: ANN401 - a Status object
    if status.get("status") == "Success":
        return
    tail = words.splitlines()[-1] if words else status.get("message", "")
    raise BackendError(f"Pod `{name}` could not take part: {tail}")
