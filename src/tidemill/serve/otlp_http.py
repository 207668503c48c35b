"""One connection to a collector, and what became of each attempt to hand it spans."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec

from tidemill import __version__
from tidemill.base.clock import SystemClock
from tidemill.serve.trace_settings import TraceSettings

AGAIN = {429, 502, 503, 504}  # what the protocol's text lets a client send again
ANSWER_LIMIT = 1 << 16
OK, MULTIPLE = 200, 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt; `again` when it may be repeated, after `wait_s` if the collector named a time."""

    done: bool
    again: bool = False
    wait_s: float | None = None
    why: str = ""
    rejected: int = 0


class Collector:
    """One kept-alive connection to where traces go."""

    def __init__(self, settings: TraceSettings) -> None:
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = _tls(settings) if parts.scheme == "https" else None
        self._headers = {
            **settings.headers,
            "content-type": "application/json",
            "user-agent": f"tidemill/{__version__}",
        }
        if settings.gzip:
            self._headers["content-encoding"] = "gzip"
        self._connection: http.client.HTTPConnection | None = None
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def post(self, body: bytes, timeout_s: float) -> Outcome:
        """One attempt; a connection the collector closed while it was idle is opened once more."""
        kept = self._connection is not None
        try:
            return self._exchange(body, timeout_s)
        except TimeoutError:
            self.hang_up()
            return Outcome(done=False, again=True, why=f"no answer within {timeout_s:g} s")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self.hang_up()
            if kept:
                return self.post(body, timeout_s)
            return Outcome(done=False, again=True, why=str(exc) or type(exc).__name__)

    def _exchange(self, body: bytes, timeout_s: float) -> Outcome:
        connection = self._connection or self._connect(timeout_s)
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        connection.request("POST", self._path, body, self._headers)
        answer = connection.getresponse()
        text = answer.read(ANSWER_LIMIT)
        if answer.will_close or not answer.isclosed():
            self.hang_up()
        if OK <= answer.status < MULTIPLE:
            return _partial(text)
        again = answer.status in AGAIN
        return Outcome(
            done=False,
            again=again,
            wait_s=_retry_after(answer) if again else None,
            why=f"it answers {answer.status} {answer.reason}",
        )

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        self._connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._context)
            if self._context
            else http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        )
        return self._connection

    def hang_up(self) -> None:
        """Close the connection; the next attempt opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tls(settings: TraceSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.certificate or None)
    if settings.client_certificate:
        context.load_cert_chain(settings.client_certificate, settings.client_key or None)
    return context


def _retry_after(answer: http.client.HTTPResponse) -> float | None:
    """Seconds, or a date; nonsense is as good as nothing."""
    text = (answer.getheader("retry-after") or "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - SystemClock().now()).total_seconds())
    except (ValueError, TypeError):
        return None


def _partial(text: bytes) -> Outcome:
    """Taken, except for what the collector says it rejected."""
    try:
        said = msgspec.json.decode(text)["partialSuccess"]
        return Outcome(done=True, rejected=int(said.get("rejectedSpans", 0)), why=str(said.get("errorMessage", "")))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return Outcome(done=True)
