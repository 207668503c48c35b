"""What history needs from outside: somewhere to keep facts, somewhere to keep models."""

from __future__ import annotations

from typing import Protocol

from tidemill.run.models import ModelRequest, ModelVersion

__all__ = ["ModelRequest", "ModelVersion", "Registry"]


class Registry(Protocol):
    """Where model versions are kept. A version never changes; a label is a pointer that moves."""

    def register(self, request: ModelRequest) -> ModelVersion:
        """Keep the bytes at `request.path`; the same job and step asking again gets the same version.

        The same name and explicit version with other bytes is a `ConflictError`.
        """
        ...

    def list(self, name: str | None = None, *, archived: bool = False) -> tuple[ModelVersion, ...]:
        """Versions of one model, or of all, most recently created first."""
        ...

    def get(self, name: str, version: str) -> ModelVersion:
        """One version by number or label (`latest` is the most recently created); `NotFoundError` if none."""
        ...

    def set_label(self, name: str, label: str, version: str) -> None:
        """Let `label` point at `version`, and at no other."""
        ...

    def archive(self, name: str, version: str, *, archived: bool = True) -> None:
        """Hide a version from lists, or bring it back."""
        ...

    def set_tags(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Add or replace free-text tags of a version."""
        ...
