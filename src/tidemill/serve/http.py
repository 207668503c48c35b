"""Just enough HTTP over ASGI for an inference server: bodies with a bound, JSON, forms, tokens."""

from __future__ import annotations

import hmac
import itertools
import json
import logging
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import create_form_parser

from tidemill.serve.problems import RequestProblem
from tidemill.serve.sign_in import COOKIE

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
JSON = (b"content-type", b"application/json")
LOG = logging.getLogger("tidemill.serve")
ID_LIMIT = 100
EMPTY_NS = 1_000_000_000  # a file of tokens that was emptied less than a second ago is being written
PACKED = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(slots=True)
class Request:
    """One request; `body` is read before the handler runs, and neither it nor what it unfolds to has more than `limit` bytes."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    query: str
    body: bytes = b""
    limit: int = 0

    def header(self, name: str) -> str:
        """A header's value, empty when it is not there."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return _media_type(self.headers.get(b"content-type", b""))

    def json(self) -> Any:  # noqa: ANN401
        """The body as JSON; `RequestProblem` (422) when it is not."""
        if not self.body:
            raise RequestProblem("The body is empty; expected JSON", kind="missing")
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            return self._lenient(exc)

    def _lenient(self, exc: Exception) -> Any:  # noqa: ANN401
        """Python's parser takes NaN, so that the field that holds it can be named."""
        try:
            found = json.loads(self.body)
            json.dumps(found, ensure_ascii=False).encode()  # halves of characters are in no text
        except (ValueError, RecursionError):
            raise RequestProblem(f"Not JSON: {exc}", kind="json_invalid") from exc
        return found


@lru_cache(maxsize=64)
def _media_type(header: bytes) -> str:
    return header.decode("latin-1").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


