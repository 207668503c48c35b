"""The forms of a reference: a local file, an asset of the workspace, one of a registry, a URL."""

from __future__ import annotations

import re
from pathlib import Path

from tidemill.base.frozen import frozen

_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>components|environments|models|data)/(?P<name>[^/]+)"
    r"(?:/(?:versions/(?P<version>[^/]+)|labels/(?P<label>[^/]+)))?/?\Z"
)
_ARM = re.compile(
    r"(?:azureml:)?/subscriptions/.+/(?P<kind>components|environments|models|data|computes|codes)/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?\Z"
)
_LONG = re.compile(
    r"azureml://.*?(?:workspaces/[^/]+/)(?P<kind>components|environments|models|data)/(?P<name>[^/]+)/(?:versions/(?P<version>[^/]+)|labels/(?P<label>[^/]+))\Z"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(?:runs|dbfs):/|/subscriptions/", re.IGNORECASE)


@frozen
class FileRef:
    """A path relative to the document that names it."""

    path: str

    def resolve(self, folder: Path) -> Path:
        """The absolute path, from the folder of the document."""
        return (folder / self.path).absolute()


@frozen
class AssetRef:
    """`azureml:name:version`, `azureml:name@label`, or either of a registry."""

    name: str
    version: str | None = None
    label: str | None = None
    registry: str | None = None

    def __str__(self) -> str:
        tail = f":{self.version}" if self.version else f"@{self.label}" if self.label else ""
        return f"{self.name}{tail}"


@frozen
class UrlRef:
    """Bytes at an address: `https://`, `azureml://datastores/…`, `wasbs://`, `runs:/` and the like."""

    url: str


@frozen
class ExpressionRef:
    """`${{ … }}`: known when the plan is made."""

    text: str


Ref = FileRef | AssetRef | UrlRef | ExpressionRef


def parse_reference(text: str) -> Ref:
    """Read a reference; what has no prefix is a path."""
    if "${{" in text:
        return ExpressionRef(text)
    for pattern in (_REGISTRY, _LONG, _ARM):
        found = pattern.match(text)
        if found:
            groups = found.groupdict()
            return AssetRef(groups["name"], groups.get("version"), groups.get("label"), groups.get("registry"))
    if text.startswith("file:"):
        return FileRef(text.removeprefix("file:").removeprefix("//"))
    if _URL.match(text):
        return UrlRef(text)
    if text.startswith("azureml:"):
        return _asset(text.removeprefix("azureml:"))
    return FileRef(text)


def _asset(rest: str) -> Ref:
    """After `azureml:`: a path when it looks like one, else name, version or label."""
    if rest.startswith(("./", "../", "/")):
        return FileRef(rest)
    name, at, label = rest.partition("@")
    if at:
        return AssetRef(name, label=label)
    name, colon, version = rest.partition(":")
    return AssetRef(name, version if colon else None)


def is_register_model(ref: Ref) -> bool:
    """Whether this is Azure's public component that registers models, of any version."""
    return (
        isinstance(ref, AssetRef)
        and ref.registry is not None
        and ref.name in {"register_model", "azureml_register_model"}
    )
