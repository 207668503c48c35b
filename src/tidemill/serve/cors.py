"""Web pages of other origins that may ask: none, unless they are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tidemill.base.errors import UsageError
from tidemill.serve.hosted import Application
from tidemill.serve.http import Receive, Scope, Send

ANY = b"*"
ALLOWED = b"access-control-allow-origin"
SHOWN = (b"access-control-expose-headers", b"x-request-id, retry-after, azureml-model-deployment")
VARIES = (b"vary", b"Origin")
REMEMBER_S = b"600"


def read_origins(text: str) -> frozenset[bytes]:
    """`https://a.example,http://localhost:3000`, or `*`; `UsageError` for what no browser calls an origin."""
    origins = [part.strip() for part in text.split(",") if part.strip()]
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}"):
            raise UsageError(
                f"`{origin}` is no origin", hint="--cors takes https://NAME or http://NAME:PORT, without a path, or *."
            )
    return frozenset(origin.lower().encode() for origin in origins)


@dataclass(frozen=True, slots=True)
class Cors:
    """An ASGI application around another: answers preflights, and tells browsers which pages may read answers.

    A preflight brings no token, as browsers will have it. Pages bring theirs in `Authorization`: cookies are not let through.
    """

    application: Application
    origins: frozenset[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin", b"")
        if not origin or not (origin.lower() in self.origins or ANY in self.origins):
            await self.application(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _answer_preflight(headers, origin, send)
        else:
            await self.application(scope, receive, _telling(send, origin))


def _telling(send: Send, origin: bytes) -> Send:
    """Adds to the head of an answer that the page may read it, unless an application of the user's said so itself."""

    async def tell(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if all(bytes(name).lower() != ALLOWED for name, _ in headers):
                message = {**message, "headers": [*headers, (ALLOWED, origin), SHOWN, VARIES]}
        await send(message)

    return tell


async def _answer_preflight(headers: Mapping[bytes, bytes], origin: bytes, send: Send) -> None:
    asked = headers.get(b"access-control-request-headers", b"")
    said = [
        (ALLOWED, origin),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-max-age", REMEMBER_S),
        VARIES,
        *([(b"access-control-allow-headers", asked)] if asked else []),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": said})
    await send({"type": "http.response.body", "body": b""})
