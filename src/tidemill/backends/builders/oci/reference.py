"""Names of images: `registry/repository:tag@digest`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidemill.base.errors import UsageError

DOCKER_HUB = "registry-1.docker.io"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ImageName:
    """One image; `tag` or `digest` may be empty, not both when it is pulled."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def reference(self) -> str:
        """What the registry is asked for: the digest when known."""
        return self.digest or self.tag or "latest"


def parse_image(text: str) -> ImageName:
    """Read an image name as Docker does; `UsageError` for what cannot be one."""
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, rest = head, tail
    else:
        registry, rest = DOCKER_HUB, rest if slash else f"library/{rest}"
    repository, _, tag = rest.partition(":")
    good = _REPOSITORY.match(repository) and (not tag or _TAG.match(tag)) and (not digest or _DIGEST.match(digest))
    if not good:
        raise UsageError(
            f"`{text}` is not the name of an image",
            hint="Names are lower case: registry/owner/name:tag. A `${…}` left in it was never filled in.",
        )
    return ImageName(registry, repository, tag, digest)
