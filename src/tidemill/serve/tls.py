"""The certificate of a server: what is wrong with one is said before the port opens; one that is renewed on disk is used without a restart."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from tidemill.base.errors import UsageError

LOG = logging.getLogger("tidemill.serve")
Stamp = tuple[int, ...]
ENCRYPTED = "it is encrypted, and nobody is there to type a pass phrase"


@dataclass(slots=True)
class Certificate:
    """A chain and its key, two PEM files."""

    chain: Path
    key: Path | None
    _stamp: Stamp = ()

    def check(self) -> None:
        """`UsageError` when the two cannot be used."""
        self._stamp = self._look()
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (OSError, ValueError) as exc:
            raise UsageError(f"{self.chain} and {self._key()} cannot be used: {_reason(exc)}", hint=_hint(exc)) from exc

    def renew(self, context: ssl.SSLContext) -> None:
        """Take in what changed on disk; what cannot be used, or is half there, changes nothing."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._load(
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            )  # a pair that does not fit must not half replace another
            self._load(context)
        except (OSError, ValueError) as exc:
            LOG.warning("%s changed and cannot be used, the one before stays: %s", self.chain, _reason(exc))
        else:
            LOG.info("%s is used from now on", self.chain)

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.chain, self.key, password=_no_password)

    def _key(self) -> Path | str:
        return self.key or "its key"

    def _look(self) -> Stamp:
        found: list[int] = []
        for path in (self.chain, self.key):
            try:
                about = path.stat() if path else None
            except OSError:
                about = None
            found += [about.st_mtime_ns, about.st_ino, about.st_size] if about else [0]
        return tuple(found)


def _no_password() -> str:
    """Called for a key that is encrypted; without this OpenSSL asks the terminal and waits."""
    raise ValueError(ENCRYPTED)


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError) and exc.reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    if isinstance(exc, ssl.SSLError) and "PEM lib" in str(exc):
        return "one of them is not the PEM file it should be"
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason.lower().replace("_", " ")
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)


def _hint(exc: Exception) -> str:
    if str(exc) == ENCRYPTED:
        return "Give a key without one: openssl pkey -in KEY -out PLAIN; chmod 600 PLAIN"
    return "--tls-cert takes a PEM file, the server's own certificate first; --tls-key the key it was made for."
