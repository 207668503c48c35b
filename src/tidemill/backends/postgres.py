"""Connections to PostgreSQL, for the store and the locks; the password never leaves the URL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tidemill.base.errors import BackendError, ConflictError, UsageError
from tidemill.base.hashing import digest_bytes

Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]
RETRY_S = 10.0
AGAIN_S = 0.2
TIMEOUT_S = 10
PASSING = ("refused", "starting up", "shutting down", "recovery", "timeout", "closed the connection", "No such file")
HINT = (
    "Check that TIDEMILL_STORE is right and the server runs; `tidemill job resume NAME` takes up a job that broke off."
)


def connect(url: str, *, patience_s: float = RETRY_S) -> Session:
    """A connection; a server that is just starting is waited for."""
    _check(url)
    until = time.monotonic() + patience_s
    while True:
        try:
            return psycopg.connect(
                url, autocommit=True, connect_timeout=TIMEOUT_S, application_name="tidemill", keepalives_idle=30
            )
        except psycopg.OperationalError as exc:
            if time.monotonic() > until or not any(word in str(exc) for word in PASSING):
                raise _failed(url, exc) from None
            time.sleep(AGAIN_S)


def is_alive(db: Session) -> bool:
    """Whether the server still answers on a connection."""
    with contextlib.suppress(psycopg.Error):
        db.execute("")
    return not db.closed


def _check(url: str) -> None:
    # A password with an `@` or `/` as it is would be taken for a host or a database, and shown as one.
    torn = url.count("@") > 1 or ("@" in url and "@" not in urlsplit(url).netloc)
    try:
        conninfo_to_dict("" if torn else url)
    except psycopg.Error:
        torn = True  # What libpq says here may hold parts of the password.
    if torn:
        raise UsageError(
            "TIDEMILL_STORE is not an address of PostgreSQL",
            hint="postgresql://USER:PASSWORD@HOST:5432/DATABASE, with `@`, `:`, `/` and `%` in the password percent-encoded.",
        )


@contextlib.contextmanager
def speaking_to(url: str) -> Iterator[None]:
    """PostgreSQL's errors as ours."""
    try:
        yield
    except psycopg.IntegrityError as exc:
        raise ConflictError(f"That name is taken already ({_said(url, exc)})", hint="Choose another name.") from None
    except psycopg.Error as exc:
        raise _failed(url, exc) from None


def _failed(url: str, exc: psycopg.Error) -> BackendError:
    return BackendError(f"The database {shown(url)} failed: {_said(url, exc)}", hint=HINT)


def _said(url: str, exc: psycopg.Error) -> str:
    text = " ".join(str(exc).split())
    password = conninfo_to_dict(url).get("password")
    return text.replace(str(password), "***") if password else text


def shown(url: str) -> str:
    """Host, port and database of a URL, and nothing secret."""
    parts = urlsplit(url)
    return f"`{parts.scheme}://{parts.netloc.rpartition('@')[2]}{unquote(parts.path)}`"


def key_of(*words: str) -> int:
    """The number of an advisory lock."""
    return int.from_bytes(bytes.fromhex(digest_bytes("\0".join(words).encode()).rpartition(":")[2][:16]), signed=True)