def json_response(value: Any, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:  # noqa: ANN401
    """A JSON answer."""
    return Response(status, msgspec.json.encode(value), (JSON, *headers))


def text_response(text: str, kind: str = "text/plain; charset=utf-8", status: int = 200) -> Response:
    """Any other text."""
    return Response(status, text.encode(), ((b"content-type", kind.encode()),))


async def read_request(scope: Scope, headers: dict[bytes, bytes], receive: Receive, limit: int) -> Request:
    """The whole request; `RequestProblem` (413) beyond `limit` bytes."""
    request = Request(
        scope["method"], scope["path"], headers, scope.get("query_string", b"").decode("latin-1"), limit=limit
    )
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise RequestProblem(f"The body is larger than {limit:,} bytes", status=413)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestProblem("The client went away", status=499)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise RequestProblem(f"The body is larger than {limit:,} bytes", status=413)
        if chunk:
            parts.append(chunk)
        if not message.get("more_body"):
            break
    request.body = parts[0] if len(parts) == 1 else b"".join(parts)
    return request


def unpack(request: Request) -> None:
    """Undo `Content-Encoding`; `RequestProblem` beyond the limit (413), for another encoding (415) or for what is not packed so (422)."""
    name = request.header("content-encoding").strip().lower()
    if name in {"", "identity"} or not request.body:
        return
    where = ("header", "content-encoding")
    if name not in PACKED:
        raise RequestProblem(f"`{name}` is not accepted here; send gzip, deflate or nothing", loc=where, status=415)
    unpacker = zlib.decompressobj(PACKED[name])
    try:
        body = unpacker.decompress(request.body, request.limit)
        if unpacker.unconsumed_tail and unpacker.decompress(unpacker.unconsumed_tail, 1):
            raise RequestProblem(f"The body unfolds to more than {request.limit:,} bytes", status=413)
    except zlib.error as exc:
        raise RequestProblem(f"The body is not packed by {name}: {exc}", loc=where) from exc
    if not unpacker.eof or unpacker.unused_data:
        raise RequestProblem(f"The body is not packed by {name}: it ends too soon or too late", loc=where)
    request.body = body


def read_files(request: Request) -> list[bytes]:
    """Every file of a multipart form; `RequestProblem` when there is none."""
    files: list[bytes] = []

    def take(file: Any) -> None:  # noqa: ANN401 - the library's own type
        file.file_object.seek(0)
        files.append(file.file_object.read())

    headers = {
        "Content-Type": request.header("content-type").encode(),
        "Content-Length": str(len(request.body)).encode(),
    }
    try:
        # the body is in memory already, and there may be no disk to write to
        parser = create_form_parser(headers, lambda _: None, take, config={"MAX_MEMORY_FILE_SIZE": len(request.body)})
        parser.write(request.body)
        parser.finalize()
    except (FormParserError, ValueError, AttributeError) as exc:
        raise RequestProblem(f"Not a multipart form: {exc}", kind="form_invalid") from exc
    if not files:
        raise RequestProblem("Field required: a file", loc=("body", "file"), kind="missing")
    return files


def _read_all(path: Path) -> bytes:
    """A file, or what is in the files of a folder; a mounted Secret has folders of its own, hidden, in which it changes them."""
    if not path.is_dir():
        return path.read_bytes()
    return b"\n".join(p.read_bytes() for p in sorted(path.iterdir()) if not p.name.startswith(".") and p.is_file())


@dataclass(slots=True)
class Tokens:
    """Accepted tokens, one a line of a file, or of each file in a folder; read again when it changes. No file lets everybody in."""

    path: Path | None
    _stamp: tuple[int, ...] = (-1,)
    _known: list[bytes] = field(default_factory=list)

    def allow(self, request: Request) -> bool:
        """Whether the request carries a known token, compared in constant time."""
        if self.path is None:
            return True
        return bool(self._known_of(request))

    def shown(self, request: Request) -> str:
        """The known token that came with the request itself rather than in a cookie; empty without."""
        return self._known_of(request) if self.path is not None and not _in_cookies(request) else ""

    def _known_of(self, request: Request) -> str:
        known = self._read(self.path) if self.path is not None else []
        given = [(token, token.encode()) for token in _tokens_of(request)]
        matches = [token for token, raw in given for one in known if hmac.compare_digest(raw, one)]
        return matches[0] if matches else ""

    def _read(self, path: Path) -> list[bytes]:
        stamp = _stamp_of(path)
        if stamp == self._stamp:
            return self._known
        try:
            known = [line.strip() for line in _read_all(path).splitlines() if line.strip()] if stamp else []
        except OSError as exc:
            LOG.warning("%s cannot be read, the tokens known before stay: %s", path, exc.strerror)
            known = self._known
        else:
            if not known and self._known and _is_being_written(path, stamp):
                return self._known
            if not known:
                LOG.warning("%s holds no token: nobody is let in", path)
        self._stamp, self._known = stamp, known
        return known


def _stamp_of(path: Path) -> tuple[int, ...]:
    """Differs when the file does, also when it was written twice within one tick of the file system's clock; empty without a file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_being_written(path: Path, stamp: tuple[int, ...]) -> bool:
    """Whether it may just have been emptied by whoever writes it."""
    return bool(stamp) and path.is_file() and 0 <= time.time_ns() - stamp[0] < EMPTY_NS


def _tokens_of(request: Request) -> list[str]:
    """The token a request came with; of cookies there may be several, one for each server of the host."""
    scheme, _, token = request.header("authorization").partition(" ")
    if scheme.lower() == "bearer":
        return [token.strip()]
    in_query = parse_qs(request.query).get("token", [""])[0]
    return [in_query] if in_query else _in_cookies(request)


def _in_cookies(request: Request) -> list[str]:
    """Tokens in cookies; none where the request has one of its own."""
    if request.header("authorization") or "token=" in request.query:
        return []
    pairs = (c.strip().partition("=") for c in request.header("cookie").split(";"))
    return [value for name, _, value in pairs if name.startswith(COOKIE)]


# An id is unique among all servers by its first part and within this one by its number; asking the system for
# randomness at each request would be a fifteenth of its time.
_RUN = secrets.token_hex(12).encode()
_NUMBERS = itertools.count()


def request_ids(headers: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...] | None:
    """The id headers of the answer, ours first, as Azure's server makes them; `None` when one given is too long."""
    own = headers.get(b"x-request-id") or b"%s%08x" % (_RUN, next(_NUMBERS))
    older, client = headers.get(b"x-ms-request-id", b""), headers.get(b"x-ms-client-request-id", b"")
    client = client or older
    if max(len(own), len(older), len(client)) > ID_LIMIT:
        return None
    ids = ((b"x-request-id", own), (b"x-ms-request-id", older or client or own))
    return (*ids, (b"x-ms-client-request-id", client)) if client else ids


def answer_headers(response: Response, ids: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Everything an answer carries."""
    length = (b"content-length", str(len(response.body)).encode())
    return [*response.headers, length, *ids, (b"x-content-type-options", b"nosniff")]
