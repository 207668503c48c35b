"""Who may pass the router: keys from a file that can be exchanged while it runs, and names a browser may call us by."""

from __future__ import annotations

import hmac
from pathlib import Path
from time import monotonic
from urllib.parse import parse_qs

from tidemill.serve.router_http import Head, plain
from tidemill.serve.sign_in import COOKIE, HTML, PAGE, POLICY, is_person

LOOPBACK = {b"127.0.0.1", b"localhost", b"[::1]", b"::1"}
OPEN_PATHS = {b"/healthz", b"/readyz"}
REREAD_S = 0.2


class Keys:
    """One key a line, read again when the file changes. No file named lets everybody in; a missing file nobody."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._stamp: tuple[int, ...] = ()
        self._known: list[bytes] = []
        self._look_at = 0.0

    def allow(self, head: Head) -> bool:
        """Whether the request carries a known key; every key is compared, in constant time."""
        if self.path is None or head.target.partition(b"?")[0] in OPEN_PATHS or _is_preflight(head):
            return True
        known = self._read(self.path)
        matches = [hmac.compare_digest(given, one) for given in _given(head) for one in known]
        return any(matches)

    def _read(self, path: Path) -> list[bytes]:
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + REREAD_S
            try:
                found = path.stat()
                stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
                if stamp != self._stamp:
                    self._known = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
                    self._stamp = stamp
            except OSError:
                self._stamp, self._known = (), []
        return self._known


def _is_preflight(head: Head) -> bool:
    """A browser's question for a page elsewhere, which never brings a key: the version's server knows which pages may ask, and refuses the others."""
    return head.method == b"OPTIONS" and b"access-control-request-method" in head.headers


def _given(head: Head) -> list[bytes]:
    """The key a request came with; of cookies there may be several, one for each server of the host."""
    scheme, _, key = head.headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return [key.strip()]
    _, mark, query = head.target.partition(b"?")
    if mark and b"token=" in query:
        return [parse_qs(query).get(b"token", [b""])[0]]
    pairs = (c.strip().partition(b"=") for c in head.headers.get(b"cookie", b"").split(b";"))
    return [value for name, _, value in pairs if name.startswith(COOKIE.encode())]


def is_ours(head: Head) -> bool:
    """Whether the Host header names this machine's loopback, so that no page elsewhere got here by a rebound name."""
    host = head.headers.get(b"host", b"").lower()
    name, _, port = host.rpartition(b":")
    return not host or host in LOOPBACK or (port.isdigit() and name in LOOPBACK)


def ask_for_key(head: Head) -> bytes:
    """401: a field to enter it for people, words for programs."""
    challenge = b"www-authenticate: Bearer"
    if is_person(head.method.decode("latin-1"), head.headers.get(b"accept", b"").decode("latin-1")):
        policy = f"content-security-policy: {POLICY}".encode()
        more = (challenge, policy, b"cache-control: no-store")
        return plain(b"401 Unauthorized", PAGE.encode(), headers=more, kind=HTML.encode())
    words = '{"detail": "A key is needed: Authorization: Bearer …"}'
    return plain(b"401 Unauthorized", words.encode(), headers=(challenge,))
