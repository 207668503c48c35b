"""A namespace of the real cluster for one test module."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scratch_namespace(purpose: str) -> Iterator[str]:
    """Made anew, and deleted with everything in it when the body ends."""
    from lightkube import Client
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace

    name = f"tm-{purpose}-{secrets.token_hex(3)}"
    client = Client()
    try:
        client.create(Namespace(metadata=ObjectMeta(name=name)))
        yield name
        client.delete(Namespace, name)
    finally:
        client.close()
