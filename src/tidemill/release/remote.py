"""What the targets of other people's services are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AzureDeployment:
    """One version behind an endpoint, in the workspace's terms."""

    endpoint: str
    name: str
    image: str
    model: str
    instance_type: str
    instances: int
    environment: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a commit: bytes, or a file here."""

    path: str
    source: Path | None = None
    content: bytes = b""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.source.stat().st_size if self.source else len(self.content)

    def read(self) -> bytes:
        """All of it."""
        return self.source.read_bytes() if self.source else self.content
