"""Registry credentials where Docker and CI keep them; read, never written, never logged."""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path

from tidemill.backends.builders.oci.reference import DOCKER_HUB
from tidemill.base import proc
from tidemill.base.errors import UsageError

HUB_KEY = "https://index.docker.io/v1/"


def find_credentials(registry: str) -> tuple[str, str] | None:
    """User and password for `registry`.

    Looked up in `TIDEMILL_REGISTRY_USER`/`TIDEMILL_REGISTRY_PASSWORD`, for ghcr.io in `GITHUB_ACTOR`/`GITHUB_TOKEN`, then
    in Docker's config (`auths`, `credHelpers`, `credsStore`).
    """
    pairs = [("TIDEMILL_REGISTRY_USER", "TIDEMILL_REGISTRY_PASSWORD")]
    if registry == "ghcr.io":
        pairs.append(("GITHUB_ACTOR", "GITHUB_TOKEN"))
    for user, password in pairs:
        if os.environ.get(user) and os.environ.get(password):
            return os.environ[user], os.environ[password]
    return _from_docker_config(registry)


def _from_docker_config(registry: str) -> tuple[str, str] | None:
    path = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
    if not path.exists():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise UsageError(f"{path} is not JSON: {exc}", hint="Log in again with `docker login`.") from exc
    key = HUB_KEY if registry == DOCKER_HUB else registry
    helper = config.get("credHelpers", {}).get(registry) or config.get("credsStore")
    if helper:
        return _from_helper(helper, key)
    entry = config.get("auths", {}).get(key) or config.get("auths", {}).get(f"https://{key}") or {}
    return _decode(entry["auth"], path) if entry.get("auth") else None


def _from_helper(helper: str, key: str) -> tuple[str, str] | None:
    answer = proc.run([f"docker-credential-{helper}", "get"], stdin=key, timeout_s=20)
    if answer.returncode != 0:
        return None
    found = json.loads(answer.stdout)
    return found["Username"], found["Secret"]


def _decode(auth: str, path: Path) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(auth).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{path} holds credentials that are not base64", hint="Log in again with `docker login`."
        ) from exc
    return user, password
