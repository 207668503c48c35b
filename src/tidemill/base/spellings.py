"""How a secret may stand in a log: as it is, or as usual encodings write it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus


def spellings(secrets: Iterable[str], *, shortest: int) -> tuple[str, ...]:
    """Every way in which each secret may appear, those that hold others first; none that is shorter than `shortest`."""
    found = {form for secret in secrets for form in _forms(secret) if len(form) >= shortest}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    for before in range(3):
        encoded = _in_base64(secret.encode(), before)
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")


def _in_base64(secret: bytes, before: int) -> str:
    """The characters that are the secret's alone in the base64 of a text which has it after `before` other bytes."""
    whole = base64.b64encode(bytes(before) + secret).decode()
    first = -(-8 * before // 6)  # a character holds six bits
    return whole[first : 8 * (before + len(secret)) // 6]
