"""Addresses of stores as fsspec wants them; what gets in comes from the environment, never from the address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from tidemill.base.frozen import frozen

ENV = Mapping[str, str]
# Handed to the client of a store as they stand here; it needs to find none of them among the variables itself.
SECRETS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CONNECTION_STRING",
    }
)
_AZURE = re.compile(r"(?:wasbs?|abfss?)://(?P<container>[^@/]+)@(?P<account>[^./]+)\.(?P<host>[^/]+)/?(?P<path>.*)\Z")


@frozen
class Place:
    """An address as fsspec wants it, for `fsspec.filesystem(protocol, **options)`. `shown` has no secret in it."""

    protocol: str
    path: str
    options: Mapping[str, Any]
    shown: str


def locate(uri: str, env: ENV) -> Place:
    """How to reach a URL; credentials come from the environment, never from the URL's own text in messages."""
    azure = _AZURE.match(uri)
    if azure:
        options = {
            "account_name": azure["account"],
            **_azure_host(azure["account"], azure["host"]),
            **_azure_credentials(env),
        }
        return Place("abfs", f"{azure['container']}/{unquote(azure['path'])}", options, shown(uri))
    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"}:
        return Place(parts.scheme, uri, {"client_kwargs": {"trust_env": True}}, shown(uri))
    if parts.scheme == "s3":
        return Place("s3", f"{parts.netloc}{unquote(parts.path)}", _s3_options(env), shown(uri))
    return Place(parts.scheme, f"{parts.netloc}{unquote(parts.path)}", {}, shown(uri))


def address_of(body: Mapping[str, Any]) -> str:
    """The address of what a document of Azure's storage describes; empty for a store that nothing here can read."""
    host = f"{body.get('account_name')}.{{}}.{body.get('endpoint') or 'core.windows.net'}"
    kind = str(body.get("type") or "").lower()
    if kind == "azure_blob":
        return f"wasbs://{body.get('container_name')}@{host.format('blob')}"
    if kind in {"azure_data_lake_gen2", "azure_data_lake_gen_2"}:
        return f"abfss://{body.get('filesystem')}@{host.format('dfs')}"
    return ""


def shown(uri: str) -> str:
    """Without a query, which may be a signature, and without a user's password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2] if parts.scheme in {"http", "https"} else parts.netloc
    return f"{parts.scheme}://{host}{parts.path}"


def scrubbed(exc: BaseException) -> str:
    """The first line of an error, queries of addresses cut off."""
    text = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
    return re.sub(r"\?[^\s'\")]+", "?…", text)[:300]


def _azure_host(account: str, host: str) -> dict[str, str]:
    """Said only where it is not the public cloud's: the same data is a lake's by one name and blobs by another."""
    service, _, rest = host.partition(".")
    return (
        {}
        if rest == "core.windows.net" or service not in {"blob", "dfs"}
        else {"account_host": f"{account}.blob.{rest}"}
    )


def _azure_credentials(env: ENV) -> dict[str, Any]:
    names = {
        "account_key": "AZURE_STORAGE_ACCOUNT_KEY",
        "sas_token": "AZURE_STORAGE_SAS_TOKEN",
        "connection_string": "AZURE_STORAGE_CONNECTION_STRING",
    }
    given = {option: env[name] for option, name in names.items() if env.get(name)}
    return given or {"anon": False}


def _s3_options(env: ENV) -> dict[str, Any]:
    options: dict[str, Any] = {"use_listings_cache": False}
    if env.get("AWS_ACCESS_KEY_ID"):
        options |= {"key": env["AWS_ACCESS_KEY_ID"], "secret": env.get("AWS_SECRET_ACCESS_KEY", "")}
        options |= {"token": env["AWS_SESSION_TOKEN"]} if env.get("AWS_SESSION_TOKEN") else {}
    if env.get("AWS_ENDPOINT_URL"):
        options["endpoint_url"] = env["AWS_ENDPOINT_URL"]
    return options
