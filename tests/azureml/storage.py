"""Blob storage as jobs see it: containers behind signatures that are checked, and that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.unit.backends.fake_rest import Asked, Reply

ACCOUNT = "acct"
KEY = base64.b64encode(b"the key of the account").decode()
PAGE = 3  # real pages have 5,000 entries
REFUSED: Reply = (403, {}, b"<Error><Code>AuthenticationFailed</Code></Error>")
MISSING: Reply = (404, {}, b"<Error><Code>BlobNotFound</Code></Error>")
FIELDS = ("sp", "st", "se", "", "si", "sip", "spr", "sv", "sr", "", "ses", "rscc", "rscd", "rsce", "rscl", "rsct")


@dataclass
class Storage:
    """Blobs by `container/name`. `tickets` are signatures given out for one place."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[tuple[str, str], bytes] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    tickets: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, asked: Asked) -> Reply:
        split = urlsplit(asked.path)
        account, _, path = unquote(split.path).removeprefix("/blob/").partition("/")
        query = {k: v[0] for k, v in parse_qs(split.query).items()}
        if account != ACCOUNT or "authorization" in asked.headers or not self._allows(query, path):
            return REFUSED
        with self.lock:
            if query.get("comp") == "list":
                return self._list(path, query)
            return getattr(self, f"on_{asked.method.lower()}")(path, query, asked)  # type: ignore[no-any-return]

    def _allows(self, query: dict[str, str], path: str) -> bool:
        """By the documented text that is signed, for a container's own signature; else as it was given out."""
        if query.get("sig") in self.tickets:
            return True
        if query.get("se", "") < datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"):
            return False
        resource = f"/blob/{ACCOUNT}/{path.partition('/')[0]}"
        values = [query.get(f, "") for f in FIELDS]
        values[3] = resource
        digest = hmac.new(base64.b64decode(KEY), "\n".join(values).encode(), hashlib.sha256).digest()
        return query.get("sig") == base64.b64encode(digest).decode()

    def _list(self, container: str, query: dict[str, str]) -> Reply:
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        names = sorted(n.partition("/")[2] for n in self.blobs if n.startswith(f"{container}/{prefix}"))
        rest = [n for n in names if n >= marker]
        shown, after = rest[:PAGE], rest[PAGE:]
        blobs = "".join(
            f"<Blob><Name>{escape(n)}</Name><Properties><Content-Length>{len(self.blobs[f'{container}/{n}'])}"
            f"</Content-Length><Etag>{hash(self.blobs[f'{container}/{n}'])}</Etag></Properties></Blob>"
            for n in shown
        )
        following = f"<NextMarker>{escape(after[0])}</NextMarker>" if after else "<NextMarker/>"
        text = f'<?xml version="1.0"?><EnumerationResults><Blobs>{blobs}</Blobs>{following}</EnumerationResults>'
        return 200, {}, text.encode()

    def on_head(self, path: str, query: dict[str, str], asked: Asked) -> Reply:
        return (200, {}, b"") if path in self.blobs else (404, {}, b"")

    def on_put(self, path: str, query: dict[str, str], asked: Asked) -> Reply:
        if query.get("comp") == "block":
            self.blocks[path, query["blockid"]] = asked.body
        elif query.get("comp") == "blocklist":
            ids = [part.partition("<")[0] for part in asked.body.decode().split("<Latest>")[1:]]
            self.blobs[path] = b"".join(self.blocks.pop((path, i)) for i in ids)
        elif asked.headers.get("x-ms-blob-type") != "BlockBlob":
            return 400, {}, b"<Error><Code>MissingRequiredHeader</Code></Error>"
        else:
            self.blobs[path] = asked.body
            self.writes[path] += 1
        return 201, {}, b""

    def on_get(self, path: str, query: dict[str, str], asked: Asked) -> Reply:
        data = self.blobs.get(path)
        if data is None:
            return MISSING
        span = asked.headers.get("x-ms-range", "").removeprefix("bytes=")
        if not span:
            return 200, {}, data
        start, _, end = span.partition("-")
        if int(start) >= len(data):
            return 416, {}, b"<Error><Code>InvalidRange</Code></Error>"
        return 206, {}, data[int(start) : int(end) + 1 if end else None]

    def save(self, place: str, path: Path) -> None:
        """As a machine of Azure does when a command has ended: a file, or everything below a folder."""
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        with self.lock:
            for file in files:
                name = place if file == path else f"{place.rstrip('/')}/{file.relative_to(path)}"
                self.blobs[name] = file.read_bytes()

    def fetch(self, place: str, path: Path) -> Path:
        """As a machine of Azure mounts an input: what lies at `place`, or below it, at `path`."""
        with self.lock:
            found = {n: d for n, d in self.blobs.items() if n == place or n.startswith(f"{place.rstrip('/')}/")}
        assert found, f"there is nothing at {place}"
        for name, data in found.items():
            target = path if name == place else path / name.removeprefix(f"{place.rstrip('/')}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return path
