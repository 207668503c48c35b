"""JSON over HTTP to services that answer 429 and 503 on ordinary days: waits as long as they ask, and not for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tidemill.base.clock import Clock, SystemClock
from tidemill.base.errors import BackendError

TIMEOUT_S = 60.0
TRIES = 6
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
SILENT = "tidemill-silent"
AGAIN = {408, 429, 500, 502, 503, 504}


class _KeepTheToken(HTTPRedirectHandler):
    """A login is for the service it was asked for, not for where that sends us."""

    def redirect_request(self, req: Request, *rest: Any) -> Request | None:  # noqa: ANN401 - as the library passes them
        """As the library, without the login on another host."""
        found = super().redirect_request(req, *rest)
        if found is not None and urlsplit(found.full_url).netloc != urlsplit(req.full_url).netloc:
            found.remove_header("Authorization")
        return found


_OPENER = build_opener(_KeepTheToken)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower case) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever the service says
        """The body as JSON; None of an empty one."""
        return json.loads(self.body) if self.body.strip() else None


class RefusedError(BackendError):
    """A service that said no, with its `status`: 504 when it did not answer at all."""

    def __init__(self, message: str, status: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same may well succeed later."""
        return self.status in AGAIN


@dataclass(slots=True)
class Rest:
    """One service. `token` is asked again once when the service says 401."""

    service: str
    token: Callable[[bool], str]
    login_hint: str
    clock: Clock = field(default_factory=SystemClock)

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,  # noqa: ANN401 - JSON, or bytes as they are
        *,
        accept: tuple[int, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer when it is 2xx or in `accept`; `RefusedError` with the service's words otherwise."""
        renewed, wait = False, FIRST_WAIT_S
        for left in reversed(range(TRIES)):
            answer = self._once(method, url, body, headers or {}, renew=renewed)
            if answer.status == HTTPStatus.UNAUTHORIZED and not renewed:
                renewed = True
                continue
            if answer.status not in AGAIN or answer.status in accept or not left:
                break
            self.clock.sleep(min(LONGEST_WAIT_S, self._asked_wait(answer, wait)))
            wait *= 2
        if answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in accept:
            return answer
        raise self._error(method, url, answer)

    def _once(self, method: str, url: str, body: Any, headers: Mapping[str, str], *, renew: bool) -> Answer:  # noqa: ANN401
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if data is None else {"content-type": "application/json"}
        login = {"authorization": f"Bearer {self.token(renew)}"} if "authorization" not in headers else {}
        given = {k: v for k, v in {**kind, **login, **headers}.items() if v}
        request = Request(url, data=data, method=method, headers=given)  # noqa: S310 - the service's own address
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as got:
                return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
        except HTTPError as exc:
            with exc:
                return Answer(exc.code, {k.lower(): v for k, v in exc.headers.items()}, exc.read())
        except (URLError, TimeoutError, OSError) as exc:
            cause = getattr(exc, "reason", exc)
            return Answer(HTTPStatus.GATEWAY_TIMEOUT, {SILENT: getattr(cause, "strerror", "") or str(cause)}, b"")

    def _asked_wait(self, answer: Answer, otherwise: float) -> float:
        """What `Retry-After` says, in seconds or as a date."""
        text = answer.headers.get("retry-after", "")
        if text.isdigit():
            return float(text)
        try:
            return max(0.0, (parsedate_to_datetime(text) - self.clock.now()).total_seconds())
        except (TypeError, ValueError):
            return otherwise

    def _error(self, method: str, url: str, answer: Answer) -> RefusedError:
        where = url.partition("?")[0]
        if SILENT in answer.headers:
            host = "://".join(urlsplit(where)[:2])
            said = f"{self.service} did not answer at {host}: {answer.headers[SILENT]}"
            return RefusedError(said, answer.status, hint="Check the network; HTTPS_PROXY names a proxy.")
        hint = self.login_hint if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} else ""
        said = f"{self.service} refused {method} {where}: HTTP {answer.status}: {_words(answer.body)}"
        return RefusedError(said, answer.status, hint=hint)


def _words(body: bytes) -> str:
    """What the service says, with its code if it gives one; as it is when it is not JSON."""
    text = body[:400].decode(errors="replace")
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return text
    if not isinstance(error, dict):
        return str(error or text)
    return ": ".join(str(error[part]) for part in ("code", "message") if error.get(part)) or text
