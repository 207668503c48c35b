"""Who may pass the router: keys from a file that can be exchanged while it runs, and names a browser may call us by."""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from time import monotonic
from urllib.parse import parse_qs

from tidemill.serve.router_http import Head

LOOPBACK = {b"127.0.0.1", b"localhost", b"[::1]", b"::1"}
OPEN_PATHS = {b"/healthz", b"/readyz"}
COOKIE = "tidemill-token"
REREAD_S = 0.2


class Keys:
    """One key a line, read again when the file changes. No file named lets everybody in; a missing file nobody."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._stamp = -1
        self._known: list[bytes] = []
        self._look_at = 0.0

    def allow(self, head: Head) -> bool:
        """Whether the request carries a known key; every key is compared, in constant time."""
        if self.path is None or head.target.partition(b"?")[0] in OPEN_PATHS:
            return True
        given = _given(head)
        matches = [hmac.compare_digest(given, known) for known in self._read(self.path)]
        return any(matches)

    def _read(self, path: Path) -> list[bytes]:
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + REREAD_S
            try:
                stamp = path.stat().st_mtime_ns
                if stamp != self._stamp:
                    self._known = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
                    self._stamp = stamp
            except OSError:
                self._stamp, self._known = -1, []
        return self._known


def _given(head: Head) -> bytes:
    scheme, _, key = head.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return key.strip()
    _, mark, query = head.target.partition(b"?")
    if mark and b"token=" in query:
        return parse_qs(query).get(b"token", [b""])[0]
    try:
        cookie = SimpleCookie(head.headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return b""
    return cookie.value.encode("latin-1") if cookie else b""


def is_ours(head: Head) -> bool:
    """Whether the Host header names this machine's loopback, so that no page elsewhere got here by a rebound name."""
    host = head.headers.get(b"host", b"").lower()
    name, _, port = host.rpartition(b":")
    return not host or host in LOOPBACK or (port.isdigit() and name in LOOPBACK)
